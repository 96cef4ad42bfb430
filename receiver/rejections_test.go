package receiver

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/templates"
)

// Every rejection is counted and listed on the status page.
func TestEveryRejectionIsRecorded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("one\n"), 0o600))
	for name, tc := range map[string]struct {
		method, path, body string
		headers            []string
		code               int
		reason             string
	}{
		"a wrong token":       {http.MethodPost, "/webhook", body(), []string{"Authorization", "Bearer two"}, 401, rejectedUnauthorized},
		"no token":            {http.MethodPut, "/webhook/prod", body(), nil, 401, rejectedUnauthorized},
		"another path":        {http.MethodPost, "/webhooks", body(), nil, 404, rejectedNotFound},
		"too deep a path":     {http.MethodPost, "/webhook/prod/team", body(), nil, 404, rejectedNotFound},
		"Alertmanager's API":  {http.MethodPost, "/api/v2/alerts", body(), nil, 404, rejectedNotFound},
		"a name for a source": {http.MethodPost, "/webhook/a%20b", body(), []string{"Authorization", "Bearer one"}, 400, rejectedBadSource},
		"no path":             {http.MethodPost, "/", body(), nil, 405, rejectedMethod},
		"the path of a page":  {http.MethodPut, "/api/v1/groups", body(), nil, 405, rejectedMethod},
		"redirected":          {http.MethodGet, "/webhook", "", nil, 405, rejectedMethod},
		"a browser's form":    {http.MethodPost, "/webhooks", body(), []string{"Accept", "text/html"}, 404, rejectedNotFound},
		"another method":      {http.MethodDelete, "/webhook/prod", body(), nil, 405, rejectedMethod},
		"another site":        {http.MethodPost, "/webhook", body(), []string{"Origin", "https://evil.example"}, 403, rejectedCrossOrigin},
		"a compressed body": {
			http.MethodPost, "/webhook", body(),
			[]string{"Authorization", "Bearer one", "Content-Encoding", "gzip"},
			415,
			rejectedMedia,
		},
		"a large body": {
			http.MethodPost, "/webhook", strings.Repeat(" ", 2000),
			[]string{"Authorization", "Bearer one"},
			413,
			rejectedTooLarge,
		},
		"no JSON": {http.MethodPost, "/webhook", "{", []string{"Authorization", "Bearer one"}, 400, rejectedBadMessage},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestServer(t, Options{WebhookTokenFile: file, MaxBodySize: 1000})
			for _, reason := range rejectionReasons() {
				require.InDelta(t, 0, h.counter(t, "muster_notifications_rejected_total", "reason", reason), 0, "%s must exist from the start", reason)
			}
			require.Contains(t, h.get("/").Body.String(), "No webhook has arrived yet")
			for range 3 {
				require.Equal(t, tc.code, h.do(tc.method, tc.path, strings.NewReader(tc.body), tc.headers...).Code)
			}
			require.InDelta(t, 3, h.counter(t, "muster_notifications_rejected_total", "reason", tc.reason), 0)
			status := h.get("/status").Body.String()
			require.Contains(t, status, fmt.Sprintf(`data-h="status">%d<`, tc.code))
			require.Contains(t, status, "3 times", "one line for repeated rejections")
			first := h.get("/").Body.String()
			require.NotContains(t, first, "No webhook has arrived yet")
			require.Contains(t, first, "3 notifications were rejected")
		})
	}
}

// A request for a missing page is not a rejected notification.
func TestReadingIsNeverARejectedNotification(t *testing.T) {
	h := newTestServer(t, Options{})
	for _, path := range []string{"/favicon.ico", "/.env", "/api/v2/alerts"} {
		require.Equal(t, http.StatusNotFound, h.get(path).Code)
	}
	require.Equal(t, http.StatusMethodNotAllowed, h.do(http.MethodHead, "/webhook", nil).Code)
	require.Equal(t, http.StatusMethodNotAllowed, h.do(http.MethodOptions, "/webhook", nil).Code)
	require.Equal(t, http.StatusMethodNotAllowed, h.get("/webhook", "Accept", "text/html,*/*").Code)
	require.Zero(t, h.rejections.total())
	require.Contains(t, h.get("/").Body.String(), "No webhook has arrived yet")
}

// The list has a limit for each reason, so that a scan does not hide a sender
// with a wrong token.
func TestRejectionsAreLimited(t *testing.T) {
	var r rejections
	at := time.Now()
	refuse := func(reason, from string, after time.Duration) bool {
		return r.add(reason, templates.Rejection{At: at.Add(after), From: from, Status: 404, Reason: "path not found"})
	}
	require.True(t, refuse(rejectedUnauthorized, "10.0.0.1", 0))
	require.False(t, refuse(rejectedUnauthorized, "10.0.0.1", time.Second), "the log does not repeat it within the interval")
	require.True(t, refuse(rejectedUnauthorized, "10.0.0.1", rejectionLogInterval), "but again after the interval")
	for i := range 1000 {
		refuse(rejectedNotFound, fmt.Sprint("10.1.0.", i), time.Duration(i)*time.Minute)
	}
	listed := r.list()
	require.Len(t, listed, 1+maxSendersPerReason)
	require.Equal(t, "10.1.0.999", listed[0].From, "the newest first")
	last := listed[len(listed)-1]
	require.Equal(t, "10.0.0.1", last.From)
	require.Equal(t, 3, last.Times)
	require.Equal(t, 1003, r.total())
	require.Equal(t, 1000, r.timesReached(rejectedNotFound))
}

// A scan from many addresses does not fill the log.
func TestAScanDoesNotFillTheLog(t *testing.T) {
	h := newTestServer(t, Options{})
	l := h.log(t, "logfmt")
	for i := range 500 {
		h.RecordRejection(fmt.Sprintf("10.1.%d.%d:99", i/250, i%250), http.StatusNotFound, rejectedNotFound, fmt.Sprint("path ", i))
	}
	require.Equal(t, maxLogLinesPerReason, strings.Count(l.text(), "Notification rejected"))
	h.post("{")
	require.Contains(t, l.text(), "bad_message", "each reason has its own limit")
}

// After a restart with only rejections, an empty list must not claim that no
// notification arrived.
func TestEmptyListAfterRejections(t *testing.T) {
	h := newTestServer(t, Options{})
	require.Equal(t, http.StatusOK, h.post(body(`"status":"firing","labels"`, `"status":"resolved","labels"`)).Code)
	h.summary.counter = templates.Counter{}
	groups, err := h.manager.AllGroups(t.Context())
	require.NoError(t, err)
	old := *groups[0]
	old.LastNotifiedAt = time.Time{}
	h.summary.counter.Update(nil, &old)
	require.Equal(t, http.StatusBadRequest, h.post("{").Code)
	text := h.get("/").Body.String()
	require.Contains(t, text, "Muster has rejected 1 notification and accepted 0 since it started.")
	require.Contains(t, text, `href="/status#rejected"`)
}
