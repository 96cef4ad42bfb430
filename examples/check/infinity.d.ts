// The part of the query model of Grafana's data source Infinity, version 3, that the
// dashboard uses. The plugin publishes no package with its types. Its own description is
// src/types/query.types.ts of github.com/grafana/grafana-infinity-datasource.

/** A query for JSON, which the plugin evaluates in its backend. */
export interface InfinityQuery {
  refId: string;
  datasource: { type: 'yesoreyeram-infinity-datasource'; uid: string };
  type: 'json';
  source: 'url';
  parser: 'backend';
  format: 'table' | 'timeseries' | 'dataframe';
  /** Relative to the base URL of the data source. */
  url: string;
  url_options: {
    method: 'GET';
    data: '';
    params: { key: string; value: string }[];
  };
  /** A path in GJSON, or else an expression in JSONata. */
  root_selector: string;
  columns: Column[];
}

interface Column {
  /** A path in GJSON, within a row. */
  selector: string;
  text: string;
  type: 'string' | 'number' | 'timestamp' | 'timestamp_epoch' | 'timestamp_epoch_s' | 'boolean';
}
