package browser

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/demo"
	"muster/internal/person"
	"muster/internal/testserver"
	"muster/receiver"
)

// states returns the URLs of all pages in all their states.
func states(t *testing.T) map[string]string {
	t.Helper()
	night := start(t)
	group, alert := night.night()
	quiet := start(t)
	a := firing("Gone", "critical", "a")
	a.Status, a.EndsAt = grouping.StatusResolved, time.Now().UTC()
	quiet.notify("Gone", a)
	degraded := start(t)
	degraded.night()
	degraded.setStorage(grouping.StorageStatus{
		Mode: "redis", Reason: "refused", DegradedSince: time.Now().Add(-4 * time.Minute), DirtyGroups: 3, Partial: true,
	})
	truncated := start(t)
	_, err := truncated.groups.Ingest(context.Background(), grouping.Notification{
		Key: grouping.Key{
			Source:   "default",
			Receiver: "team",
			GroupKey: "truncated",
		}, GroupLabels: grouping.NewLabels(map[string]string{"namespace": "payments"}),
		Alerts: []grouping.NotifiedAlert{firing("Cut", "warning", "a")}, Truncated: 37, ExternalURL: "http://am",
	})
	require.NoError(t, err)
	unreported := start(t)
	unreported.notify("Muted", firing("Muted", "warning", "a"), firing("Muted", "warning", "b"))
	unreported.notify("Muted", firing("Muted", "warning", "b"))
	muted := start(t)
	mutedGroup, mutedAlert := muted.muted()
	people := start(t)
	joined := people.people()
	readOnly := startWith(t, testserver.Options{People: person.Policy{ReadOnly: true}})
	clusters := start(t)
	for _, key := range []grouping.Key{
		{Source: "production-eu-central", Receiver: "team-payments"},
		{Source: "staging", Receiver: "pager"},
		{Source: "staging", Receiver: "team-payments"},
	} {
		key.GroupKey = "both"
		_, err := clusters.groups.Ingest(context.Background(), grouping.Notification{
			Key: key, GroupLabels: grouping.LabelsOf([]grouping.Label{{Name: "alertname", Value: "CrashLoop"}}),
			Alerts:      []grouping.NotifiedAlert{firing("CrashLoop", "critical", "a")},
			ExternalURL: "http://am." + key.Source,
		})
		require.NoError(t, err)
	}
	everywhere := clusters.url + "/alerts/" + string(firing("CrashLoop", "critical", "a").Fingerprint)
	shown := start(t)
	play, stop := context.WithCancel(t.Context())
	played := make(chan error, 1)
	go func() {
		played <- demo.Play(play, demo.Target{
			Handler: shown.server, WebhookPath: receiver.Path, EventsPath: receiver.EventsPath, Polls: shown.groups, People: shown.groups,
		}, promslog.NewNopLogger())
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-played)
	})
	require.Eventually(t, func() bool {
		stats, err := shown.groups.Totals(t.Context())
		return err == nil && stats.Groups[grouping.StateFiring] > 8
	}, 10*time.Second, 10*time.Millisecond)
	return map[string]string{
		"demo":        shown.url + "/",
		"demo all":    shown.url + "/?state=all",
		"groups":      night.url + "/",
		"by label":    night.url + "/?by=severity",
		"filtered":    night.url + "/?filter=" + `severity%3D"critical"`,
		"bad filter":  night.url + "/?filter=severity%3D%3D%221%22",
		"no match":    night.url + "/?filter=" + `severity%3D"nosuch"`,
		"wall":        night.url + "/?view=wall",
		"group":       night.url + "/groups/" + string(group),
		"alert":       night.url + "/alerts/" + string(alert),
		"history":     night.url + "/history",
		"report":      night.url + "/report?since=24h",
		"report list": night.url + "/report/list?since=24h&number=firing",
		"report note": night.url + "/report/list?since=24h&number=notifications",
		"no report":   night.url + "/report?since=24h&filter=nosuch",
		"bad report":  night.url + "/report?by=severity&filter=severity%3D%3D%221%22",
		"status":      night.url + "/status",
		"help":        night.url + "/help",
		"no group":    night.url + "/groups/00000000000000000000",
		"not found":   night.url + "/nothing/here",
		"first start": start(t).url + "/",
		"quiet":       quiet.url + "/",
		"degraded":    degraded.url + "/",
		"truncated":   truncated.url + "/",
		"unreported":  unreported.url + "/?state=all",

		"muted":           muted.url + "/",
		"suppressed":      muted.url + "/?state=suppressed",
		"inhibited":       muted.url + "/?state=suppressed&cause=inhibition",
		"muted group":     muted.url + "/groups/" + string(mutedGroup),
		"muted alert":     muted.url + "/alerts/" + string(mutedAlert),
		"silences":        muted.url + "/silences",
		"active silences": muted.url + "/silences?state=active",
		"bad silences":    muted.url + "/silences?filter=a%3D%3D%221%22",
		"silence":         muted.url + "/silences/s1",
		"pending":         muted.url + "/silences/s2",
		"expired":         muted.url + "/silences/s0",
		"no silence":      muted.url + "/silences/none",
		"no silences":     night.url + "/silences",
		"muted history":   muted.url + "/history?kind=all",
		"muted status":    muted.url + "/status",
		"none suppressed": night.url + "/?state=suppressed",

		"people":            people.url + "/",
		"people filter":     people.url + "/?filter=Joined,Own&ack=new",
		"people bulk":       people.url + "/ack?filter=severity%3D%22critical%22",
		"people bulk none":  people.url + "/ack?filter=nosuch",
		"people group":      people.url + "/groups/" + string(joined),
		"people group past": people.url + "/groups/" + string(joined) + "?at=0s",
		"read-only":         readOnly.url + "/groups/" + string(readOnly.people()),

		"past":           night.url + "/?at=0s",
		"past by label":  night.url + "/?by=severity&at=0s",
		"past group":     night.url + "/groups/" + string(group) + "?at=0s",
		"past alert":     night.url + "/alerts/" + string(alert) + "?at=0s",
		"past no match":  night.url + "/?filter=nosuch&at=0s",
		"past no group":  night.url + "/groups/00000000000000000000?at=0s",
		"before history": night.url + "/?at=-10d",
		"bad time":       night.url + "/?at=soon",
		"gap":            startInGap(t).url + "/?at=-1m",

		"clusters":             clusters.url + "/",
		"one cluster":          clusters.url + "/?source=staging",
		"history of clusters":  clusters.url + "/history?source=staging",
		"alert in clusters":    everywhere,
		"alert in one cluster": everywhere + "?source=staging",
		"help of clusters":     clusters.url + "/help",
		"bad address":          clusters.url + "/?sort=nosuch&limit=0",
	}
}

// Every page in every state is tested with two widths and both color schemes. There are no
// script errors and no violations of the content security policy.
func TestPagesAreAccessible(t *testing.T) {
	b := open(t, 1440, 900, false)
	for name, url := range states(t) {
		b.visit(url)
		b.accessible(name, 1440, 390)
		b.fits(name, 320) // as a window of 640 pixels with a zoom of 200 %: WCAG 1.4.10
		b.clean()
	}
}

func TestFirstViewIsSmallAndOurs(t *testing.T) {
	m := start(t)
	for i := range 50 {
		name := fmt.Sprintf("Alert%02d", i)
		m.notify(name, firing(name, "critical", "a"), firing(name, "critical", "b"))
	}
	b := open(t, 1440, 900, false)
	var (
		mu    sync.Mutex
		bytes float64
		urls  []string
	)
	_, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	require.NoError(t, chromedp.Listen(b.ctx, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := ev.(type) {
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, "data:") { // the picture of a date field is the browser's own
				urls = append(urls, e.Request.URL)
			}
		case *network.EventLoadingFinished:
			bytes += e.EncodedDataLength
		}
	}))
	b.visitLive(m.url + "/")
	require.Equal(t, 50, eval[int](b, `document.querySelectorAll('#rows article').length`))
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d requests, %.0f bytes", len(urls), bytes)
	require.Less(t, bytes, 50_000.0)
	require.LessOrEqual(t, len(urls), 5)
	for _, u := range urls {
		require.True(t, strings.HasPrefix(u, m.url), u)
	}
}

func TestScreenShowsEnough(t *testing.T) {
	m := start(t)
	for i := range 16 {
		name := fmt.Sprintf("KubeSomething%02d", i)
		m.notify(name, firing(name, "critical", "a"), firing(name, "critical", "b"))
	}
	const visible = `[...document.querySelectorAll('#rows article')].filter(r => r.getBoundingClientRect().bottom <= innerHeight).length`
	phone := open(t, 390, 844, false)
	phone.visit(m.url + "/")
	require.GreaterOrEqual(t, eval[int](phone, visible), 6)
	desk := open(t, 1440, 900, false)
	desk.visit(m.url + "/")
	require.GreaterOrEqual(t, eval[int](desk, visible), 10)
}

func TestKeyboardAloneReachesEverything(t *testing.T) {
	m := start(t)
	m.night()
	b := open(t, 1440, 900, false)
	b.visitLive(m.url + "/")
	b.press("/")
	b.until(`document.activeElement.id === 'f'`)
	b.press("\x1b")
	b.until(`document.activeElement.id !== 'f'`)
	b.press("j")
	first := eval[string](b, `document.activeElement.href`)
	require.Contains(t, first, "/groups/")
	b.press("j")
	require.NotEqual(t, first, eval[string](b, `document.activeElement.href`))
	b.press("k")
	require.Equal(t, first, eval[string](b, `document.activeElement.href`))
	b.press("\r")
	// The page handles keys only after its script has started.
	const running = ` && ` + isLive
	b.until(`location.href === ` + quote(first) + running)
	b.press("g")
	b.until(`location.pathname === '/'` + running)
	b.press("?")
	b.until(`document.querySelector('#keys').open`)
	b.press("\x1b")
	b.until(`!document.querySelector('#keys').open`)
	// The first focusable link skips the navigation.
	b.visit(m.url + "/")
	b.press("\t")
	require.Equal(t, "#main", eval[string](b, `document.activeElement.getAttribute('href')`))
	b.clean()
}

func TestWithoutScript(t *testing.T) {
	m := start(t)
	m.night()
	b := open(t, 1440, 900, false)
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)
	b.visit(m.url + "/")
	require.NoError(t, chromedp.Do(b.ctx,
		chromedp.SendKeys(chromedp.CSS("#f"), `alertname="CrashLoop"`),
		chromedp.Click(chromedp.CSS("#filter button"))))
	require.Eventually(t, func() bool {
		where, err := chromedp.Run(b.ctx, chromedp.Location())
		return err == nil && strings.Contains(where, "filter=")
	}, 10*time.Second, 20*time.Millisecond)
	html, err := chromedp.Run(b.ctx, chromedp.OuterHTML(chromedp.CSS("#rows")))
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(html, "<article"))
	require.NoError(t, chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS("#rows h2 a"))))
	require.Eventually(t, func() bool {
		where, err := chromedp.Run(b.ctx, chromedp.Location())
		return err == nil && strings.Contains(where, "/groups/")
	}, 10*time.Second, 20*time.Millisecond)
}

func TestPrintAndReducedMotion(t *testing.T) {
	m := start(t)
	group, _ := m.night()
	b := open(t, 1440, 900, false)
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	require.NoError(t, err)
	b.visit(m.url + "/groups/" + string(group))
	require.Equal(t, "none", eval[string](b, `getComputedStyle(document.querySelector('nav')).display`), "no navigation on paper")
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll('#ack, #notes, #close, summary, .h > a')]
		.filter(n => n.checkVisibility()).map(n => n.id + n.textContent)`), "no parts whose form is not on paper")
	const moving = `[...document.querySelectorAll('*')].filter(n => {
		const s = getComputedStyle(n);
		return s.animationName !== 'none' && parseFloat(s.animationDuration) > 0.01 || parseFloat(s.transitionDuration) > 0.01;
	}).length`
	require.Zero(t, eval[int](b, moving))
}
