package testserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/receiver"
)

// HTML is what a browser accepts.
const HTML = "text/html"

// Kept is the answer to a stored notification.
type Kept = receiver.Kept

// PostResult posts a notification, requires that it is stored, and returns the
// answer.
func (s *Server) PostResult(t testing.TB, text string) Kept {
	t.Helper()
	w := s.Post(text)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var kept Kept
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &kept))
	require.Equal(t, "kept", kept.Status)
	return kept
}

// PostKept posts a notification, requires that it is stored, and returns the ID of
// its group.
func (s *Server) PostKept(t testing.TB, text string) string {
	t.Helper()
	return string(s.PostResult(t, text).Group)
}

// FireFor posts to a source that an alert fires. If d is not zero, it posts its end after that
// time. It returns the ID of the group. body is wiretest.Body. Call it in a bubble of synctest.
func (s *Server) FireFor(t testing.TB, body func(pairs ...string) string, source string, d time.Duration) string {
	t.Helper()
	began := time.Now().UTC().Format(time.RFC3339)
	post := func(pairs ...string) (kept Kept) {
		text := body(append(pairs, "2026-11-23T03:00:00Z", began)...)
		w := s.Do(http.MethodPost, receiver.Path+"/"+source, strings.NewReader(text))
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &kept))
		return kept
	}
	kept := post()
	if d > 0 {
		time.Sleep(d)
		post(`"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", time.Now().UTC().Format(time.RFC3339))
	}
	return string(kept.Group)
}

// Notify posts a notification of a group to a source and returns the group's ID.
func (s *Server) Notify(t testing.TB, source, receiver, groupLabels string, alerts ...string) string {
	t.Helper()
	text := fmt.Sprintf(`{"version":"4","groupKey":%q,"receiver":%q,"status":"firing","groupLabels":%s,`+
		`"externalURL":"http://am.%s","alerts":[%s]}`,
		groupLabels, receiver, groupLabels, source, strings.Join(alerts, ","))
	w := s.Do(http.MethodPost, "/webhook/"+source, strings.NewReader(text))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var kept Kept
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &kept))
	return string(kept.Group)
}

// RequireRejected asserts the status code and the message of a rejection; "" allows
// any message. It also asserts that the answer is short, because Alertmanager writes
// it to its log.
func (s *Server) RequireRejected(t testing.TB, name string, w *httptest.ResponseRecorder, code int, message string) {
	t.Helper()
	var answer struct{ Error string }
	text := w.Body
	require.NoError(t, json.Unmarshal(text.Bytes(), &answer), "%s: %s", name, text)
	require.Equal(t, code, w.Code, "%s: %s", name, answer.Error)
	if message != "" {
		require.Equal(t, message, answer.Error, name)
	}
	require.NotEmpty(t, answer.Error, name)
	require.LessOrEqual(t, text.Len(), 200, name)
}

// Stored returns all groups and events of the server as text.
func (s *Server) Stored(t testing.TB) string {
	t.Helper()
	return s.Get("/api/v1/groups?alerts=true").Body.String() + s.Get("/api/v1/events").Body.String()
}

// CountGroups returns the number of groups that the API selects.
func (s *Server) CountGroups(t testing.TB, query string) int {
	t.Helper()
	w := s.Get("/api/v1/groups?" + query)
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", query, w.Body)
	var v struct{ Total int }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
	return v.Total
}

// CountRows returns the number of rows on the page of groups.
func (s *Server) CountRows(query string) int {
	return strings.Count(s.Get("/?"+query, "Accept", HTML).Body.String(), "<article")
}

// CountEvents returns the number of events that the API selects.
func (s *Server) CountEvents(t testing.TB, query string) int {
	t.Helper()
	w := s.Get("/api/v1/events?" + query)
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", query, w.Body)
	var v struct{ Events []any }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
	return len(v.Events)
}

// CountLines returns the number of events on the page of history.
func (s *Server) CountLines(query string) int {
	return strings.Count(s.Get("/history?"+query, "Accept", HTML).Body.String(), "<li data-key")
}
