package alertmanager_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/alertmanager"
	"muster/grouping"
)

// answers are the answers of a real Alertmanager, by path.
func answers(t *testing.T) map[string][]byte {
	t.Helper()
	return map[string][]byte{
		"/api/v2/status":        recordedAnswer(t, "e1-lifecycle-am035/003-api-status.json"),
		"/api/v2/alerts/groups": recordedAnswer(t, "e2-silence-am035/011-api-groups.json"),
		"/api/v2/silences":      recordedAnswer(t, "e2-silence-am035/011-api-silences.json"),
		"/metrics":              []byte("# TYPE " + failedMetric + " counter\n" + failedMetric + "{integration=\"webhook\"} 3\n"),
	}
}

const failedMetric = "alertmanager_notifications_failed_total"

// serveAnswers returns a server with the answers, and with another handler for one path.
func serveAnswers(t *testing.T, path string, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	good := answers(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch answer, ok := good[r.URL.Path]; {
		case r.Method != http.MethodGet:
			t.Errorf("%s %s", r.Method, r.URL)
		case r.URL.Path == path:
			handler(w, r)
		case ok:
			_, _ = w.Write(answer)
		default:
			t.Errorf("%s was not expected", r.URL)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// pollOnce polls an Alertmanager by HTTP until the first report.
func pollOnce(t *testing.T, opts alertmanager.Options) *running {
	t.Helper()
	opts.Interval = time.Hour
	reg := prometheus.NewRegistry()
	poller, err := alertmanager.New(reg, promslog.NewNopLogger(), opts)
	require.NoError(t, err)
	domain := newFakeObserver()
	p := start(t, domain, poller, reg)
	<-domain.told
	p.stop()
	return p
}

func TestPollByHTTP(t *testing.T) {
	server := serveAnswers(t, "", nil)
	p := pollOnce(t, optionsFor(target(t, "prod", strings.Replace(server.URL, "http://", "http://someone:s3cret@", 1))))
	o := p.domain.of("prod", server.URL)
	require.Len(t, o.polls, 1)
	require.Len(t, o.silences, 1)
	poll := o.polls[0]
	require.True(t, poll.Complete)
	require.Equal(t, "0.35.0", poll.Version)
	require.False(t, poll.StartedAt.IsZero())
	require.NotEmpty(t, poll.Alerts)
	muted := 0
	for _, a := range poll.Alerts {
		require.NotEmpty(t, a.Group.Receiver)
		require.Empty(t, a.Group.GroupKey)
		require.True(t, a.Listed)
		require.Zero(t, a.Alert.EndsAt)
		for _, m := range a.Mutes {
			require.True(t, slices.ContainsFunc(o.silences[0], func(s grouping.Silence) bool { return s.ID == m.ID }))
			muted++
		}
	}
	require.Positive(t, muted)
	r := o.reports[0]
	require.Equal(t, map[string]uint64{"webhook": 3}, r.Failed)
	require.Empty(t, r.Err)

	const source = "prod"
	require.InDelta(t, 4, gathered(t, p.reg, "muster_alertmanager_requests_total", source), 0)
	require.InDelta(t, 4, gathered(t, p.reg, "muster_alertmanager_request_duration_seconds", source), 0)
	require.Zero(t, gathered(t, p.reg, "muster_alertmanager_failures_total", source))
	require.InDelta(t, float64(r.LastAt.UnixMilli())/1000,
		gathered(t, p.reg, "muster_alertmanager_last_success_timestamp_seconds", server.URL), 0.001)
}

// Whatever an Alertmanager answers, the report says it in a sentence, nothing is concluded,
// and the memory is bounded.
func TestWhateverIsAnswered(t *testing.T) {
	good := answers(t)
	group := good["/api/v2/alerts/groups"]
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		reason  alertmanager.Reason
		text    string
	}{
		"500":        {status(500), alertmanager.ReasonStatus, "the answer is 500 Internal Server Error"},
		"401":        {status(401), alertmanager.ReasonStatus, "401 Unauthorized. Set the credentials with --alertmanager.http-config-file"},
		"a redirect": {http.RedirectHandler("/login", http.StatusFound).ServeHTTP, alertmanager.ReasonRedirect, "Redirects are not followed"},
		"cut short": {func(w http.ResponseWriter, r *http.Request) {
			answer := good[r.URL.Path]
			w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
			_, _ = w.Write(answer[:len(answer)/2])
		}, alertmanager.ReasonIncomplete, "ended too early"},
		"HTML": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<title>Sign in</title>")
		}, alertmanager.ReasonMalformed, "the answer is a page"},
		"200 MiB": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "[")
			part := bytes.Repeat(slices.Concat(bytes.Trim(group, "[]\n"), []byte{','}), 10)
			for range 200 << 20 / len(part) {
				if _, err := w.Write(part); err != nil {
					return
				}
			}
		}, alertmanager.ReasonTooLarge, "the answer has more than 4194304 bytes"},
		"a slow drip": {drip, alertmanager.ReasonTimeout, "did not end within 300ms"},
		"no answer": {
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, alertmanager.ReasonTimeout, "no answer within 300ms",
		},
	} {
		for _, path := range []string{"/api/v2/alerts/groups", "/api/v2/silences", "/api/v2/status"} {
			if name == "200 MiB" && path != "/api/v2/alerts/groups" {
				continue
			}
			t.Run(name+path, func(t *testing.T) {
				t.Parallel()
				server := serveAnswers(t, path, test.handler)
				opts := optionsFor(target(t, "prod", server.URL))
				opts.Client.MaxBytes = 4 << 20
				if test.reason == alertmanager.ReasonTimeout {
					opts.Client.Timeout = 300 * time.Millisecond
				}
				p := pollOnce(t, opts)
				o := p.domain.of("prod", server.URL)
				require.Contains(t, o.reports[0].Err, "GET "+path+": ")
				require.Contains(t, o.reports[0].Err, test.text)
				require.NotZero(t, o.reports[0].FailingSince)
				require.Zero(t, o.reports[0].LastAt)
				require.NotContains(t, o.order, map[string]string{"/api/v2/alerts/groups": "alerts", "/api/v2/silences": "silences"}[path])
				if path == "/api/v2/status" {
					require.Equal(t, []string{"report"}, o.order, "nothing else is asked")
				}
				require.InDelta(t, 1, gathered(t, p.reg, "muster_alertmanager_failures_total", string(test.reason)), 0)
				require.InDelta(t, 1, gathered(t, p.reg, "muster_alertmanager_failures_total", "prod"), 0)
				require.Zero(t, gathered(t, p.reg, "muster_alertmanager_last_success_timestamp_seconds", "prod"))
			})
		}
	}
}

// An Alertmanager that is not reachable is reported without its credentials.
func TestUnreachableAlertmanager(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	p := pollOnce(t, optionsFor(target(t, "prod", strings.Replace(server.URL, "http://", "http://someone:s3cret@", 1))))
	r := p.domain.lastReport(t, "prod", server.URL)
	require.Equal(t, "GET /api/v2/status: connect: connection refused", r.Err)
	families, err := p.reg.Gather()
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprint(families, r), "s3cret")
}

// An alert that is left out is named, and nothing is concluded from its absence.
func TestAlertsThatAreLeftOutAreReported(t *testing.T) {
	server := serveAnswers(t, "/api/v2/alerts/groups", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `[{"receiver": {"name": "m"}, "alerts": [{"labels": {"a": "b"}}]}]`)
	})
	p := pollOnce(t, optionsFor(target(t, "prod", server.URL)))
	o := p.domain.of("prod", server.URL)
	require.False(t, o.polls[0].Complete)
	require.Contains(t, o.reports[0].Err, "1 alerts were left out")
	require.Zero(t, o.reports[0].FailingSince)
}

// The config file has the credentials, and cannot make the client follow redirects.
func TestCredentialsOfTheConfigFile(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "muster" || password != "s3cret" || r.URL.Path == "/login" {
			t.Errorf("%s of %s with %s", r.URL, user, password)
		}
		if !strings.HasPrefix(r.UserAgent(), "Muster/") {
			t.Error(r.UserAgent())
		}
		http.Redirect(w, r, "/login", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte("s3cret\n"), 0o600))
	file := filepath.Join(dir, "http.yml")
	require.NoError(t, os.WriteFile(file, []byte("basic_auth: {username: muster, password_file: password}\nfollow_redirects: true\n"), 0o600))
	opts := optionsFor(target(t, "prod", server.URL))
	opts.ConfigFiles = []alertmanager.ConfigFile{{Source: "prod", Path: file}}
	require.Contains(t, pollOnce(t, opts).domain.lastReport(t, "prod", server.URL).Err, "307 Temporary Redirect. Redirects are not followed")
}

// The answer is read as a stream: what it needs in memory are its alerts, and not its text.
func TestManyAlertsAreReadAsAStream(t *testing.T) {
	const groups, perGroup = 200, 100
	server := serveAnswers(t, "/api/v2/alerts/groups", func(w http.ResponseWriter, _ *http.Request) { writeAlerts(w, groups, perGroup) })
	before := heapInUse()
	p := pollOnce(t, optionsFor(target(t, "prod", server.URL)))
	poll := p.domain.of("prod", server.URL).polls[0]
	after := heapInUse()
	require.Len(t, poll.Alerts, groups*perGroup)
	require.Empty(t, p.domain.lastReport(t, "prod", server.URL).Err)
	t.Logf("%d bytes an alert", (after-before)/(groups*perGroup))
	require.Less(t, after-before, uint64(groups*perGroup*900), "an alert has 770 bytes in the answer")
	runtime.KeepAlive(poll)
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// writeAlerts writes groups with alerts like those of a real Alertmanager.
func writeAlerts(w io.Writer, groups, perGroup int) {
	_, _ = io.WriteString(w, "[")
	for g := range groups {
		if g > 0 {
			_, _ = io.WriteString(w, ",")
		}
		_, _ = fmt.Fprintf(w, `{"labels":{"alertname":"Latency%d","cluster":"eu"},"receiver":{"name":"muster"},"alerts":[`, g)
		for a := range perGroup {
			if a > 0 {
				_, _ = io.WriteString(w, ",")
			}
			n := g*perGroup + a
			_, _ = fmt.Fprintf(w, `{"annotations":{"description":"The latency of instance %d is above its limit for ten minutes.",`+
				`"summary":"Latency","runbook_url":"https://runbooks.example.com/latency"},"endsAt":"2026-11-27T10:09:00.000Z","fingerprint":"%016x",`+
				`"receivers":[{"name":"muster"},{"name":"pager"}],"startsAt":"2026-11-27T10:00:00.000Z","status":{"inhibitedBy":[],"mutedBy":[],`+
				`"silencedBy":["5f1d7c4e-0000-4000-8000-00000000%04x"],"state":"suppressed"},"updatedAt":"2026-11-27T10:05:00.000Z",`+
				`"generatorURL":"http://prometheus.example.com:9090/graph?g0.expr=latency_seconds_bucket%%7Bjob%%3D%%22api%%22%%7D\u0026g0.tab=1",`+
				`"labels":{"alertname":"Latency%d","cluster":"eu","instance":"10.0.%d.%d:9100","job":"api","namespace":"shop","pod":"api-%d",`+
				`"severity":"warning","team":"shop"}}`, n, n, g%100, g, n>>8&0xff, n&0xff, n)
		}
		_, _ = io.WriteString(w, "]}")
	}
	_, _ = io.WriteString(w, "]\n")
}

func BenchmarkPoll(b *testing.B) {
	var answer bytes.Buffer
	writeAlerts(&answer, 1000, 100)
	b.SetBytes(int64(answer.Len()))
	b.ReportAllocs()
	for b.Loop() {
		n := alertmanager.ObserveAnswer(bytes.NewReader(answer.Bytes()))
		require.Equal(b, 100_000, n)
	}
}
