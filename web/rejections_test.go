package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/limit"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// Every rejection is counted and listed on the status page.
func TestEveryRejectionIsRecorded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("one\n"), 0o600))
	for name, tc := range map[string]struct {
		method, path, body string
		headers            []string
		code               int
		reason             limit.Reason
	}{
		"a wrong token":      {http.MethodPost, "/webhook", wiretest.Body(), []string{"Authorization", "Bearer two"}, 401, limit.Unauthorized},
		"no token":           {http.MethodPut, "/webhook/prod", wiretest.Body(), nil, 401, limit.Unauthorized},
		"another path":       {http.MethodPost, "/webhooks", wiretest.Body(), nil, 404, limit.NotFound},
		"too deep a path":    {http.MethodPost, "/webhook/prod/team", wiretest.Body(), nil, 404, limit.NotFound},
		"Alertmanager's API": {http.MethodPost, "/api/v2/alerts", wiretest.Body(), nil, 405, limit.Method},
		"a name for a source": {
			http.MethodPost, "/webhook/a%20b", wiretest.Body(), []string{"Authorization", "Bearer one"}, 400, limit.BadSource,
		},
		"no path":            {http.MethodPost, "/", wiretest.Body(), nil, 405, limit.Method},
		"the path of a page": {http.MethodPut, "/api/v1/groups", wiretest.Body(), nil, 405, limit.Method},
		"redirected":         {http.MethodGet, "/webhook", "", nil, 405, limit.Method},
		"a browser's form":   {http.MethodPost, "/webhooks", wiretest.Body(), []string{"Accept", "text/html"}, 404, limit.NotFound},
		"another method":     {http.MethodDelete, "/webhook/prod", wiretest.Body(), nil, 405, limit.Method},
		"another site":       {http.MethodPost, "/webhook", wiretest.Body(), []string{"Origin", "https://evil.example"}, 403, limit.CrossOrigin},
		"a compressed body": {
			http.MethodPost, "/webhook", wiretest.Body(),
			[]string{"Authorization", "Bearer one", "Content-Encoding", "gzip"},
			415,
			limit.Media,
		},
		"a large body": {
			http.MethodPost, "/webhook", strings.Repeat(" ", 2000),
			[]string{"Authorization", "Bearer one"},
			413,
			limit.TooLarge,
		},
		"no JSON": {http.MethodPost, "/webhook", "{", []string{"Authorization", "Bearer one"}, 400, limit.BadMessage},
	} {
		t.Run(name, func(t *testing.T) {
			h := testserver.New(t, testserver.Options{WebhookTokenFile: file, MaxBodySize: 1000})
			for _, reason := range limit.Reasons() {
				require.InDelta(
					t,
					0,
					h.Counter(t, "muster_notifications_rejected_total", "reason", string(reason)),
					0,
					"%s must exist from the start",
					reason,
				)
			}
			require.Contains(t, h.Get("/").Body.String(), "No webhook has arrived yet")
			for range 3 {
				require.Equal(t, tc.code, h.Do(tc.method, tc.path, strings.NewReader(tc.body), tc.headers...).Code)
			}
			require.InDelta(t, 3, h.Counter(t, "muster_notifications_rejected_total", "reason", string(tc.reason)), 0)
			status := h.Get("/status").Body.String()
			require.Contains(t, status, fmt.Sprintf(`data-h="status">%d<`, tc.code))
			require.Contains(t, status, "3 times", "one line for repeated rejections")
			first := h.Get("/").Body.String()
			require.NotContains(t, first, "No webhook has arrived yet")
			require.Contains(t, first, "3 notifications were rejected")
		})
	}
}

// A request for a missing page is not a rejected notification.
func TestReadingIsNeverARejectedNotification(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for _, path := range []string{"/favicon.ico", "/.env", "/api/v3/alerts"} {
		require.Equal(t, http.StatusNotFound, h.Get(path).Code)
	}
	require.Equal(t, http.StatusMethodNotAllowed, h.Do(http.MethodHead, "/webhook", nil).Code)
	require.Equal(t, http.StatusMethodNotAllowed, h.Do(http.MethodOptions, "/webhook", nil).Code)
	for _, path := range []string{"/webhook", "/events"} {
		require.Equal(t, http.StatusMethodNotAllowed, h.Get(path, "Accept", "text/html,*/*").Code)
	}
	require.Zero(t, h.Limits.Rejected())
	require.Contains(t, h.Get("/").Body.String(), "No webhook has arrived yet")
}

// broken answers every query as if the storage were down.
type broken struct{ testserver.Stub }

const secret = "dial redis:6379 with password hunter2"

var errBroken = &grouping.StorageError{Backend: "redis", Op: "load", Err: errors.New(secret)}

func (broken) All(context.Context) ([]*grouping.AlertGroup, error) { return nil, errBroken }

func (broken) Get(context.Context, grouping.ID) (*grouping.AlertGroup, error) {
	return nil, errBroken
}

func (broken) List(context.Context, grouping.ListQuery) (grouping.GroupPage, error) {
	return grouping.GroupPage{}, errBroken
}

func (broken) ByFingerprint(context.Context, grouping.Fingerprint) ([]*grouping.AlertGroup, error) {
	return nil, errBroken
}

func (broken) Find(context.Context, string, grouping.Labels) ([]*grouping.AlertGroup, error) {
	return nil, errBroken
}

func (broken) Events(context.Context, grouping.EventQuery) (grouping.EventPage, error) {
	return grouping.EventPage{}, errBroken
}

func (broken) Heartbeats(context.Context) ([]grouping.Heartbeat, error) { return nil, errBroken }

func (broken) Totals(context.Context) (grouping.Totals, error) { return grouping.Totals{}, errBroken }

func TestBrokenStorageIsReportedWithoutSecrets(t *testing.T) {
	h := testserver.NewStub(t, testserver.Options{}, nil)
	h.Use(broken{})
	id, fp := strings.Repeat("0", 20), strings.Repeat("0", 16)
	for _, path := range []string{
		"/api/v1/groups", "/api/v1/groups/" + id, "/api/v1/groups/" + id + "/events", "/api/v1/alerts/" + fp, "/api/v1/events",
		"/api/v1/stats", "/api/v1/status",
	} {
		h.RequireRejected(t, path, h.Get(path), 503, "storage is unavailable, try again")
	}
	for _, path := range []string{
		"/", "/?by=alertname", "/groups/" + id, "/alerts/" + fp, "/history", "/status", "/go?receiver=x",
	} {
		w := h.Get(path, "Accept", testserver.HTML)
		require.Equal(t, http.StatusServiceUnavailable, w.Code, path)
		require.NotContains(t, w.Body.String(), "hunter2", path)
		require.Contains(t, w.Body.String(), "</html>", path)
	}
}
