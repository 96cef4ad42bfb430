// Checks a dashboard against the types that Grafana publishes: TypeScript compiles
// it. A field that Grafana does not know is an error. Queries of the data source Infinity
// are checked against infinity.d.ts.
//
//   node dashboard.mjs FOLDER TYPESCRIPT DASHBOARD
//
// FOLDER contains the npm package @grafana/schema as grafana-schema. TYPESCRIPT is
// the folder of the npm package typescript.
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, typescript, file] = process.argv.slice(2);
const dashboard = JSON.parse(readFileSync(file, 'utf8'));
const raw = './grafana-schema/dist/types/raw';

const infinity = 'yesoreyeram-infinity-datasource';
const queries = dashboard.panels.flatMap((panel) => panel.targets ?? []).filter((query) => query.datasource.type === infinity);
for (const annotation of dashboard.annotations.list.filter(({ datasource }) => datasource.type === infinity)) {
  queries.push(annotation.target);
  delete annotation.target; // Grafana's type knows only those of Grafana itself
}

const lines = [
  `import type { Dashboard } from '${raw}/dashboard/x/types.gen';`,
  `import type { InfinityQuery } from ${JSON.stringify(join(import.meta.dirname, 'infinity.d.ts'))};`,
  // Grafana's types use enums, but JSON has plain strings.
  'type Plain<T> = T extends string ? `${T}` : T extends Array<infer U> ? Array<Plain<U>> : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;',
  `export const dashboard: Plain<Dashboard> = ${JSON.stringify(dashboard, null, 1)};`,
  ...queries.map((query, i) => `export const query${i}: InfinityQuery = ${JSON.stringify(query, null, 1)};`),
];
const kinds = new Set();
for (const panel of dashboard.panels) {
  if (panel.type === 'row') {
    continue;
  }
  if (!kinds.has(panel.type)) {
    kinds.add(panel.type);
    lines.unshift(`import type * as ${panel.type} from '${raw}/composable/${panel.type}/panelcfg/x/types.gen';`);
  }
  lines.push(`export const options${panel.id}: Plain<Partial<${panel.type}.Options>> = ${JSON.stringify(panel.options)};`);
  const custom = panel.fieldConfig.defaults.custom;
  if (custom && Object.keys(custom).length > 0) {
    lines.push(`export const custom${panel.id}: Plain<Partial<${panel.type}.FieldConfig>> = ${JSON.stringify(custom)};`);
  }
}
if (kinds.size === 0 || !readdirSync(folder).includes('grafana-schema')) {
  console.error('the dashboard has no panels, or FOLDER has no types of Grafana');
  process.exit(1);
}

const source = join(folder, 'dashboard.ts');
writeFileSync(source, lines.join('\n') + '\n');
const compiler = join(typescript, 'bin', 'tsc');
const { status } = spawnSync(process.execPath,
  [compiler, '--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler', source],
  { stdio: 'inherit' });
if (status === 0) {
  console.log(`${file}: ${dashboard.panels.length} panels match the types of Grafana, ${queries.length} queries those of Infinity`);
}
process.exit(status ?? 1);
