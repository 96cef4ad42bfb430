// Muster's pages work without this script. It keeps them live, counts ages up,
// and adds keys, copying and local times.
//
// The server removes comments and white space when it starts. `make lint`
// checks the types that the comments declare.
(() => {
  'use strict';

  // ---- Elements of the page

  /**
   * The pages consist of HTML and SVG. Both kinds of element have a dataset.
   * @typedef {HTMLElement | SVGElement} PageElement
   */

  /**
   * Returns the first element that matches the selector, or null.
   * @param {string} selector
   * @param {ParentNode} [root]
   * @returns {HTMLElement | null}
   */
  function find(selector, root = document) {
    return root.querySelector(selector);
  }

  /**
   * Returns all elements that match the selector.
   * @param {string} selector
   * @returns {HTMLElement[]}
   */
  function findAll(selector) {
    /** @type {NodeListOf<HTMLElement>} */
    const elements = document.querySelectorAll(selector);
    return [...elements];
  }

  /**
   * Returns an element that the layout puts on every page.
   * @param {string} id
   * @param {Document} [page]
   * @returns {HTMLElement}
   */
  function byID(id, page = document) {
    const element = page.getElementById(id);
    if (!element) throw new Error(`the page has no element #${id}`);
    return element;
  }

  /**
   * Sets the text of an element, and leaves it alone if it has this text.
   * @param {Element} element
   * @param {string} text
   */
  function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  const body = document.body;
  const isPast = Boolean(body.dataset.at); // nothing on a page of a past state changes by itself
  const isStill = !body.dataset.live; // nor does a report
  const keysDialog = /** @type {HTMLDialogElement} */ (byID('keys'));
  const singleKeys = /** @type {HTMLInputElement} */ (byID('single'));
  const announcement = byID('say'); // screen readers speak its text

  // ---- Settings that the browser keeps

  /**
   * Returns a setting, or null if it is not set or the browser allows no storage.
   * @param {string} name
   * @returns {string | null}
   */
  function readSetting(name) {
    try {
      return localStorage.getItem(name);
    } catch {
      return null;
    }
  }

  /**
   * Keeps a setting, if the browser allows storage.
   * @param {string} name
   * @param {string} value
   */
  function storeSetting(name, value) {
    try {
      localStorage.setItem(name, value);
    } catch { /* the setting lasts as long as the page */ }
  }

  let localTimes = readSetting('muster-time') === 'local';

  // ---- Morphing: make the page equal to the fetched one
  //
  // An element that did not change is not touched, and an element that moved is
  // moved. So focus, selection and scroll position stay. These attributes guide it:
  //
  //   data-key      identifies an element among its siblings, as id does
  //   data-version  equal versions mean equal content
  //   data-change   a new value marks the element as changed, for the reader
  //   data-keep     the script owns the element: the fetched one is ignored

  // The reader and this script set these attributes. The server does not decide them.
  const ownAttributes = ['open', 'hidden', 'data-new'];

  /** @type {PageElement[]} */
  let changedElements = []; // new or changed by the latest swap

  /**
   * @param {Node} node
   * @returns {node is PageElement}
   */
  function isElement(node) {
    return node.nodeType === Node.ELEMENT_NODE;
  }

  /**
   * Returns what identifies a node among its siblings, or "".
   * @param {Node} node
   * @returns {string}
   */
  function keyOf(node) {
    return isElement(node) ? node.dataset.key || node.id : '';
  }

  /**
   * Highlights a new or changed element for a moment.
   * @param {Node} node
   */
  function markChanged(node) {
    if (!isElement(node) || !node.dataset.change) return;
    node.dataset.new = '';
    setTimeout(() => delete node.dataset.new, 4500); // app.css fades it out in 4 s
    changedElements.push(node);
  }

  /**
   * Reports whether one node can become the other.
   * @param {Node} current
   * @param {Node} wanted
   * @returns {boolean}
   */
  function isSameNode(current, wanted) {
    return current.nodeType === wanted.nodeType && current.nodeName === wanted.nodeName && keyOf(current) === keyOf(wanted);
  }

  /**
   * Reports whether an element stays as it is.
   * @param {PageElement} current
   * @param {PageElement} wanted
   * @returns {boolean}
   */
  function isLeftAlone(current, wanted) {
    const data = current.dataset;
    if ('keep' in data || (data.version && data.version === wanted.dataset.version)) return true;
    if (current instanceof HTMLTimeElement && wanted instanceof HTMLTimeElement && current.dateTime === wanted.dateTime) {
      // The text of these times is ours.
      if ('age' in data || 'until' in data || (localTimes && 'abs' in data)) return true;
    }
    // The reader is about to type or choose here.
    return current === document.activeElement && /INPUT|SELECT|TEXTAREA/.test(current.nodeName);
  }

  /**
   * Reports whether a node has, or is, a form that the reader edited.
   * @param {Node} node
   * @returns {boolean}
   */
  function isEdited(node) {
    return isElement(node) && (node.matches('form[data-keep]') || Boolean(find('form[data-keep]', node)));
  }

  /**
   * Makes a node and all below it equal to the wanted one.
   * @param {Node} current
   * @param {Node} wanted
   */
  function morph(current, wanted) {
    if (!isElement(current) || !isElement(wanted)) {
      if (current.nodeValue !== wanted.nodeValue) current.nodeValue = wanted.nodeValue;
      return;
    }
    if (isLeftAlone(current, wanted)) return;
    if (current.dataset.change && current.dataset.change !== wanted.dataset.change) markChanged(current);
    morphAttributes(current, wanted);
    morphChildren(current, wanted);
  }

  /**
   * @param {PageElement} current
   * @param {PageElement} wanted
   */
  function morphAttributes(current, wanted) {
    for (const { name, value } of wanted.attributes) {
      if (!ownAttributes.includes(name) && current.getAttribute(name) !== value) current.setAttribute(name, value);
    }
    for (const { name } of [...current.attributes]) {
      if (!ownAttributes.includes(name) && !wanted.hasAttribute(name)) current.removeAttribute(name);
    }
  }

  /**
   * @param {PageElement} parent
   * @param {PageElement} wantedParent
   */
  function morphChildren(parent, wantedParent) {
    const keyed = removeUnwanted(parent, wantedParent);
    let next = parent.firstChild; // all before it is done
    for (const wanted of [...wantedParent.childNodes]) {
      const key = keyOf(wanted);
      const current = key ? keyed.get(key) : next;
      if (!current || !isSameNode(current, wanted)) {
        markChanged(parent.insertBefore(document.importNode(wanted, true), next));
        continue;
      }
      // Remove white space before an element that stays. Otherwise the element would have to move.
      while (key && next && next !== current && !isElement(next)) next = removeNode(next);
      if (current === next) next = next.nextSibling;
      else moveBefore(parent, current, next);
      morph(current, wanted);
    }
    while (next) next = removeNode(next);
  }

  /**
   * Removes the children whose keys are not wanted. Returns those that stay by their keys.
   * @param {PageElement} parent
   * @param {PageElement} wantedParent
   * @returns {Map<string, Node>}
   */
  function removeUnwanted(parent, wantedParent) {
    const wantedKeys = new Set([...wantedParent.children].map(keyOf));
    /** @type {Map<string, Node>} */
    const keyed = new Map();
    for (const child of [...parent.children]) {
      const key = keyOf(child);
      if (!key) continue;
      if (wantedKeys.has(key)) keyed.set(key, child);
      else removeNode(child);
    }
    return keyed;
  }

  /**
   * Removes a node, unless the reader edited it, and returns its next sibling.
   * @param {ChildNode} node
   * @returns {ChildNode | null}
   */
  function removeNode(node) {
    const next = node.nextSibling;
    if (!isEdited(node)) node.remove();
    return next;
  }

  /**
   * Moves a child. Where the browser can, the child keeps its focus and animation.
   * @param {Node & { moveBefore?: (child: Node, next: Node | null) => void }} parent
   * @param {Node} child
   * @param {Node | null} next
   */
  function moveBefore(parent, child, next) {
    if (parent.moveBefore) parent.moveBefore(child, next);
    else parent.insertBefore(child, next);
  }

  // ---- Fetching: load the page again in the background

  const fetchTimeout = 15000; // milliseconds, as all times below

  let fetching = false;
  let fetchAgain = false; // a change arrived while the page was being fetched
  let fetchTimer = 0; // of the fetch that is due, or 0
  let fetchedAt = Date.now(); // start of the latest fetch
  let heardAt = fetchedAt; // latest sign of life of the server: an answer or an event
  let shownHTML = '';
  let title = document.title; // without our mark
  let clockSkew = Number(body.dataset.now) - Date.now(); // the server's clock minus ours

  /** Fetches the page and shows it. */
  async function refresh() {
    if (fetching) {
      fetchAgain = true;
      return;
    }
    fetching = true;
    fetchedAt = Date.now();
    try {
      const response = await fetch(location.href, {
        cache: 'no-cache',
        headers: { Accept: 'text/html' },
        signal: AbortSignal.timeout(fetchTimeout),
      });
      const html = await response.text();
      if (response.status >= 500) throw new Error(`status ${response.status}`);
      heardAt = Date.now();
      // The page of a 304 is old, but its Date header is not. The header has whole
      // seconds: half a second more is right on average.
      clockSkew = Date.parse(response.headers.get('Date') ?? '') + 500 - heardAt || clockSkew;
      if (html !== shownHTML) swap(new DOMParser().parseFromString(html, 'text/html'));
      shownHTML = html;
    } catch {
      connected = false;
      failed = true;
    }
    fetching = false;
    if (fetchAgain) {
      fetchAgain = false;
      refreshSoon();
    }
  }

  /** Fetches the page soon. In a storm it does so every 0.8 s, so that a change shows within a second. */
  function refreshSoon() {
    fetchTimer ||= setTimeout(() => {
      fetchTimer = 0;
      refresh();
    }, Math.max(100, fetchedAt + 800 - Date.now()));
  }

  /**
   * Makes the shown page equal to the fetched one.
   * @param {Document} page
   */
  function swap(page) {
    if (!find('#main', page) || !page.body.dataset.now) return; // the page of a login or a proxy
    for (const name of ['badge', 'worst', 'now', 'live']) body.dataset[name] = page.body.dataset[name];
    const focused = document.activeElement;
    const saidBefore = find('#ack')?.dataset.say;
    changedElements = [];
    for (const id of ['notices', 'main']) morph(byID(id), byID(id, page));
    if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected) {
      focused.focus({ preventScroll: true });
    }
    title = page.title;
    const critical = changedElements.filter(element => element.matches('.row.crit:not(.mute)')).length;
    const said = find('#ack')?.dataset.say;
    if (said && said !== saidBefore) announcement.textContent = said;
    else if (critical) announcement.textContent = `${critical}${critical > 1 ? ' critical groups are' : ' critical group is'} new or changed`;
    prepare();
    tick();
  }

  // ---- Live connection: a stream of events says when to fetch the page
  //
  // The state of the connection stands beside the clock:
  //
  //                   stream opens
  //         +-------+ -------------------------> +------+
  //  load ->| as of |                            | Live |<--------------+
  //         +-------+      +-------------------> +------+               |
  //             |          | stream opens,         |  |                 |
  //     failure |          | or an event        +--+  | 25 s without    |
  //             v          | arrives            |     | an event        |
  //         +--------------+       failure      |     |                 | stream opens,
  //         | Reconnecting |<-------------------+     |                 | or an event
  //         +--------------+                          |                 | arrives
  //             |      ^                              |                 |
  //     10 s    |      | a fetch                      |                 |
  //     without |      | succeeds                     |                 |
  //     data    v      |                              v                 |
  //         +--------------------------------------------+              |
  //         |             No data for <n>s               |--------------+
  //         +--------------------------------------------+
  //
  // A failure is: the stream breaks, a fetch fails, or the browser is offline.
  // Data is: an event of the stream, or a fetched page. "as of" turns into
  // "No data", too, if neither comes within 10 s.
  //
  // Each state turns into "Paused" if the reader presses p or hides the tab. When
  // this ends, the state is "Reconnecting" or "No data" until the stream opens.
  //
  // Without a stream that delivers, the page is fetched every 10 s. In a hidden tab it
  // is fetched every minute. A page that the reader paused is not fetched.

  const liveTimeout = 25000; // the server sends a heartbeat every 15 s: one is missing
  const streamTimeout = 35000; // two are missing: the stream is dead, replace it
  const dataTimeout = 10000;
  const fetchInterval = 10000;
  const hiddenFetchInterval = 60000;
  const replaceInterval = 10000; // between two attempts to replace a silent stream
  const reopenInterval = 5000; // between two attempts after the browser closed the stream

  /** @type {EventSource | null} */
  let stream = null;
  let connected = false; // the stream delivers
  let failed = false; // the stream or a fetch failed since the stream last delivered
  let paused = false; // by the reader
  let triedAt = 0; // start of the latest attempt to open a stream
  // Whether events may have been missed: then an opened stream is no news, and the
  // page must be fetched. A page out of the browser's history may be old.
  let missedEvents = isFromHistory();

  /** @returns {boolean} */
  function isFromHistory() {
    const [navigation] = performance.getEntriesByType('navigation');
    return navigation instanceof PerformanceNavigationTiming && navigation.type === 'back_forward';
  }

  /** Opens a stream in place of the current one. */
  function connect() {
    disconnect();
    if (isStill) return;
    triedAt = Date.now();
    const opened = new EventSource(body.dataset.live ?? '');
    stream = opened;
    let first = true;
    opened.onopen = () => {
      noteData();
      if (!first || missedEvents) refreshSoon();
      first = missedEvents = false;
      tick();
    };
    for (const type of ['group', 'gone', 'resync']) {
      opened.addEventListener(type, () => {
        noteData();
        refreshSoon();
      });
    }
    let heartbeats = 0;
    opened.addEventListener('hb', () => {
      noteData();
      // The stream tells of groups only. These pages also show what else Muster hears.
      if (heartbeats++ && find('[data-refresh]')) refreshSoon();
    });
    opened.onerror = () => {
      if (opened !== stream) return;
      connected = false;
      missedEvents = true;
      failed = true;
      tick();
    };
  }

  /** Notes that the stream delivers. */
  function noteData() {
    heardAt = Date.now();
    connected = true;
    failed = false;
  }

  /** Closes the stream. */
  function disconnect() {
    if (stream) stream.close();
    stream = null;
    connected = false;
  }

  /** Opens or closes the stream when the page is paused, hidden or shown. */
  function followVisibility() {
    if (isStill) {
      disconnect();
    } else if (paused || document.hidden) {
      disconnect();
      missedEvents = true;
    } else if (!stream) {
      connect();
      if (missedEvents) refreshSoon();
    }
    tick();
  }

  /** Replaces a stream that is silent or closed, and fetches the page while there is no stream. */
  function keepConnected() {
    const now = Date.now();
    if (paused || isStill) return;
    if (document.hidden) {
      if (now - fetchedAt > hiddenFetchInterval) refresh(); // for the tab's title and icon
      return;
    }
    const silent = now - heardAt > streamTimeout && now - triedAt > replaceInterval;
    const closed = stream?.readyState === EventSource.CLOSED && now - triedAt > reopenInterval;
    if (silent || closed) {
      missedEvents = true;
      connect();
    }
    if (!connected && now - fetchedAt > fetchInterval) refresh();
  }

  /**
   * Returns the state of the connection: its text, and its class for app.css.
   * @returns {{ text: string, className: '' | 'live' | 'lost' | 'paused' | 'past' }}
   */
  function connectionState() {
    const silent = Date.now() - heardAt;
    if (isPast) return { text: 'Past', className: 'past' };
    if (isStill) return { text: 'as of', className: '' };
    if (paused || document.hidden) return { text: 'Paused', className: 'paused' };
    if (connected && silent < liveTimeout) return { text: 'Live', className: 'live' };
    if (silent >= dataTimeout) return { text: `No data for ${Math.round(silent / 1000)}s`, className: 'lost' };
    if (failed || missedEvents) return { text: 'Reconnecting', className: 'lost' };
    return { text: 'as of', className: '' };
  }

  // ---- Once a second: ages, clock, title and icon

  /**
   * Updates all that changes with time. data-until counts down, in minutes if it has a value.
   * data-at is the clock of a past state: only data-passed, the time since then, goes on.
   */
  function tick() {
    const clock = Date.now() + clockSkew;
    const now = Number(body.dataset.at) || clock;
    for (const time of /** @type {HTMLTimeElement[]} */ (findAll('time[data-age],time[data-passed]'))) {
      setText(time, formatAge((('passed' in time.dataset ? clock : now) - Date.parse(time.dateTime)) / 1000));
    }
    for (const time of /** @type {HTMLTimeElement[]} */ (findAll('time[data-until]'))) {
      const left = (Date.parse(time.dateTime) - now) / 1000;
      setText(time, time.dataset.until && left >= 60 ? `${Math.floor(left / 60)}m` : formatAge(left));
    }
    keepConnected();
    const { text, className } = connectionState();
    const lost = className === 'lost';
    setText(byID('word'), text);
    byID('state').className = className;
    setText(byID('clock'), (isPast ? 'now ' : '') + formatTime(new Date(clock), hourAndMinute) + (localTimes ? ' local' : ' UTC'));
    countBelow();
    const marked = (lost ? '(!) ' : '') + title;
    if (document.title !== marked) document.title = marked;
    drawIcon(Math.min(Number(body.dataset.badge) || 0, 999), body.dataset.worst ?? '', lost);
  }

  /**
   * Formats an age by its two largest units, as the server does: "5m 3s".
   * @param {number} seconds
   * @returns {string}
   */
  function formatAge(seconds) {
    if (seconds < 0) return '0s';
    if (seconds < 60) return `${Math.floor(seconds)}s`;
    if (seconds < 3600) return twoUnits(seconds, 60, 'm', 1, 's');
    if (seconds < 86400) return twoUnits(seconds, 3600, 'h', 60, 'm');
    return twoUnits(seconds, 86400, 'd', 3600, 'h');
  }

  /**
   * @param {number} seconds
   * @param {number} large seconds of the larger unit
   * @param {string} largeName
   * @param {number} small seconds of the smaller unit
   * @param {string} smallName
   * @returns {string}
   */
  function twoUnits(seconds, large, largeName, small, smallName) {
    return `${Math.floor(seconds / large)}${largeName} ${Math.floor(seconds % large / small)}${smallName}`;
  }

  /** @type {Intl.DateTimeFormatOptions} */
  const hourAndMinute = { hour: '2-digit', minute: '2-digit' };

  /**
   * Formats a time in the zone that the reader chose.
   * @param {Date} time
   * @param {Intl.DateTimeFormatOptions} parts
   * @returns {string}
   */
  function formatTime(time, parts) {
    return time.toLocaleString('en', { hourCycle: 'h23', timeZone: localTimes ? undefined : 'UTC', ...parts }).replace(',', '');
  }

  /**
   * Writes all absolute times again. data-abs says what a time shows: "s" the time of
   * day with seconds, "m" without seconds, "" the date, too. Under a heading with
   * another date, a local time shows its own date.
   */
  function writeTimes() {
    for (const element of /** @type {HTMLTimeElement[]} */ (findAll('time[data-abs]'))) {
      const time = new Date(element.dateTime);
      const form = element.dataset.abs;
      /** @type {Intl.DateTimeFormatOptions} */
      const parts = { ...hourAndMinute };
      if (form === 's') parts.second = '2-digit';
      const otherDay = localTimes && form === 's' && time.getDate() !== time.getUTCDate();
      if (!form || otherDay) {
        parts.month = 'short';
        parts.day = 'numeric';
        if (time.getFullYear() !== new Date().getFullYear()) parts.year = 'numeric';
      }
      setText(element, formatTime(time, parts));
    }
  }

  /** Says on the wall, which does not scroll, how many rows are below the window's edge. */
  function countBelow() {
    const line = find('#below');
    if (!line) return;
    const rows = findAll('#rows .row');
    const rest = Number(byID('rows').dataset.rest) || 0; // groups without a row
    const edge = innerHeight - line.offsetHeight;
    const below = rows.filter(row => row.getBoundingClientRect().bottom > edge);
    const critical = below.filter(row => row.matches('.crit:not(.mute)')).length;
    // The worst rows come first: if the last one is critical, the rest can be critical, too.
    const atLeast = rest && rows.at(-1)?.matches('.crit:not(.mute)') ? 'at least ' : '';
    const count = below.length + rest;
    const groups = `+${count}${count > 1 ? ' groups' : ' group'}`;
    setText(line, count ? groups + (critical ? `, ${atLeast}${critical} critical` : '') : '');
    line.hidden = !count;
  }

  /** @type {Record<string, { fill: string, ink: string }>} */
  const iconColors = {
    crit: { fill: '#b01217', ink: '#fff' },
    warn: { fill: '#ffbf2e', ink: '#2b1a00' },
    info: { fill: '#1b659b', ink: '#fff' },
  };
  const pastIcon = { fill: '#5f6873', ink: '#fff' };
  const calmIcon = { fill: '#0b6b66', ink: '#fff' };
  let drawnIcon = '';

  /**
   * Draws the icon of the tab: the number of firing groups in the colour of the worst. That of
   * a past state has the hands of a clock.
   * @param {number} count
   * @param {string} worst class of the worst severity
   * @param {boolean} lost whether a broken frame says that the connection is lost
   */
  function drawIcon(count, worst, lost) {
    const icon = `${count} ${worst} ${lost}`;
    if (icon === drawnIcon) return;
    drawnIcon = icon;
    const { fill, ink } = iconColors[worst] ?? (isPast ? pastIcon : calmIcon);
    const frame = lost ? ' stroke="#8a8a8a" stroke-width="4" stroke-dasharray="5 3"' : '';
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">' +
      `<rect x="2" y="2" width="28" height="28" rx="7" fill="${fill}"${frame}/>` +
      (isPast ? `<path d="M16 8v9l6 4" fill="none" stroke="${ink}" stroke-width="3"/></svg>`
        : '<text x="16" y="22" text-anchor="middle" font-family="sans-serif" font-weight="700"' +
          ` font-size="${count > 99 ? 13 : 18}" fill="${ink}">${count || '✓'}</text></svg>`);
    const link = /** @type {HTMLLinkElement} */ (find('link[rel=icon]'));
    link.href = 'data:image/svg+xml,' + encodeURIComponent(svg);
  }

  /** Makes the address of a past state absolute: -15m means another time soon, also to others. */
  function fixAddress() {
    const address = new URL(location.href);
    if (!/^-?\d+[a-z]/.test(address.searchParams.get('at') ?? '')) return;
    address.searchParams.set('at', new Date(Number(body.dataset.at)).toISOString());
    history.replaceState(history.state, '', address);
  }

  /** Completes a page that came from the server: shows what needs this script. */
  function prepare() {
    if (isPast) fixAddress();
    byID('open-keys').hidden = false;
    for (const button of findAll('[data-copy][hidden],[data-copy-link][hidden]')) button.hidden = false;
    if (localTimes) writeTimes();
    for (const field of /** @type {HTMLInputElement[]} */ (findAll('input[name=by]'))) field.value ||= keptName();
  }

  /**
   * Returns the name that the reader typed before, or "".
   * @returns {string}
   */
  function keptName() {
    try {
      return decodeURIComponent(/(?:^|; )muster-name=([^;]*)/.exec(document.cookie)?.[1] ?? '');
    } catch {
      return '';
    }
  }

  // ---- Copying

  /**
   * Copies a text and reports whether this worked.
   * @param {string} text
   * @returns {Promise<boolean>}
   */
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { /* browsers allow this over HTTPS only: use the old way */ }
    const area = document.createElement('textarea');
    area.value = text;
    body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    return copied;
  }

  /**
   * Copies what a button offers, and says so on the button for a moment.
   * @param {HTMLElement} button
   */
  async function copyFrom(button) {
    const [address = ''] = location.href.split('#');
    const copied = await copy('copyLink' in button.dataset ? address : button.dataset.copy ?? '');
    const text = button.textContent;
    const content = [...button.cloneNode(true).childNodes];
    const message = copied ? 'Copied' : 'Cannot copy';
    setText(button, message);
    announcement.textContent = message;
    button.focus(); // the old way of copying took the focus
    setTimeout(() => {
      if (button.textContent !== text) button.replaceChildren(...content);
    }, 1500);
  }

  document.addEventListener('click', event => {
    if (!(event.target instanceof Element)) return;
    /** @type {HTMLElement | null} */
    const button = event.target.closest('[data-copy],[data-copy-link]');
    if (button) copyFrom(button);
  });

  // ---- Keys
  //
  // An element with data-k is clicked by that key; keyActions has the other keys.
  // Speech input types letters, so the reader can switch single keys off.

  /** @type {Record<string, () => unknown>} */
  const keyActions = {
    '/': focusFilter,
    '?': () => keysDialog.showModal(),
    j: () => focusRow(1),
    k: () => focusRow(-1),
    r: refresh,
    p: togglePause,
    t: toggleLocalTimes,
  };

  function focusFilter() {
    const filter = /** @type {HTMLInputElement | null} */ (find('#f'));
    filter?.focus();
    filter?.select();
  }

  /**
   * Moves the focus to the row that is so many rows below the focused one.
   * @param {number} by negative: above
   */
  function focusRow(by) {
    const links = findAll('#rows h2 a, .sil h3 a, tr[data-key] .links a:last-child, .events li > span > a:first-child');
    const focused = links.findIndex(link => link.closest('[data-key]')?.contains(document.activeElement));
    const first = by > 0 ? 0 : links.length - 1;
    links[focused < 0 ? first : focused + by]?.focus();
  }

  function togglePause() {
    paused = !paused;
    followVisibility();
  }

  function toggleLocalTimes() {
    localTimes = !localTimes;
    storeSetting('muster-time', localTimes ? 'local' : 'utc');
    writeTimes();
    tick();
  }

  /**
   * Returns what a key does, or null.
   * @param {string} key
   * @returns {(() => unknown) | null}
   */
  function actionOf(key) {
    const action = keyActions[key];
    if (action) return action;
    const element = /^[a-z0[\]-]$/.test(key) ? find(`[data-k="${key}"]`) : null;
    return element && (() => element.matches('input,textarea') ? element.focus() : element.click());
  }

  document.addEventListener('keydown', event => {
    if (event.metaKey || event.isComposing) return;
    // Many keyboards need AltGr for a bracket, and it counts as Ctrl and Alt.
    if ((event.ctrlKey || event.altKey) && !event.getModifierState('AltGraph')) return;
    const target = event.target;
    if (target instanceof HTMLElement && target.closest('input:not([type=checkbox]),select,textarea')) {
      if (event.key === 'Escape') target.blur();
      return;
    }
    if (!singleKeys.checked) return;
    if (keysDialog.open && event.key !== 'w') return; // the dialog has the link of this key
    const action = actionOf(event.key);
    if (!action) return;
    event.preventDefault();
    action();
  });

  byID('open-keys').addEventListener('click', () => keysDialog.showModal());
  singleKeys.checked = readSetting('muster-keys') !== 'off';
  singleKeys.addEventListener('change', () => storeSetting('muster-keys', singleKeys.checked ? 'on' : 'off'));

  // ---- Forms: leave empty fields out of the address

  // Who fills in a field of a choice means that choice.
  document.addEventListener('input', event => {
    const choice = event.target instanceof HTMLInputElement && event.target.dataset.picks;
    if (choice) /** @type {HTMLInputElement} */ (byID(choice)).checked = true;
  });

  // A query has no empty fields. The body of a POST is sent as it is.
  document.addEventListener('formdata', event => {
    if (/** @type {HTMLFormElement} */ (event.target).method === 'post') return;
    for (const [name, value] of [...event.formData]) {
      if (!value) event.formData.delete(name);
    }
  });

  // A form that the reader edits stays as it is, whatever happens to the page around it.
  document.addEventListener('input', event => {
    const form = /** @type {HTMLInputElement} */ (event.target).form;
    if (form?.method === 'post') form.dataset.keep = '';
  });
  document.addEventListener('reset', event => delete /** @type {HTMLElement} */ (event.target).dataset.keep);

  // ---- Start

  document.addEventListener('visibilitychange', followVisibility);
  addEventListener('pagehide', disconnect);
  addEventListener('pageshow', event => {
    if (!event.persisted) return;
    disconnect(); // the page was frozen, its stream is dead
    followVisibility();
  });
  addEventListener('offline', () => {
    connected = false;
    missedEvents = true;
    tick();
  });
  addEventListener('online', () => {
    if (document.hidden || paused) return;
    connect();
    refreshSoon();
  });
  setInterval(tick, 1000);
  prepare();
  // The page is complete as it came. Let the browser paint it before the stream opens.
  if (document.hidden) followVisibility();
  else requestAnimationFrame(() => setTimeout(followVisibility));
})();
