package browser

import (
	"maps"
	"strings"
	"testing"
	"time"

	"muster/grouping"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// A description keeps its line breaks.
func TestLineBreaksOfADescriptionStay(t *testing.T) {
	m := start(t)
	several := firing("Memory", "warning", "a")
	several.Annotations = grouping.NewLabels(map[string]string{"description": "Host out of memory\n  VALUE = 92\n  LABELS = map[a:b]"})
	group := m.notify("Memory", several, firing("Memory", "warning", "b"))
	alone := several
	alone.Annotations = grouping.NewLabels(map[string]string{"description": several.Annotations.Get("description")})
	lead := m.notify("Alone", alone)
	b := open(t, 1440, 900, false)
	for _, url := range []string{"/groups/" + string(group), "/groups/" + string(lead), "/alerts/" + string(several.Fingerprint)} {
		b.visit(m.url + url)
		const shown = `[...document.querySelectorAll('td .text, .lead, dd bdi')]
			.filter(e => e.textContent.includes('VALUE = 92')).map(e => e.innerText.split('\n').length)`
		for _, lines := range eval[[]int](b, shown) {
			require.Equal(t, 3, lines, url)
		}
		require.NotEmpty(t, eval[[]int](b, shown), url)
	}
	b.clean()
}

// A name with a character that reverses the text direction affects only itself.
func TestAnOverrideInANameTurnsOnlyTheName(t *testing.T) {
	m := start(t)
	const name = "Disk \u202egnp.exe"
	group := m.notify(name, firing(name, "critical", "\u202ea"), firing(name, "critical", "b"))
	b := open(t, 1440, 900, false)
	// In all our own texts, the second letter must be to the right of the first.
	const reversed = `[...document.querySelectorAll('main, main *')].flatMap(e => [...e.childNodes]).filter(n => n.nodeType === 3 &&
		n.data.trim().length > 3 && !n.data.includes('\u202e') && n.parentElement.checkVisibility()).filter(n => {
		const at = n.data.search(/[A-Za-z]{2}/);
		if (at < 0) return false;
		const left = i => { const r = document.createRange(); r.setStart(n, i); r.setEnd(n, i + 1); return r.getBoundingClientRect(); };
		return left(at).top === left(at + 1).top && left(at).left > left(at + 1).left;
	}).map(n => n.data.trim())`
	for _, url := range []string{
		"/history?kind=all", "/", "/?state=all", "/?by=instance", "/groups/" + string(group),
		"/alerts/" + string(firing(name, "critical", "\u202ea").Fingerprint), "/status",
	} {
		b.visit(m.url + url)
		require.Empty(t, eval[[]string](b, reversed), url)
	}
	b.clean()
}

// With local times, each absolute time is local or shows its time zone.
func TestLocalTimesAreLocalEverywhere(t *testing.T) {
	m := start(t)
	group, _ := m.night()
	b := open(t, 1440, 900, false)
	// Use a time zone in which the date is different now.
	zone := "Pacific/Kiritimati" // UTC+14
	if time.Now().UTC().Hour() < 10 {
		zone = "Pacific/Niue" // UTC-11
	}
	_, err := chromedp.Call(b.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone})
	require.NoError(t, err)
	b.visit(m.url + "/history")
	utc := eval[string](b, `document.querySelector('section.card time').textContent`)
	b.press("t")
	const local = `document.querySelector('section.card time').textContent`
	b.until(local + ` !== ` + quote(utc))
	require.Contains(t, eval[string](b, `document.querySelector('section.card h2').textContent`), "UTC", "the heading shows its time zone")
	date := eval[string](b, `new Date(document.querySelector('section.card time').dateTime)
		.toLocaleString('en', {month: 'short', day: 'numeric'})`)
	require.Contains(t, eval[string](b, local), date, "the line shows its local date")

	b.visit(m.url + "/groups/" + string(group))
	b.until(`document.querySelector('#clock').textContent.includes('local')`)
	require.True(t, eval[bool](b, `[...document.querySelectorAll('.axis time')].every(t =>
		t.textContent.includes(new Date(t.dateTime).toLocaleTimeString('en', {hourCycle: 'h23', hour: '2-digit', minute: '2-digit'})))`))
	b.clean()
}

// Single-key shortcuts can be disabled, because speech input types letters. The setting is
// stored.
func TestSingleKeysCanBeSwitchedOff(t *testing.T) {
	m := start(t)
	m.night()
	b := open(t, 1440, 900, false)
	b.visitLive(m.url + "/")
	toggle := func() {
		eval[bool](b, `document.querySelector('#open-keys').click(), document.querySelector('#single').click(),
			document.querySelector('#keys').close(), true`)
	}
	toggle()
	for range 2 {
		b.press("?")
		b.press("h")
		require.False(t, eval[bool](b, `document.querySelector('#keys').open`))
		require.Equal(t, "/", eval[string](b, `location.pathname`))
		b.visitLive(m.url + "/")
	}
	toggle()
	b.press("h")
	b.until(`location.pathname === '/history'`)
	b.clean()
}

// Nobody can scroll on a wall screen, so the page counts the groups below its lower edge.
func TestTheWallCountsWhatIsBelowItsEdge(t *testing.T) {
	m := start(t)
	m.night()
	b := open(t, 1920, 300, false)
	b.visit(m.url + "/?view=wall")
	b.until(`/^\+\d+ groups?(, \d+ critical)?$/.test(document.querySelector('#below').textContent)`)
	require.True(t, eval[bool](b, `(() => {
		const edge = document.querySelector('#below').getBoundingClientRect().top;
		const below = [...document.querySelectorAll('.row')].filter(r => r.getBoundingClientRect().bottom > edge).length;
		return document.querySelector('#below').textContent.startsWith('+' + below + ' ');
	})()`))
	left := eval[int](b, `Math.round(document.querySelector('.brand, header nav, #state').getBoundingClientRect().left)`)
	require.Less(t, left, 40, "the bar is as wide as the page")
	require.NoError(t, chromedp.Do(b.ctx, chromedp.EmulateViewport(1920, 2000)))
	b.until(`document.querySelector('#below').hidden`)
	b.clean()
}

// On a wall screen, sentences are large too, and one instead of the list is in the middle.
func TestTheWallIsReadFromAfar(t *testing.T) {
	m := start(t)
	a := firing("Gone", "critical", "a")
	a.Status, a.EndsAt = grouping.StatusResolved, time.Now().UTC()
	m.notify("Gone", a)
	m.setStorage(grouping.StorageStatus{Mode: "redis", Reason: "refused", DegradedSince: time.Now().Add(-4 * time.Minute)})
	b := open(t, 1920, 1080, false)
	b.visit(m.url + "/?view=wall")
	require.InDelta(t, 960, eval[float64](b, `(r => (r.left + r.right) / 2)(document.querySelector('.empty h2').getBoundingClientRect())`), 20)
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll('.notice, #state, #sum p, .empty p')]
		.filter(n => parseFloat(getComputedStyle(n).fontSize) < 20).map(n => n.textContent)`))
	b.accessible("wall without groups", 1920)
	b.clean()
}

// On a phone the page of a group has a link to its alerts near the top.
func TestAGroupOnAPhone(t *testing.T) {
	m := start(t)
	group, _ := m.night()
	b := open(t, 390, 844, false)
	b.visit(m.url + "/groups/" + string(group))
	require.Less(t, eval[float64](b, `document.querySelector('.jump').getBoundingClientRect().bottom`), 690.0)
	require.True(t, eval[bool](b, `(() => {
		const row = document.querySelector('.alerts tbody tr');
		const state = row.querySelector('.sev').getBoundingClientRect(), age = row.querySelector('.when b').getBoundingClientRect();
		return age.top < state.bottom && age.left > state.right;
	})()`), "state and age are in one line")
	require.True(t, eval[bool](b, `(() => {
		const [label, bar] = [...document.querySelectorAll('.tl > *')].slice(4, 6).map(e => e.getBoundingClientRect());
		return label.right <= bar.left && bar.top < label.bottom;
	})()`), "a label is beside its bar")
	require.False(t, eval[bool](b, `document.querySelector('.actions details').open`))
	require.False(t, eval[bool](b, `document.querySelector('.actions details .btn[href]').checkVisibility()`))
	wide := open(t, 1440, 900, false)
	wide.visit(m.url + "/groups/" + string(group))
	require.True(t, eval[bool](wide, `document.querySelector('.actions details .btn[href]').checkVisibility({contentVisibilityAuto: true})`))
	require.False(t, eval[bool](wide, `document.querySelector('.actions summary').checkVisibility()`))
	b.clean()
	wide.clean()
}

// On a phone the list by label shows names over the whole width.
func TestGroupedByLabelOnAPhone(t *testing.T) {
	m := start(t)
	m.night()
	b := open(t, 390, 844, false)
	b.visit(m.url + "/?by=instance")
	require.True(t, eval[bool](b, `[...document.querySelectorAll('.row.by')].every(r => r.getBoundingClientRect().height < 160 &&
		r.querySelector('.what p').getBoundingClientRect().width > 250)`))
	b.clean()
}

// Good news is not in the color of a warning.
func TestGoodNewsIsCalm(t *testing.T) {
	m := start(t)
	m.night()
	m.setStorage(grouping.StorageStatus{Mode: "redis", Healthy: true, RecoveredAt: time.Now().Add(-time.Minute), WrittenBack: 3})
	b := open(t, 390, 844, false)
	b.visit(m.url + "/")
	require.Equal(t, "rgb(231, 242, 250) 0px 0px", eval[string](b, `(s => s.backgroundColor + ' ' + s.borderLeftWidth + ' ' + s.marginTop)(
		getComputedStyle(document.querySelector('.notice')))`))
	b.clean()
}

// A row on a phone shows its loud marks whole, and what is wrong, whatever stands before them.
func TestChipsAndMarksLeaveRoomOnAPhone(t *testing.T) {
	m := start(t)
	alert := func(instance string) grouping.NotifiedAlert {
		a := firing("KubePodCrashLooping", "warning", instance)
		a.Annotations = grouping.NewLabels(map[string]string{"summary": "Pod is crash looping"})
		return a
	}
	notify := func(receiver string, alerts ...grouping.NotifiedAlert) grouping.ID {
		out, err := m.groups.Ingest(t.Context(), grouping.Notification{
			Key: grouping.Key{Source: "default", Receiver: receiver, GroupKey: "{}"},
			GroupLabels: grouping.NewLabels(map[string]string{
				"alertname": "KubePodCrashLooping", "namespace": "shop", "deployment": "checkout-" + receiver,
			}),
			Alerts: alerts,
		})
		require.NoError(t, err)
		return out.Group.ID
	}
	notify("everyone", alert("a"))
	group := notify("platform", alert("a"))
	_, err := m.groups.Acknowledge(t.Context(), group, grouping.AckRequest{By: grouping.Person{Name: "mira"}})
	require.NoError(t, err)
	b := open(t, 390, 844, false)
	b.visit(m.url + "/") // takes more than the millisecond that stamps can tell apart
	notify("platform", alert("a"), alert("b"))
	b.visit(m.url + "/")
	require.Equal(t, "1 new since mira (not verified) acknowledged",
		eval[string](b, `document.querySelector('.row .loud').textContent.trim()`))
	require.True(t, eval[bool](b, `[...document.querySelectorAll('.row:not(:has(.loud)) .more p')]
		.every(n => n.getClientRects()[0].bottom <= n.closest('.more').getBoundingClientRect().bottom + 1)`), "what is wrong is shown, too")
	require.True(t, eval[bool](b, `(() => {
		const mark = document.querySelector('.row .loud');
		const box = mark.closest('.more');
		const last = [...mark.getClientRects()].at(-1).bottom, end = box.getBoundingClientRect().bottom;
		return box.scrollHeight <= box.clientHeight + 1 || last < end - 5;
	})()`), "an ellipsis would replace the end of the last line")
	b.clean()
}

// Lines end between words: of the counts of a row on a phone, and of the headings of a table.
func TestLinesEndBetweenWords(t *testing.T) {
	m := start(t)
	m.muted()
	m.night()
	b := open(t, 390, 844, false)
	const broken = `[...document.querySelectorAll('.row .n small, .nums th, .h h2')].flatMap(e => [...e.childNodes])
		.filter(n => n.nodeType === 3).flatMap(n => [...n.data.matchAll(/[^\n ]+/g)].map(w => {
			const r = document.createRange();
			r.setStart(n, w.index);
			r.setEnd(n, w.index + w[0].length);
			return r.getClientRects().length > 1 && !w[0].includes('\u00ad') ? w[0] : ''; // a soft hyphen
		})).filter(Boolean)`
	b.visit(m.url + "/")
	require.Contains(t, b.text(), "3 suppressed")
	require.Empty(t, eval[[]string](b, broken))
	b.visit(m.url + "/?state=suppressed")
	require.Less(t, eval[float64](b, `Math.max(...[...document.querySelectorAll('.row.mute .n')].map(n => {
		const r = document.createRange();
		r.setStart(n, 0);
		r.setEndAfter(n.querySelector('b').nextSibling);
		return r.getBoundingClientRect().height;
	}))`), 30.0, "a number and its word are in one line")
	b.visit(m.url + "/report?since=24h")
	for _, width := range []int64{1440, 1000, 722} {
		b.fits("report", width)
		require.Empty(t, eval[[]string](b, broken), width)
	}
	b.clean()
}

// The names of receivers and sources, and reasons, can be long. Nothing becomes wider than the window.
func TestLongNamesFitTheWindow(t *testing.T) {
	m := start(t)
	long := strings.Repeat("namespace/name-of-a-receiver/", 8)
	var group grouping.ID
	for _, name := range []string{"a", long} {
		out, err := m.groups.Ingest(t.Context(), grouping.Notification{
			Key:         grouping.Key{Source: "source-" + strings.Repeat(name, 100)[:100], Receiver: name, GroupKey: "{}"},
			GroupLabels: grouping.LabelsOf([]grouping.Label{{Name: "alertname", Value: "Down"}}),
			Alerts:      []grouping.NotifiedAlert{firing("Down", "critical", name)},
			Reason:      name,
		})
		require.NoError(t, err)
		group = out.Group.ID
	}
	b := open(t, 1440, 900, false)
	for _, url := range []string{
		"/groups/" + string(group), "/?state=all", "/history", "/silences", "/report", "/report?by=receiver", "/status",
	} {
		b.visit(m.url + url)
		for _, width := range []int64{1440, 800, 390, 320} {
			eval[bool](b, `document.querySelectorAll('details').forEach(d => d.open = true) || true`)
			b.fits(url, width)
		}
		require.NoError(t, chromedp.Do(b.ctx, chromedp.EmulateViewport(1440, 900)))
		require.Empty(t, eval[[]string](b, `[...document.querySelectorAll('select')]
			.filter(n => n.getBoundingClientRect().width > 260).map(n => n.name)`), url)
	}
	b.clean()
}

// What stands alone is large enough for a finger: 44 pixels, or 40 if the text around it is larger.
func TestFingersHitWhatStandsAlone(t *testing.T) {
	m := start(t)
	group, _ := m.night()
	empty := start(t)
	b := open(t, 390, 844, false)
	for _, url := range []string{m.url + "/groups/" + string(group), m.url + "/status", empty.url + "/silences", empty.url + "/nothing/here"} {
		b.visit(url)
		require.Empty(t, eval[[]string](b, `[...document.querySelectorAll('.h > a, .h span a, .back a, .empty p > a, main summary')].filter(n => {
			n.scrollIntoView({block: 'center'});
			const r = n.getBoundingClientRect();
			return [-19, 19].some(y => {
				const hit = document.elementFromPoint(r.left + r.width / 2, (r.top + r.bottom) / 2 + y);
				return !n.contains(hit);
			});
		}).map(n => n.textContent)`), url)
	}
	b.clean()
}

// On a phone the status page has a line for each number, and two for a limit at most.
func TestTheStatusOnAPhone(t *testing.T) {
	m := start(t)
	for _, receiver := range []string{"everyone", "platform-on-call", "team-payments"} {
		_, err := m.groups.Ingest(t.Context(), grouping.Notification{
			Key:         grouping.Key{Source: "default", Receiver: receiver, GroupKey: "{}"},
			GroupLabels: grouping.LabelsOf([]grouping.Label{{Name: "alertname", Value: "Down"}}),
			Alerts:      []grouping.NotifiedAlert{firing("Down", "critical", "a")},
		})
		require.NoError(t, err)
	}
	b := open(t, 390, 844, false)
	b.visit(m.url + "/status")
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll('#held dt')].filter(n => n.getBoundingClientRect().height > 30)
		.map(n => n.textContent)`))
	require.Greater(t, eval[int](b, `document.querySelectorAll('#held dt').length`), 10)
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll('#limits tbody tr')].filter(n => n.getBoundingClientRect().height > 64)
		.map(n => n.textContent)`))
	require.NotZero(t, eval[int](b, `document.querySelectorAll('#limits tbody tr').length`))
	b.fits("status", 320)
	b.clean()
}

// A text that fills the screen shows its first lines. Without a script it unfolds, the whole text
// can be selected and found meanwhile, and paper has all of it. The page of the group has a long
// label whole, too.
func TestLongTextsAreFolded(t *testing.T) {
	m := start(t)
	a := firing("Long", "critical", "a")
	query := strings.TrimSpace(strings.Repeat("rate(x) ", 250))
	labels := maps.Collect(a.Labels.All())
	labels["query"] = query
	a.Labels = grouping.NewLabels(labels)
	a.Fingerprint = a.Labels.Fingerprint()
	a.Annotations = grouping.NewLabels(map[string]string{
		"description": strings.Repeat("word ", 390) + "last", "stack": strings.Repeat("at\n", 40), "short": strings.Repeat("w ", 60),
		"runbook_url": "https://runbooks.example.net/" + strings.Repeat("x/", 400),
	})
	group := m.notify("Long", a)
	_, err := m.groups.AddNote(t.Context(), group, grouping.NoteRequest{
		ID: "n1", By: grouping.Person{Name: "mira"}, Text: strings.Repeat("note ", 400),
	})
	require.NoError(t, err)
	b := open(t, 390, 844, false)
	_, err = chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)
	for url, folded := range map[string]int{"/groups/" + string(group): 6, "/alerts/" + string(a.Fingerprint): 5} {
		b.visit(m.url + url)
		require.Equal(t, folded, eval[int](b, `document.querySelectorAll('.long').length`), url)
		require.LessOrEqual(t, eval[float64](b, `Math.max(...[...document.querySelectorAll('.lead, .says, dd, .chip')]
			.map(n => n.getBoundingClientRect().height))`), 260.0, url)
		require.GreaterOrEqual(t, eval[float64](b, `document.querySelector('.long summary').getBoundingClientRect().height`), 44.0)
		require.Contains(t, eval[string](b, `(getSelection().selectAllChildren(document.querySelector('.lead')),
			String(getSelection()))`), "word last")
		require.NoError(t, chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(".lead summary"))))
		b.until(`document.querySelector('.lead').getBoundingClientRect().height > 400`)
		require.Equal(t, "All 1\u202f954 characters", eval[string](b, `document.querySelector('.lead summary').textContent`))
		b.fits(url, 320)
		require.NoError(t, chromedp.Do(b.ctx, chromedp.EmulateViewport(390, 844)))
		require.Contains(t, eval[string](b, `[...document.querySelectorAll('dt')].find(n => n.textContent === 'Label: query')
			.nextElementSibling.textContent`),
			query)
		_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
		require.NoError(t, err)
		require.True(t, eval[bool](b, `[...document.querySelectorAll('.long')].every(n => n.scrollHeight <= n.clientHeight + 1 &&
			n.getBoundingClientRect().height > 300)`), "paper has the whole text")
		_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: ""})
		require.NoError(t, err)
	}
	b.clean()
}
