package api_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/api"
	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// hostile are label values that break careless exports.
var hostile = []string{"=cmd|' /C calc'!A0", "@x", "-1", `say "hi", you`, "two\nlines\r\nmore", "<b>&amp;", "日本\u2028"}

// postHostile posts notifications with hostile labels, each about an alert that fires and then
// resolves.
func postHostile(t testing.TB, h *testserver.Server) {
	t.Helper()
	for i, value := range hostile {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		labels := fmt.Sprintf(`{"alertname":%s,"team":"t%d"}`, text, i%2)
		body := func(alert string) string {
			return strings.NewReplacer(`{}:{}`, fmt.Sprint("k", i), `"groupLabels":{}`, `"groupLabels":{"alertname":`+string(text)+`}`).
				Replace(wiretest.Listing(alert))
		}
		h.PostKept(t, body(wiretest.Alert(labels, "")))
		h.PostKept(t, body(wiretest.Alert(labels, "2026-01-01T01:00:00Z")))
	}
}

// lines returns the values of NDJSON.
func lines[T any](t testing.TB, r io.Reader) (values []T) {
	t.Helper()
	for s := bufio.NewScanner(r); s.Scan(); {
		var v T
		require.NoError(t, json.Unmarshal(s.Bytes(), &v), s.Text())
		values = append(values, v)
	}
	return values
}

// pages returns all events of the paged answer, oldest first.
func pages(t testing.TB, h *testserver.Server, query string) (events []api.EventView) {
	t.Helper()
	for cursor := ""; ; {
		w := h.Get("/api/v1/events?limit=7&cursor=" + cursor + "&" + query)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		var page eventsView
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
		events = append(events, page.Events...)
		if cursor = page.Next; cursor == "" {
			slices.Reverse(events)
			return events
		}
	}
}

// A file has the same events as the pages, under the same filters, but the oldest first.
func TestEventsAsLines(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	postHostile(t, h)
	all := pages(t, h, "")
	require.Len(t, all, 6*len(hostile))
	middle := url.QueryEscape(all[len(all)/2].Time.Format(time.RFC3339Nano))
	for _, query := range []string{
		"", "kind=fired,resolved", "kind=all", "filter=" + url.QueryEscape(`team="t1"`), "filter=calc", "group=" + string(all[0].GroupID),
		"alert=" + string(pages(t, h, "kind=fired")[1].Fingerprint), "receiver=team", "receiver=other", "source=default", "source=other",
		"since=" + middle, "until=" + middle, "since=" + middle + "&kind=notified",
	} {
		w := h.Get("/api/v1/events?format=ndjson&" + query)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.Equal(t, "application/x-ndjson", w.Header().Get("Content-Type"))
		require.Regexp(t, `^attachment; filename="muster-events-\d{8}T\d{6}Z\.ndjson"$`, w.Header().Get("Content-Disposition"))
		require.Equal(t, pages(t, h, query), lines[api.EventView](t, w.Body), query)
	}
	require.Equal(t, all[:5], lines[api.EventView](t, h.Get("/api/v1/events?format=ndjson&limit=5").Body))
	require.Len(t, lines[api.EventView](t, h.Get("/api/v1/events?format=ndjson&limit=100000").Body), len(all))
	group := "/api/v1/groups/" + string(all[0].GroupID) + "/events?format=ndjson"
	require.Equal(t, pages(t, h, "group="+string(all[0].GroupID)), lines[api.EventView](t, h.Get(group).Body))
	require.Zero(t, h.Limits.Limit("exports").Used())
	require.Zero(t, h.Limits.Limit("responses").Used())
}

// pagedHistory has the events of one group, oldest first. The whole history cannot be read. While
// events are read the second time, one comes late.
type pagedHistory struct {
	testserver.Stub

	events []grouping.Event
	late   grouping.Event
	pages  int
}

func (s *pagedHistory) Events(_ context.Context, q grouping.EventQuery) (page grouping.EventPage, err error) {
	if s.pages++; s.pages == 4 {
		i, _ := slices.BinarySearchFunc(s.events, s.late, func(a, b grouping.Event) int { return strings.Compare(a.ID, b.ID) })
		s.events = slices.Insert(s.events, i, s.late)
	}
	for i := range slices.Backward(s.events) {
		e := &s.events[i]
		if !q.Matches(e) || q.Cursor != "" && e.ID >= q.Cursor {
			continue
		}
		if len(page.Events) == q.Limit {
			page.Next = page.Events[q.Limit-1].ID
			break
		}
		page.Events = append(page.Events, *e)
	}
	return page, nil
}

// An export of a group does not read the events of all the others. It reads a page at a time.
func TestExportOfAGroupReadsItsEventsOnly(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	group := grouping.Key{Source: "prod", Receiver: "team"}.ID()
	start := time.Now().Add(-time.Hour)
	event := func(i int) grouping.Event {
		at := start.Add(time.Duration(i) * time.Millisecond)
		return grouping.Event{
			ID: string(grouping.NewStamp(at, 0, "00000000000000aa")) + "000000", Time: at, Kind: grouping.EventFired, GroupID: group,
		}
	}
	made := func() *pagedHistory {
		s := &pagedHistory{late: event(2*grouping.MaxLimit - 101)}
		for i := range 5 * grouping.MaxLimit / 2 {
			s.events = append(s.events, event(2*i))
		}
		return s
	}
	for limit, want := range map[string]int{"": 5*grouping.MaxLimit/2 + 1, "&limit=3": 3, "&limit=1500": 1500, "&since=1s": 0} {
		s := made()
		h.Use(s)
		events := lines[api.EventView](t, h.Get("/api/v1/events?format=ndjson&group="+string(group)+limit).Body)
		require.Len(t, events, want, limit)
		for i, e := range events {
			require.Equal(t, s.events[i].ID, e.ID)
		}
		require.LessOrEqual(t, s.pages, 6)
	}
}

// requireTable compares rows of CSV with the fields of JSON values.
func requireTable(t *testing.T, rows [][]string, values []map[string]any) {
	t.Helper()
	require.Len(t, rows, len(values)+1)
	for i, row := range rows[1:] {
		require.Len(t, row, len(rows[0]))
		for j, column := range rows[0] {
			var want string
			switch value := values[i][column].(type) {
			case nil:
			case map[string]any:
				var labels map[string]any
				require.NoError(t, json.Unmarshal([]byte(row[j]), &labels))
				require.Equal(t, value, labels, column)
				continue
			default:
				want = fmt.Sprint(value)
			}
			if strings.ContainsAny(want[:min(1, len(want))], "=+-@") {
				want = "'" + want
			}
			require.Equal(t, want, row[j], column)
		}
	}
}

// flat returns the values of NDJSON with the fields that are columns of their own in CSV.
func flat(t *testing.T, r io.Reader, add func(map[string]any)) []map[string]any {
	t.Helper()
	values := lines[map[string]any](t, r)
	for _, v := range values {
		add(v)
	}
	return values
}

func TestEventsAsTable(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	postHostile(t, h)
	w := h.Get("/api/v1/events?format=csv")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/csv; charset=utf-8; header=present", w.Header().Get("Content-Type"))
	require.Regexp(t, `^attachment; filename="muster-events-\d{8}T\d{6}Z\.csv"$`, w.Header().Get("Content-Disposition"))
	text := w.Body.String()
	values := flat(t, h.Get("/api/v1/events?format=ndjson").Body, func(v map[string]any) {
		if labels, ok := v["labels"].(map[string]any); ok {
			v["alertname"] = labels["alertname"]
		}
	})
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	byPython := readByPython(t, text)
	// Go's reader makes one line break of CR and LF within a cell.
	for _, row := range byPython {
		for i := range row {
			row[i] = strings.ReplaceAll(row[i], "\r\n", "\n")
		}
	}
	require.Equal(t, rows, byPython)
	for _, v := range values {
		if name, ok := v["alertname"].(string); ok {
			v["alertname"] = strings.ReplaceAll(name, "\r\n", "\n")
		}
	}
	requireTable(t, rows, values)
}

// The columns of what only some events have.
func TestEventsAsTableWithDetails(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	stream := &eventStream{Stub: testserver.Stub{Groups: h.Manager}, events: []grouping.Event{
		{ID: "1", Kind: grouping.EventDelivered, Delivery: &grouping.Delivery{Receiver: "ops", Integration: "slack", Index: 1, Firing: 2}},
		{ID: "2", Kind: grouping.EventSuppressed, Mute: &grouping.Mute{Kind: grouping.MuteInhibition, ID: "a1", Rule: "r"}},
		{ID: "3", Kind: grouping.EventSilenceCreated, Silence: &grouping.SilenceChange{ID: "s", CreatedBy: "=mira", Comment: "c"}},
		{ID: "4", Kind: grouping.EventGap, Gap: &grouping.Gap{From: time.Unix(0, 0), To: time.Unix(60, 0)}},
		{ID: "5", Kind: grouping.EventChanged},
	}}
	h.Use(stream)
	rows, err := csv.NewReader(h.Get("/api/v1/events?format=csv").Body).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 5, "a changed event is not part of the answer")
	cell := func(row int, column string) string { return rows[row][slices.Index(rows[0], column)] }
	require.Equal(t, "ops slack 1 2",
		strings.Join([]string{cell(1, "receiver"), cell(1, "integration"), cell(1, "index"), cell(1, "firing")}, " "))
	require.Equal(t, "inhibition a1 r", strings.Join([]string{cell(2, "muteKind"), cell(2, "muteId"), cell(2, "muteRule")}, " "))
	require.Equal(t, "s '=mira c", strings.Join([]string{cell(3, "silenceId"), cell(3, "silenceCreatedBy"), cell(3, "silenceComment")}, " "))
	require.Equal(t, "1970-01-01T00:00:00Z 1970-01-01T00:01:00Z", cell(4, "from")+" "+cell(4, "to"))
}

// eventStream streams some events and then an error, if it has one.
type eventStream struct {
	testserver.Stub

	events []grouping.Event
	err    error
}

func (s *eventStream) StreamEvents(context.Context, time.Time) iter.Seq2[grouping.Event, error] {
	return func(yield func(grouping.Event, error) bool) {
		for _, e := range s.events {
			if !yield(e, nil) {
				return
			}
		}
		if s.err != nil {
			yield(grouping.Event{}, s.err)
		}
	}
}

func TestGroupsAsFiles(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	postHostile(t, h)
	for i := range 1100 { // more than a page
		h.PostKept(t, wiretest.Body(wiretest.Key, fmt.Sprintf(`"groupKey":"many%d"`, i)))
	}
	all := lines[map[string]any](t, h.Get("/api/v1/groups?format=ndjson&sort=name").Body)
	require.Len(t, all, 1100+len(hostile))
	var page struct{ Groups []map[string]any }
	require.NoError(t, json.Unmarshal(h.Get("/api/v1/groups?limit=1000&sort=name").Body.Bytes(), &page))
	require.Equal(t, page.Groups, all[:1000])
	require.Equal(t, all[:1050], lines[map[string]any](t, h.Get("/api/v1/groups?format=ndjson&sort=name&limit=1050").Body))
	require.Len(t, lines[map[string]any](t, h.Get("/api/v1/groups?format=ndjson&filter=alertname%3DDown").Body), 1100)

	const some = "&state=resolved&sort=name"
	withAlerts := lines[api.GroupView](t, h.Get("/api/v1/groups?format=ndjson&alerts=true"+some).Body)
	require.Len(t, withAlerts, len(hostile))
	require.Len(t, withAlerts[0].Alerts, 1)
	w := h.Get("/api/v1/groups?format=csv" + some)
	require.Regexp(t, `^attachment; filename="muster-groups-\d{8}T\d{6}Z\.csv"$`, w.Header().Get("Content-Disposition"))
	rows := readByPython(t, w.Body.String())
	requireTable(t, rows, flat(t, h.Get("/api/v1/groups?format=ndjson"+some).Body, func(v map[string]any) {
		counts, _ := v["counts"].(map[string]any)
		maps.Copy(v, counts)
	}))
}

func TestExportsAreCompressed(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	postHostile(t, h)
	for _, path := range []string{"/api/v1/events?format=csv&kind=fired", "/api/v1/groups?format=ndjson"} {
		plain, zipped := h.Get(path), h.Get(path, "Accept-Encoding", "gzip")
		require.Equal(t, "Accept-Encoding", plain.Header().Get("Vary"))
		require.Empty(t, plain.Header().Get("Content-Encoding"))
		require.Equal(t, "gzip", zipped.Header().Get("Content-Encoding"))
		z, err := gzip.NewReader(zipped.Body)
		require.NoError(t, err)
		text, err := io.ReadAll(z)
		require.NoError(t, err)
		require.Equal(t, plain.Body.String(), string(text))
	}
	w := h.Do(http.MethodHead, "/api/v1/events?format=csv", nil, "Accept-Encoding", "gzip")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/csv; charset=utf-8; header=present", w.Header().Get("Content-Type"))
	require.Zero(t, h.Limits.Limit("exports").Used())
}

func TestBadExports(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for query, problem := range map[string]string{
		"events?format=xml":                                   `format: "xml" is not one of json, csv, ndjson`,
		"events?format=csv&limit=0":                           `limit: "0" is not a number between 1 and 2147483647`,
		"events?limit=1001":                                   `limit: "1001" is not a number between 1 and 1000`,
		"events?format=csv&cursor=" + strings.Repeat("0", 40): "cursor: an answer as csv has no pages",
		"events?follow=true":                                  "follow: only possible with format=ndjson",
		"events?follow=true&format=csv":                       "follow: only possible with format=ndjson",
		"events?follow=true&format=ndjson&until=1h":           "until: not possible with follow, which has no end",
		"groups?format=csv&alerts=true":                       "alerts: not possible with format=csv, which has one row for each group",
		"groups?format=ndjson&follow=true":                    `unknown parameter "follow"`,
	} {
		w := h.Get("/api/v1/" + query)
		require.Equal(t, http.StatusBadRequest, w.Code, query)
		var answer struct{ Error string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Contains(t, answer.Error, problem, query)
	}
}

// An export that cannot be completed does not look complete.
func TestFailingExport(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	fault := &grouping.StorageError{Op: "stream events", Reason: "timeout", Err: errors.New("slow")}
	h.Use(&eventStream{err: fault})
	h.RequireRejected(t, "first", h.Get("/api/v1/events?format=ndjson"), http.StatusServiceUnavailable, "storage is unavailable, try again")
	var events []grouping.Event
	for range 2000 {
		text := rand.Text() + rand.Text() // cannot be compressed much
		events = append(events, grouping.Event{ID: "1", Kind: grouping.EventFired, Labels: grouping.NewLabels(map[string]string{"x": text})})
	}
	h.Use(&eventStream{events: events, err: fault})
	for _, format := range []string{"csv", "ndjson"} {
		for _, coding := range []string{"identity", "gzip"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v1/events?format="+format, nil)
			require.NoError(t, err)
			r.Header.Set("Accept-Encoding", coding)
			res, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			_, err = io.ReadAll(res.Body)
			require.NoError(t, res.Body.Close())
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s %s", format, coding)
		}
	}
	require.Eventually(t, func() bool { return h.Limits.Limit("exports").Used() == 0 }, 5*time.Second, time.Millisecond)
	require.Zero(t, h.Limits.Limit("responses").Used())
}

func TestExportsAreLimited(t *testing.T) {
	h := testserver.New(t, testserver.Options{MaxExports: 1, MaxTails: 1})
	for path, name := range map[string]string{
		"events?format=csv": "export", "groups?format=ndjson": "export", "report?format=csv": "export", "report?format=ndjson": "export",
		"events?format=ndjson&follow=1": "tail",
	} {
		slot, ok := h.Limits.Limit(name + "s").Take(1)
		require.True(t, ok)
		w := h.Get("/api/v1/" + path)
		h.RequireRejected(t, path, w, http.StatusServiceUnavailable, "limit of 1 concurrent "+name+"s reached, try again later")
		require.Equal(t, "10", w.Header().Get("Retry-After"))
		require.Equal(t, http.StatusOK, h.Get("/api/v1/events").Code, "pages have other slots")
		slot.Release()
	}
	require.Equal(t, 4, h.Limits.Limit("exports").Rejected())
}

// endless streams events without end.
type endless struct{ testserver.Stub }

func (endless) StreamEvents(context.Context, time.Time) iter.Seq2[grouping.Event, error] {
	return func(yield func(grouping.Event, error) bool) {
		var long strings.Builder
		for long.Len() < 64<<10 { // more than gzip looks back
			long.WriteString(rand.Text())
		}
		text := grouping.NewLabels(map[string]string{"x": long.String()})
		e := grouping.Event{Time: time.Now().Add(time.Hour), Kind: grouping.EventFired, Labels: text}
		for i := 0; ; i++ {
			if e.ID = fmt.Sprintf("%040x", i); !yield(e, nil) {
				return
			}
		}
	}
}

// A client that does not read loses its export or tail.
func TestExportToAClientThatDoesNotRead(t *testing.T) {
	h := testserver.New(t, testserver.Options{WriteTimeout: 50 * time.Millisecond})
	srv := h.Listen(t)
	h.Use(endless{})
	for kind, query := range map[string]string{"export": "format=csv", "tail": "format=ndjson&follow=true"} {
		ended := func() bool { return h.Counter(t, "muster_export_slow_readers_total", "kind", kind) == 1 }
		require.False(t, ended())
		c := testserver.Follow(t, srv.URL+"/api/v1/events?"+query, "")
		require.Equal(t, http.StatusOK, c.Status)
		require.Eventually(t, ended, 20*time.Second, 5*time.Millisecond)
		require.Eventually(t, func() bool { return h.Limits.Limit(kind+"s").Used() == 0 }, 5*time.Second, time.Millisecond)
		c.Close()
	}
}

// An export lasts longer than an answer may, if the client reads.
func TestExportsHaveNoLastDeadline(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	w := &deadlineRecorder{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/events?format=csv", nil)
	h.Use(&eventStream{events: slices.Repeat([]grouping.Event{{ID: "1"}}, 10_000)})
	h.ServeHTTP(w, r)
	require.Greater(t, w.deadlines, 2, "each write has its deadline")
}

// deadlineRecorder counts the deadlines of writes.
type deadlineRecorder struct {
	*httptest.ResponseRecorder

	deadlines int
}

func (w *deadlineRecorder) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() {
		w.deadlines++
	}
	return nil
}
