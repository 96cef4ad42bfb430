// Muster's pages work without this. It keeps them live, ticks the ages, and adds keys and copying.
(() => {
  'use strict';
  const $ = (s, r = document) => r.querySelector(s);
  const $$ = (s, r = document) => [...r.querySelectorAll(s)];
  const body = document.body, keys = $('#keys'), say = $('#say');
  const key = n => (n.nodeType === 1 && (n.dataset.key || n.id)) || '';
  const drop = n => n.remove();
  let title = document.title;
  let skew = body.dataset.now - Date.now(); // server's clock minus ours
  let local = false;
  try { local = localStorage.getItem('muster-time') === 'local'; } catch { /* no storage: UTC */ }

  // ---- swap: make the page like the fetched one, and leave alone what did not change
  let fresh = []; // rows that are new or changed
  const mark = n => {
    if (!n.dataset || !n.dataset.change) return;
    n.dataset.new = '';
    setTimeout(() => delete n.dataset.new, 4500);
    fresh.push(n);
  };
  const like = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);
  function morph(a, b) {
    if (a.nodeType !== 1) {
      if (a.nodeValue !== b.nodeValue) a.nodeValue = b.nodeValue;
      return;
    }
    const d = a.dataset;
    if ('keep' in d || (d.version && d.version === b.dataset.version)) return;
    if (a.nodeName === 'TIME' && a.dateTime === b.dateTime && ('age' in d || (local && 'abs' in d))) return;
    if (a === document.activeElement && /INPUT|SELECT/.test(a.nodeName)) return;
    if (d.change && d.change !== b.dataset.change) mark(a);
    const ours = ['open', 'hidden', 'data-new'];
    for (const { name, value } of b.attributes) if (!ours.includes(name) && a.getAttribute(name) !== value) a.setAttribute(name, value);
    for (const { name } of [...a.attributes]) if (!ours.includes(name) && !b.hasAttribute(name)) a.removeAttribute(name);
    const wanted = new Set([...b.children].map(key));
    const known = new Map();
    for (const c of [...a.children]) if (key(c)) wanted.has(key(c)) ? known.set(key(c), c) : drop(c);
    let at = a.firstChild;
    for (const n of [...b.childNodes]) {
      const k = key(n), old = k ? known.get(k) : at;
      if (old && like(old, n)) {
        // whitespace before a row that stays must not make the row move
        while (k && at && at !== old && at.nodeType !== 1) { const x = at; at = at.nextSibling; drop(x); }
        if (old === at) at = at.nextSibling;
        else (a.moveBefore || a.insertBefore).call(a, old, at);
        morph(old, n);
      } else {
        const c = a.insertBefore(document.importNode(n, true), at);
        mark(c);
      }
    }
    while (at) { const x = at; at = at.nextSibling; drop(x); }
  }

  let busy = false, again = false, timer = 0, last = Date.now(), heard = last, shown = '';
  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    last = Date.now();
    try {
      const r = await fetch(location.href, { cache: 'no-cache', headers: { Accept: 'text/html' }, signal: AbortSignal.timeout(15000) });
      const text = await r.text();
      if (r.status >= 500) throw new Error(r.status);
      heard = Date.now();
      skew = Date.parse(r.headers.get('Date')) + 500 - heard || skew; // what was not modified is old, its header is not
      if (text !== shown) swap(new DOMParser().parseFromString(text, 'text/html'));
      shown = text;
    } catch { live = false; since ||= Date.now(); }
    busy = false;
    if (again) { again = false; later(); }
  }
  function swap(doc) {
    if (!$('#main', doc) || !doc.body.dataset.now) return; // a login page or a proxy's
    for (const k of ['badge', 'worst', 'now', 'live']) body.dataset[k] = doc.body.dataset[k];
    const focus = document.activeElement;
    fresh = [];
    for (const id of ['#notices', '#main']) morph($(id), $(id, doc));
    if (focus !== document.activeElement && focus.isConnected) focus.focus({ preventScroll: true });
    title = doc.title;
    const n = fresh.filter(x => x.matches('.row.crit')).length;
    if (n) say.textContent = n + (n > 1 ? ' critical groups are' : ' critical group is') + ' new or changed';
    enhance();
    tick();
  }
  // soon, and in a storm so often that a change shows within a second
  function later() {
    timer ||= setTimeout(() => { timer = 0; refresh(); }, Math.max(100, last + 800 - Date.now()));
  }

  // ---- the stream
  // a page from the browser's history may be old
  let lost = (performance.getEntriesByType('navigation')[0] || {}).type === 'back_forward';
  let es = null, live = false, since = 0, paused = false, tried = 0;
  function connect() {
    stop();
    tried = Date.now();
    const s = es = new EventSource(body.dataset.live);
    const ok = () => { heard = Date.now(); live = true; since = 0; };
    let first = true;
    s.onopen = () => { ok(); if (!first || lost) later(); first = lost = false; tick(); };
    for (const t of ['group', 'gone', 'resync']) s.addEventListener(t, () => { ok(); later(); });
    s.addEventListener('hb', ok);
    s.onerror = () => { if (s === es) { live = false; lost = true; since ||= Date.now(); tick(); } };
  }
  function stop() { if (es) es.close(); es = null; live = false; }
  function watch() {
    const off = paused || document.hidden;
    if (off) { stop(); lost = true; } else if (!es) { connect(); if (lost) later(); }
    tick();
  }
  function stream() {
    const now = Date.now(), silent = now - heard;
    if (paused || document.hidden) {
      if (!paused && now - last > 60000) refresh(); // the tab's title and icon go on, slowly
      return ['Paused', 'paused'];
    }
    if (silent > 35000 && now - tried > 10000 || es && es.readyState === 2 && now - tried > 5000) { lost = true; connect(); }
    if (!live && now - last > 10000) refresh();
    if (live && silent < 25000) return ['Live', 'live'];
    if (silent < 10000) return since || lost ? ['Reconnecting', 'lost'] : ['as of', '']; // just loaded
    return ['No data for ' + Math.round(silent / 1000) + 's', 'lost'];
  }

  // ---- once a second
  const two = (n, b, B, s, S) => Math.floor(n / b) + B + ' ' + Math.floor(n % b / s) + S;
  const age = s => s < 0 ? '0s' : s < 60 ? Math.floor(s) + 's' : s < 3600 ? two(s, 60, 'm', 1, 's') :
    s < 86400 ? two(s, 3600, 'h', 60, 'm') : two(s, 86400, 'd', 3600, 'h');
  const set = (n, text) => { if (n.textContent !== text) n.textContent = text; };
  const stamp = (d, o) => d.toLocaleString('en', { hourCycle: 'h23', timeZone: local ? undefined : 'UTC', ...o }).replace(',', '');
  const hm = { hour: '2-digit', minute: '2-digit' };
  let drawn = '';
  function tick() {
    const now = Date.now() + skew;
    for (const t of $$('time[data-age]')) set(t, age((now - Date.parse(t.dateTime)) / 1000));
    const [word, cls] = stream();
    set($('#word'), word);
    $('#state').className = cls;
    set($('#clock'), stamp(new Date(now), hm) + (local ? ' local' : ' UTC'));
    countBelow();
    const bad = cls === 'lost';
    const t = (bad ? '(!) ' : '') + title;
    if (document.title !== t) document.title = t;
    icon(Math.min(+body.dataset.badge || 0, 999), body.dataset.worst, bad);
  }
  function icon(n, worst, ring) {
    const id = n + worst + ring;
    if (id === drawn) return;
    drawn = id;
    const [fill, ink] = { crit: ['#b01217', '#fff'], warn: ['#ffbf2e', '#2b1a00'], info: ['#1b659b', '#fff'] }[worst] || ['#0b6b66', '#fff'];
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect x="2" y="2" width="28" height="28" rx="7" fill="' + fill + '"' +
      (ring ? ' stroke="#8a8a8a" stroke-width="4" stroke-dasharray="5 3"' : '') + '/><text x="16" y="22" text-anchor="middle" font-family="sans-serif" font-weight="700" font-size="' +
      (n > 99 ? 13 : 18) + '" fill="' + ink + '">' + (n || '✓') + '</text></svg>';
    $('link[rel=icon]').href = 'data:image/svg+xml,' + encodeURIComponent(svg);
  }
  // the wall does not scroll: it says how many rows are below its edge
  function countBelow() {
    const line = $('#below');
    if (!line) return;
    const rows = $$('#rows .row'), rest = +$('#rows').dataset.rest || 0;
    const below = rows.filter(r => r.getBoundingClientRect().bottom > innerHeight - line.offsetHeight);
    const n = below.length + rest, crit = below.filter(r => r.matches('.crit')).length;
    const atLeast = rest && rows.length && rows[rows.length - 1].matches('.crit') ? 'at least ' : ''; // the worst come first
    set(line, n ? '+' + n + (n > 1 ? ' groups' : ' group') + (crit ? ', ' + atLeast + crit + ' critical' : '') : '');
    line.hidden = !n;
  }
  // data-abs says what a time shows: "s" the time of day with seconds, "m" without, "" the date, too.
  // Under a heading of another date a local time shows its own date.
  function clocks() {
    for (const t of $$('time[data-abs]')) {
      const d = new Date(t.dateTime), form = t.dataset.abs;
      const year = d.getFullYear() === new Date().getFullYear() ? {} : { year: 'numeric' };
      const otherDay = local && form === 's' && d.getDate() !== d.getUTCDate();
      const date = !form || otherDay ? { month: 'short', day: 'numeric', ...year } : {};
      set(t, stamp(d, { ...date, ...hm, ...(form === 's' && { second: '2-digit' }) }));
    }
  }
  function enhance() {
    $('#open-keys').hidden = false;
    for (const b of $$('[data-copy][hidden],[data-copy-link][hidden]')) b.hidden = false;
    if (local) clocks();
  }

  // ---- copy, keys
  async function copy(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* plain http has no clipboard */ }
    const t = document.createElement('textarea');
    t.value = text;
    body.append(t);
    t.select();
    const ok = document.execCommand('copy');
    t.remove();
    return ok;
  }
  document.addEventListener('click', async e => {
    const b = e.target.closest('[data-copy],[data-copy-link]');
    if (!b) return;
    const ok = await copy('copyLink' in b.dataset ? location.href.split('#')[0] : b.dataset.copy);
    const old = b.textContent, n = b.cloneNode(true);
    set(b, ok ? 'Copied' : 'Cannot copy');
    say.textContent = ok ? 'Copied' : 'Cannot copy';
    b.focus();
    setTimeout(() => { if (b.textContent !== old) b.replaceChildren(...n.childNodes); }, 1500);
  });
  // single keys can be switched off: speech input types letters
  const single = $('#single');
  try { single.checked = localStorage.getItem('muster-keys') !== 'off'; } catch { /* no storage: on */ }
  single.addEventListener('change', () => {
    try { localStorage.setItem('muster-keys', single.checked ? 'on' : 'off'); } catch { /* not kept */ }
  });
  $('#open-keys').addEventListener('click', () => keys.showModal());
  const acts = {
    '/': () => { const f = $('#f'); if (f) { f.focus(); f.select(); } },
    '?': () => keys.showModal(),
    j: () => step(1), k: () => step(-1), r: refresh,
    p: () => { paused = !paused; watch(); },
    t: () => {
      local = !local;
      try { localStorage.setItem('muster-time', local ? 'local' : 'utc'); } catch { /* not kept */ }
      clocks();
      tick();
    },
  };
  function step(by) {
    const rows = $$('#rows h2 a, tr[data-key] .links a:last-child, .events li > span > a:first-child');
    const here = rows.findIndex(a => a.closest('[data-key]').contains(document.activeElement));
    const to = rows[here < 0 ? (by > 0 ? 0 : rows.length - 1) : here + by];
    if (to) to.focus();
  }
  document.addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    if (e.target.closest('input:not([type=checkbox]),select,textarea')) {
      if (e.key === 'Escape') e.target.blur();
      return;
    }
    if (!single.checked || keys.open && e.key !== 'w') return;
    const to = acts[e.key] || (/^[a-z]$/.test(e.key) && $('[data-k="' + e.key + '"]'));
    if (!to) return;
    e.preventDefault();
    typeof to === 'function' ? to() : to.click();
  });
  // an address without empty fields
  document.addEventListener('formdata', e => { for (const [k, v] of [...e.formData]) if (!v) e.formData.delete(k); });

  document.addEventListener('visibilitychange', watch);
  addEventListener('pageshow', e => { if (e.persisted) { stop(); watch(); } });
  addEventListener('pagehide', stop);
  addEventListener('online', () => { if (!document.hidden && !paused) { connect(); later(); } });
  addEventListener('offline', () => { live = false; lost = true; tick(); });
  setInterval(tick, 1000);
  enhance();
  // the page is complete as it came: it is painted first
  document.hidden ? watch() : requestAnimationFrame(() => setTimeout(watch));
})();
