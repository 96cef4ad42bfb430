// Package browser tests Muster's pages in a real Chromium.
package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/storage"
	"muster/storage/redis"
	"muster/web"
)

// newTab opens a tab in the browser that all tests share.
var newTab func(...chromedp.ContextOption) (context.Context, context.CancelFunc)

func TestMain(m *testing.M) {
	if os.Getenv("SHORT") == "1" {
		fmt.Println("SHORT=1: skipping the tests in a browser")
		os.Exit(0)
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		fmt.Fprintln(os.Stderr, "install Chromium (Debian: apt-get install chromium), or set SHORT=1")
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "muster-browser")
	if err != nil {
		panic(err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(dir),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	browser, cancelBrowser := chromedp.NewContext(ctx)
	if err := chromedp.Do(browser); err != nil {
		panic(err)
	}
	newTab = func(opts ...chromedp.ContextOption) (context.Context, context.CancelFunc) {
		return chromedp.NewContext(browser, opts...)
	}
	code := m.Run()
	cancelBrowser()
	cancel()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// muster is a Muster that runs in this process.
type muster struct {
	t       *testing.T
	groups  *grouping.Manager
	server  *testserver.Server
	url     string
	address string
	http    *http.Server
}

func start(t *testing.T) *muster {
	t.Helper()
	return startOn(t, storage.NewMemory(storage.DefaultMemoryOptions()), grouping.NewClock())
}

// startReplica starts one of several replicas with the same Redis.
func startReplica(t *testing.T, redisURL string) *muster {
	t.Helper()
	opts := redis.DefaultOptions()
	opts.URL = redisURL
	backend, err := redis.New(opts)
	require.NoError(t, err)
	clock := grouping.NewClock()
	tiered, err := storage.NewTiered(storage.NewMemory(storage.DefaultMemoryOptions()), backend, clock, nil, promslog.NewNopLogger(),
		storage.DefaultTieredOptions())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tiered.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, backend.Close())
	})
	<-tiered.Restored()
	return startOn(t, tiered, clock)
}

func startOn(t *testing.T, groups grouping.GroupStorage, clock *grouping.Clock) *muster {
	t.Helper()
	return startWith(t, testserver.Options{Storage: groups, Clock: clock})
}

func startWith(t *testing.T, with testserver.Options) *muster {
	t.Helper()
	with.Groups = grouping.DefaultOptions
	with.Groups.StaleAfter, with.Groups.Retention = time.Hour, time.Hour
	m := &muster{t: t, server: testserver.New(t, with)}
	m.groups = m.server.Manager
	m.listen("127.0.0.1:0")
	t.Cleanup(m.stop)
	return m
}

func (m *muster) listen(address string) {
	m.t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", address)
	require.NoError(m.t, err)
	m.address = l.Addr().String()
	m.url = "http://" + m.address
	m.http = web.NewHTTPServer(m.server, promslog.NewNopLogger())
	go func(s *http.Server) { _ = s.Serve(l) }(m.http)
}

// stop closes all connections, like a crash.
func (m *muster) stop() { _ = m.http.Close() }

func (m *muster) setStorage(s grouping.StorageStatus) { m.server.SetStatus(s) }

// notify ingests a notification that lists the alerts of one group.
func (m *muster) notify(name string, alerts ...grouping.NotifiedAlert) grouping.ID {
	m.t.Helper()
	n := grouping.Notification{
		Key: grouping.Key{Source: "default", Receiver: "team", GroupKey: "{}:{alertname=" + name + "}"},
		GroupLabels: grouping.NewLabels(
			map[string]string{"alertname": name},
		), Alerts: alerts, ExternalURL: "http://alertmanager.example.net:9093",
		Reason: "new alerts added",
	}
	out, err := m.groups.Ingest(context.Background(), n)
	require.NoError(m.t, err)
	return out.Group.ID
}

func firing(name, severity, instance string) grouping.NotifiedAlert {
	l := grouping.NewLabels(map[string]string{"alertname": name, "severity": severity, "instance": instance})
	return grouping.NotifiedAlert{
		Fingerprint: l.Fingerprint(), Status: grouping.StatusFiring, Labels: l,
		Annotations: grouping.NewLabels(
			map[string]string{"summary": name + " on " + instance, "runbook_url": "https://runbooks.example.net/" + name},
		),
		GeneratorURL: "https://prometheus.example.net/graph?g0.expr=up",
		StartsAt:     time.Now().Add(-10 * time.Minute).UTC(),
	}
}

// night ingests the alerts of a bad night. It returns a group, and a resolved alert of
// this group.
func (m *muster) night() (group grouping.ID, alert grouping.Fingerprint) {
	m.t.Helper()
	m.notify("Watchdog", firing("Watchdog", "none", "prometheus"))
	for i := range 12 {
		name := fmt.Sprintf("Alert%02d", i)
		m.notify(name, firing(name, []string{"critical", "warning", "info"}[i%3], "a"), firing(name, "warning", "b"))
	}
	a := firing("CrashLoop", "critical", "pod-1")
	m.notify("CrashLoop", a, firing("CrashLoop", "critical", "pod-2"))
	a.Status, a.EndsAt = grouping.StatusResolved, time.Now().UTC()
	return m.notify("CrashLoop", a, firing("CrashLoop", "critical", "pod-2")), a.Fingerprint
}

// tab is a browser tab that records its problems.
type tab struct {
	t     *testing.T
	ctx   context.Context
	close func()

	mu       sync.Mutex
	problems []string // guarded by mu
}

// open opens a tab. It records script errors, violations of the content security policy
// and dialogs as problems. Without options, all tabs have the same cookies, also those of other
// tests: a cookie does not depend on the port.
func open(t *testing.T, width, height int64, dark bool, opts ...chromedp.ContextOption) *tab {
	t.Helper()
	created, cancel := newTab(opts...)
	ctx, stop := context.WithTimeout(created, 5*time.Minute) // the tests of other packages use the cores too
	b := &tab{t: t, ctx: ctx, close: func() {
		stop()
		cancel()
	}}
	t.Cleanup(b.close)
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, height)))
	b.scheme(dark)
	require.NoError(t, chromedp.Listen(ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.problem("exception: " + e.ExceptionDetails.Text)
		case *page.EventJavascriptDialogOpening:
			b.problem("dialog: " + e.Message)
		}
	}))
	_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `window.violations = [];
			addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective + ' ' + e.blockedURI));`,
	})
	require.NoError(t, err)
	return b
}

// scheme sets the color scheme of the tab. An open page changes at once.
func (b *tab) scheme(dark bool) {
	b.t.Helper()
	value := "light"
	if dark {
		value = "dark"
	}
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	})
	require.NoError(b.t, err)
}

func (b *tab) problem(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, text)
}

func (b *tab) visit(url string) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, chromedp.Navigate(url)))
}

// isLive is true when the page receives live updates.
const isLive = `document.querySelector('#word').textContent === 'Live'`

// visitLive visits a page and waits until it receives live updates.
func (b *tab) visitLive(url string) {
	b.t.Helper()
	b.visit(url)
	b.until(isLive)
}

// clean asserts that the tab has had no problems so far.
func (b *tab) clean() {
	b.t.Helper()
	require.Empty(b.t, eval[[]string](b, `violations`), "content security policy")
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.problems)
}

func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, expression)
	return v
}

// until waits until the expression is true.
func (b *tab) until(expression string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		v, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression))
		return err == nil && v
	}, 15*time.Second, 20*time.Millisecond, expression)
}

func (b *tab) press(keys string) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, chromedp.KeyEvent(keys)))
}

// quote returns a text as a JavaScript string.
func quote(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

// text returns the visible text of the page.
func (b *tab) text() string {
	return strings.Join(strings.Fields(eval[string](b, `document.body.innerText`)), " ")
}
