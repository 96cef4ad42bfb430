//go:build compare

package browser

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// TestCompare compares Muster's list with Alertmanager's page, in one run and with the
// same alerts. It prints a table, and fails if Muster misses a target. `make compare` runs
// it. COMPARE_RUNS is the number of measurements of each time. COMPARE_PICTURES is a folder
// for screenshots of both.
func TestCompare(t *testing.T) {
	runs, err := strconv.Atoi(cmp.Or(os.Getenv("COMPARE_RUNS"), "7"))
	require.NoError(t, err)
	var c comparison
	// Print the table also if the test fails.
	t.Cleanup(func() { fmt.Println(c.markdown()) })

	var slowSmall time.Duration
	t.Run("small", func(t *testing.T) {
		am, muster := pair(t, small(), smallGroups, "10s")
		first := [2]view{look(t, am, fast), look(t, muster, fast)}
		detail := look(t, side{url: first[1].detail, title: "h1", group: "h1"}, fast)
		c.add("transfer, list", kilobytes(first[0].bytes), kilobytes(first[1].bytes), "≤ 25 KB, and ≤ Alertmanager",
			first[1].bytes <= min(25_000, first[0].bytes))
		c.add("transfer, one group", "as the list", kilobytes(detail.bytes), "≤ 25 KB", detail.bytes <= 25_000)
		c.add("requests / requests to other hosts", fmt.Sprintf("%d / %d", first[0].requests, first[0].foreign),
			fmt.Sprintf("%d / %d", first[1].requests, first[1].foreign), "≤ 5 / 0, and ≤ Alertmanager",
			first[1].requests <= min(5, first[0].requests) && first[1].foreign == 0 && detail.foreign == 0)
		c.add("DOM elements", strconv.Itoa(first[0].elements), strconv.Itoa(first[1].elements), "", true)
		amFast, musterFast := alternate(t, runs, am, muster, fast)
		c.add("content visible, fast net", millis(amFast), millis(musterFast), "≤ Alertmanager", musterFast <= amFast)
		amSlow, musterSlow := alternate(t, runs, am, muster, slow)
		c.add("content visible, slow 4G, CPU ÷ 4", millis(amSlow), millis(musterSlow), "≤ 0.6 × Alertmanager", musterSlow <= amSlow*6/10)
		slowSmall = musterSlow
		c.accessibility(t, am, muster, first[1].detail)
		c.screens(t, am, muster)
		c.withoutScript(t, am, muster)
		pictures(t, am)
		pictures(t, muster)
		c.backendKilled(t, am, muster)
	})
	t.Run("large", func(t *testing.T) {
		am, muster := pair(t, large(), largeGroups, "1h")
		first := look(t, muster, fast)
		c.add("DOM elements, 6,038 alerts", "not counted", strconv.Itoa(first.elements)+", 100 rows", "≤ 3,000", first.elements <= 3000)
		c.add("transfer, 6,038 alerts", kilobytes(look(t, am, fast).bytes), kilobytes(first.bytes), "≤ 25 KB", first.bytes <= 25_000)
		amLarge, musterLarge := alternate(t, runs, am, muster, slow)
		c.add("content visible, slow 4G, CPU ÷ 4, 6,038 alerts", millis(amLarge), millis(musterLarge), "≤ 2 × Muster's small page",
			slowSmall > 0 && musterLarge <= 2*slowSmall)
	})
	for _, r := range c.rows {
		require.True(t, r.met, "target missed: %s: Alertmanager %s, Muster %s, target %s", r.what, r.alertmanager, r.muster, r.gate)
	}
}

// comparison is the table of results.
type comparison struct{ rows []compared }

type compared struct {
	what, alertmanager, muster, gate string
	met                              bool
}

func (c *comparison) add(what, alertmanager, muster, gate string, met bool) {
	c.rows = append(c.rows, compared{what, alertmanager, muster, gate, met})
}

func (c *comparison) markdown() string {
	var b strings.Builder
	b.WriteString("\n| | Alertmanager | Muster | Muster : Alertmanager | gate | |\n|---|---|---|---|---|---|\n")
	for _, r := range c.rows {
		verdict := "met"
		switch {
		case r.gate == "":
			verdict = ""
		case !r.met:
			verdict = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.what, r.alertmanager, r.muster, ratio(r.muster, r.alertmanager), r.gate, verdict)
	}
	return b.String()
}

// ratio returns the ratio of two cells, or "" unless both begin with a number and have the
// same unit.
func ratio(a, b string) string {
	number := func(s string) (float64, string) {
		value, unit, _ := strings.Cut(s, " ")
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, ""
		}
		return f, unit
	}
	x, unit := number(a)
	y, other := number(b)
	if y == 0 || unit != other || (unit != "KB" && unit != "ms" && unit != "") {
		return ""
	}
	return strconv.FormatFloat(x/y, 'f', 2, 64)
}

func kilobytes(n float64) string { return fmt.Sprintf("%.1f KB", n/1000) }

func millis(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// line is the network and the CPU of a reader.
type line struct {
	latency float64 // latency of each request in ms
	rate    float64 // bytes per second, -1 means no limit
	cpu     float64 // slowdown factor of the CPU
}

var (
	fast = line{rate: -1, cpu: 1}
	// The slow 4G of Lighthouse, and a cheap phone.
	slow = line{latency: 150, rate: 1.6e6 / 8, cpu: 4}
)

// view has the measurements of one load of a page.
type view struct {
	visible           time.Duration // time until the name of the first group is painted
	bytes             float64       // bytes on the network, including headers
	requests, foreign int
	elements          int
	detail            string // URL of the first group's page
}

// traffic records the requests of a tab.
type traffic struct {
	mu                sync.Mutex
	host              string
	bytes             float64                   // guarded by mu
	requests, foreign int                       // guarded by mu
	open              map[network.RequestID]any // guarded by mu; without event streams, which never end
	changed           time.Time                 // guarded by mu
}

func (r *traffic) record(ev any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if err != nil || u.Scheme == "data" {
			return
		}
		r.requests++
		if u.Host != r.host {
			r.foreign++
		}
		if e.Type != network.ResourceTypeEventSource {
			r.open[e.RequestID] = nil
		}
	case *network.EventLoadingFinished:
		r.bytes += e.EncodedDataLength
		delete(r.open, e.RequestID)
	case *network.EventLoadingFailed:
		delete(r.open, e.RequestID)
	default:
		return
	}
	r.changed = time.Now()
}

// quiet reports whether all requests have finished, and no new ones were sent lately.
func (r *traffic) quiet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open) == 0 && time.Since(r.changed) > 500*time.Millisecond
}

// look loads a page without a cache and without an open connection.
func look(t *testing.T, s side, l line) view {
	t.Helper()
	created, cancel := newTab(chromedp.WithNewBrowserContext())
	defer cancel()
	ctx, stop := context.WithTimeout(created, 5*time.Minute)
	defer stop()
	b := &tab{t: t, ctx: ctx}
	at, err := url.Parse(s.url)
	require.NoError(t, err)
	r := &traffic{host: at.Host, open: map[network.RequestID]any{}}
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(1440, 900)))
	require.NoError(t, chromedp.Listen(ctx, r.record))
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	if l.latency > 0 {
		_, err = chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{{Latency: l.latency, DownloadThroughput: l.rate, UploadThroughput: l.rate}},
		})
		require.NoError(t, err)
	}
	_, err = chromedp.Call(ctx, emulation.SetCPUThrottlingRate, emulation.SetCPUThrottlingRateParams{Rate: l.cpu})
	require.NoError(t, err)
	// The browser reports when it painted a marked element. The text may belong to the
	// block around the title, so that block is marked, too.
	_, err = chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `
		new MutationObserver(() => {
			const title = document.querySelector(` + quote(s.title) + `);
			if (!title || title.hasAttribute('elementtiming')) return;
			for (let n = title; n; n = n.matches(` + quote(s.group) + `) ? null : n.parentElement) n.setAttribute('elementtiming', 'title');
		}).observe(document, {childList: true, subtree: true});
		new PerformanceObserver(l => {
			for (const e of l.getEntries()) window.visibleAt = Math.min(window.visibleAt || 1e9, e.renderTime);
		}).observe({type: 'element', buffered: true});`})
	require.NoError(t, err)
	b.visit(s.url)
	require.Eventually(t, func() bool {
		seen, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`window.visibleAt > 0`))
		return err == nil && seen && r.quiet()
	}, 2*time.Minute, 50*time.Millisecond, "%s shows a group", s.url)
	require.True(t, known(eval[string](b, `document.querySelector(`+quote(s.title)+`).textContent`)), "the title must be a name of the load")
	v := view{
		visible:  time.Duration(eval[float64](b, `visibleAt`) * float64(time.Millisecond)),
		elements: eval[int](b, `document.querySelectorAll('*').length`),
		detail:   eval[string](b, `(document.querySelector(`+quote(s.title)+`).href || '')`),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	v.bytes, v.requests, v.foreign = r.bytes, r.requests, r.foreign
	return v
}

// known reports whether the text contains the name of an alert of the load.
func known(text string) bool {
	for _, s := range story {
		if strings.Contains(text, s.name) {
			return true
		}
	}
	return false
}

// alternate measures both in turns, so that other load of the machine affects both. It
// returns the medians.
func alternate(t *testing.T, runs int, am, muster side, l line) (amMedian, musterMedian time.Duration) {
	t.Helper()
	var times [2][]time.Duration
	for range runs {
		for i, s := range []side{am, muster} {
			times[i] = append(times[i], look(t, s, l).visible)
		}
	}
	for i := range times {
		slices.Sort(times[i])
	}
	t.Logf("Alertmanager %v, Muster %v", times[0], times[1])
	return times[0][runs/2], times[1][runs/2]
}

// loaded opens a page and waits for its first group. Callers must close the tabs: a browser
// opens at most six connections to a server, and a live page uses one.
func loaded(t *testing.T, s side, width, height int64, dark bool) *tab {
	t.Helper()
	b := open(t, width, height, dark)
	b.visit(s.url)
	b.until(`document.querySelector(` + quote(s.title) + `) !== null`)
	return b
}

func (c *comparison) accessibility(t *testing.T, am, muster side, detail string) {
	t.Helper()
	count := func(s side) (rules, nodes int) {
		for _, width := range []int64{1440, 390} {
			for _, dark := range []bool{false, true} {
				b := loaded(t, s, width, 900, dark)
				eval[bool](b, axe+"; true")
				found := eval[map[string]int](b, `axe.run().then(r => Object.fromEntries(r.violations.map(v => [v.id, v.nodes.length])))`)
				n := 0
				for _, count := range found {
					n += count
				}
				b.close()
				t.Logf("axe, %s %d dark %t: %v", s.url, width, dark, found)
				rules, nodes = max(rules, len(found)), max(nodes, n)
			}
		}
		return rules, nodes
	}
	amRules, amNodes := count(am)
	rules, nodes := count(muster)
	detailRules, detailNodes := count(side{url: detail, title: "h1"})
	c.add("axe-core violations, list: rules / elements, the worst of both widths and schemes", fmt.Sprintf("%d / %d", amRules, amNodes),
		fmt.Sprintf("%d / %d", rules, nodes), "0 / 0", rules+nodes+detailRules+detailNodes == 0)
}

func (c *comparison) screens(t *testing.T, am, muster side) {
	t.Helper()
	for _, screen := range []struct {
		width, height int64
		minimum       int
	}{{390, 844, 6}, {1440, 900, 10}} {
		var n [2]int
		for i, s := range []side{am, muster} {
			b := loaded(t, s, screen.width, screen.height, false)
			n[i] = eval[int](b, `[...document.querySelectorAll(`+quote(s.group)+`)]
				.filter(r => r.getBoundingClientRect().bottom <= innerHeight).length`)
			b.close()
		}
		c.add(fmt.Sprintf("whole groups in the first screen, %d×%d", screen.width, screen.height), strconv.Itoa(n[0]), strconv.Itoa(n[1]),
			fmt.Sprintf("≥ %d, and ≥ Alertmanager", screen.minimum), n[1] >= max(screen.minimum, n[0]))
	}
	var wide [2]int
	for i, s := range []side{am, muster} {
		b := loaded(t, s, 320, 568, false)
		wide[i] = eval[int](b, `document.documentElement.scrollWidth`)
		b.close()
	}
	c.add("page width in a window of 320 px", fmt.Sprintf("%d px", wide[0]), fmt.Sprintf("%d px", wide[1]), "≤ 320 px", wide[1] <= 320)
}

func (c *comparison) withoutScript(t *testing.T, am, muster side) {
	t.Helper()
	var groups [2]int
	for i, s := range []side{am, muster} {
		b := open(t, 1440, 900, false)
		_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		require.NoError(t, err)
		b.visit(s.url)
		html, err := chromedp.Run(b.ctx, chromedp.OuterHTML(chromedp.CSS("body")))
		require.NoError(t, err)
		for _, story := range story {
			if strings.Contains(html, story.name) {
				groups[i]++
			}
		}
		b.close()
	}
	c.add("JavaScript off: names of groups shown",
		fmt.Sprintf("%d of %d", groups[0], smallGroups), fmt.Sprintf("%d of %d", groups[1], smallGroups), "all", groups[1] == smallGroups)
}

// watched is how long a page is observed after its server was killed.
const watched = 25 * time.Second

func (c *comparison) backendKilled(t *testing.T, am, muster side) {
	t.Helper()
	amTab, musterTab := loaded(t, am, 1440, 900, false), loaded(t, muster, 1440, 900, false)
	musterTab.until(isLive)
	const all = `document.title + document.body.innerText`
	before := eval[string](amTab, all)
	groups := eval[int](musterTab, `document.querySelectorAll('#rows article').length`)
	am.kill()
	muster.kill()
	killed := time.Now()
	const stale = `document.querySelector('#state.lost #word')`
	musterTab.until(stale + ` !== null && document.title.startsWith('(!)')`)
	after := time.Since(killed)
	// The page shows the age of its data, which grows.
	const silence = `+((document.querySelector('#word').textContent.match(/No data for (\d+)s/) || [])[1] || 0)`
	require.Eventually(t, func() bool { return eval[int](musterTab, silence) > 0 }, watched, 100*time.Millisecond)
	first := eval[int](musterTab, silence)
	require.Eventually(t, func() bool { return eval[int](musterTab, silence) > first+2 }, watched, 100*time.Millisecond)
	stays := eval[int](musterTab, `document.querySelectorAll('#rows article').length`) == groups

	says := "no change within 25 s; data stays"
	deadline := killed.Add(watched)
	for time.Now().Before(deadline) {
		if eval[string](amTab, all) != before {
			says = fmt.Sprintf("the page changes after %.0f s", time.Since(killed).Seconds())
			break
		}
		// Wait in the page: the test cannot see when the page changes.
		eval[bool](amTab, `new Promise(done => setTimeout(() => done(true), 200))`)
	}
	c.add("server killed while the page is open", says,
		fmt.Sprintf("marked after %.1f s; data %s; the age counts up", after.Seconds(), map[bool]string{true: "stays", false: "is lost"}[stays]),
		"marked ≤ 10 s, data stays, age counts up", after <= 10*time.Second && stays)
}

// pictures takes screenshots for a visual comparison.
func pictures(t *testing.T, s side) {
	t.Helper()
	folder := os.Getenv("COMPARE_PICTURES")
	if folder == "" {
		return
	}
	require.NoError(t, os.MkdirAll(folder, 0o750))
	for _, width := range []int64{390, 1440} {
		for _, scheme := range []string{"light", "dark"} {
			b := loaded(t, s, width, map[int64]int64{390: 844, 1440: 900}[width], scheme == "dark")
			png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
			b.close()
			require.NoError(t, err)
			file := filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", strings.ToLower(s.name), width, scheme))
			require.NoError(t, os.WriteFile(file, png, 0o600))
		}
	}
}
