package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/person"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// peopleAreAnswered makes every write of people that the file describes.
func peopleAreAnswered(t *testing.T, c *contract) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	resolved := h.PostKept(
		t,
		wiretest.Body(wiretest.Key, `"groupKey":"resolved"`, `"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2026-11-23T03:10:00Z",
			"0011223344556677", "7766554433221100", wiretest.Labels, `{"alertname":"Other"}`),
	)
	none := strings.Repeat("0", 20)
	var group api409
	long := `{"by":"mira","text":"` + strings.Repeat("x", grouping.MaxTextLen+1) + `"}`
	for _, name := range []string{"ack", "notes", "close"} {
		path, valid := "/api/v1/groups/%s/"+name, `{"by":"mira","text":"t"}`
		if name != "notes" {
			valid = `{"by":"mira"}`
			require.NoError(t, json.Unmarshal(answers(t, h, c, 409, http.MethodPost, fmt.Sprintf(path, id), `{"by":"mira","episode":"0"}`), &group))
			require.Equal(t, id, string(group.Group.ID))
			require.NotEmpty(t, group.Group.Alerts, "the present state")
		}
		answers(t, h, c, 200, http.MethodPost, fmt.Sprintf(path, id), valid)
		answers(t, h, c, 404, http.MethodPost, fmt.Sprintf(path, none), valid)
		answers(t, h, c, 400, http.MethodPost, fmt.Sprintf(path, id), `{"by":""}`)
		answers(t, h, c, 400, http.MethodPost, fmt.Sprintf(path, id), `{"by":"mira","nobody":1}`)
		answers(t, h, c, 400, http.MethodPost, fmt.Sprintf(path, id), `{"by":"mira"`)
		answers(t, h, c, 413, http.MethodPost, fmt.Sprintf(path, id), strings.Repeat(long, 8))
		answers(t, h, c, 415, http.MethodPost, fmt.Sprintf(path, id), "by=mira", "Content-Type", "application/x-www-form-urlencoded")
		answers(t, h, c, 403, http.MethodPost, fmt.Sprintf(path, id), valid, "Origin", "https://evil.example")
	}
	answers(t, h, c, 409, http.MethodPost, "/api/v1/groups/"+resolved+"/ack", `{"by":"mira"}`)
	answers(t, h, c, 200, http.MethodPost, "/api/v1/groups/"+resolved+"/close", `{"by":"mira"}`)
	undo := "/api/v1/groups/" + id + "/ack?by=mira&ack="
	answers(t, h, c, 404, http.MethodDelete, undo+"nope", "")
	answers(t, h, c, 400, http.MethodDelete, undo, "")
	answers(t, h, c, 403, http.MethodDelete, undo+"nope", "", "Origin", "https://evil.example")
	g, err := h.Manager.Get(t.Context(), grouping.ID(id))
	require.NoError(t, err)
	answers(t, h, c, 200, http.MethodDelete, undo+g.Acks[0].ID, "")
	asks(t, h, c, 200, "/api/v1/groups?ack=no")
	asks(t, h, c, 200, "/api/v1/events?kind=acknowledged&kind=noted&kind=closed&kind=unacknowledged")

	readOnly := testserver.New(t, testserver.Options{People: person.Policy{ReadOnly: true}})
	down := testserver.NewStub(t, testserver.Options{}, nil)
	down.Use(failing{err: &grouping.StorageError{Backend: "redis", Op: "store"}})
	for _, path := range []string{"POST /ack", "DELETE /ack?ack=x&by=mira", "POST /notes", "POST /close"} {
		method, path, _ := strings.Cut(path, " ")
		answers(t, readOnly, c, 405, method, "/api/v1/groups/"+id+path, "")
		answers(t, down, c, 503, method, "/api/v1/groups/"+id+path, map[bool]string{true: `{"by":"mira"}`}[method == http.MethodPost])
	}
}

type api409 struct {
	Error string
	Group struct {
		ID     grouping.ID
		Alerts []struct{}
	}
}

func (f failing) Acknowledge(_ context.Context, _ grouping.ID, _ grouping.AckRequest) (*grouping.AlertGroup, error) {
	return nil, f.err
}

func (f failing) Unacknowledge(_ context.Context, _ grouping.ID, _ grouping.UnackRequest) (*grouping.AlertGroup, error) {
	return nil, f.err
}

func (f failing) AddNote(_ context.Context, _ grouping.ID, _ grouping.NoteRequest) (*grouping.AlertGroup, error) {
	return nil, f.err
}

func (f failing) Close(_ context.Context, _ grouping.ID, _ grouping.CloseRequest) (*grouping.AlertGroup, error) {
	return nil, f.err
}

// peopleGroup is what an answer says about people.
type peopleGroup struct {
	Episode string
	State   string
	Ack     *struct {
		ID, By, Note string
		Verified     bool
		At, Until    time.Time
		NewSince     int
	}
	Notes []struct {
		ID, By, Text string
		Verified     bool
		At           time.Time
	}
	ClosedBy *struct {
		By       string
		Verified bool
	}
}

// write sends a write of a person, and returns the group in the answer.
func write(t *testing.T, h *testserver.Server, method, path, body string, headers ...string) (g peopleGroup) {
	t.Helper()
	w := h.Do(method, path, strings.NewReader(body), headers...)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &g))
	return g
}

func read(t *testing.T, h *testserver.Server, path string) (g peopleGroup) {
	t.Helper()
	return write(t, h, http.MethodGet, path, "")
}

func TestPeopleWriteThroughTheAPI(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	group := "/api/v1/groups/" + h.PostKept(t, wiretest.Body())
	before := read(t, h, group)
	require.NotEmpty(t, before.Episode)
	require.Nil(t, before.Ack)

	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	body := fmt.Sprintf(`{"by":"mira","note":"looking","until":%q,"episode":%q}`, until.Format(time.RFC3339), before.Episode)
	g := write(t, h, http.MethodPost, group+"/ack", body)
	require.Equal(t, "mira", g.Ack.By)
	require.False(t, g.Ack.Verified)
	require.Equal(t, "looking", g.Ack.Note)
	require.True(t, until.Equal(g.Ack.Until))
	require.Zero(t, g.Ack.NewSince)
	require.Equal(t, g, write(t, h, http.MethodPost, group+"/ack", body), "a second press changes nothing")
	require.Equal(t, 1, h.CountGroups(t, "ack=yes"))
	require.Zero(t, h.CountGroups(t, "ack=no"))
	require.Contains(t, h.Get("/api/v1/stats").Body.String(), `"acknowledged":1`)
	require.Contains(t, h.Get("/api/v1/groups?format=csv").Body.String(), ",mira,")

	undone := write(t, h, http.MethodDelete, group+"/ack?by=jo&ack="+g.Ack.ID, "")
	require.Nil(t, undone.Ack)
	require.Nil(t, write(t, h, http.MethodDelete, group+"/ack?by=mira&ack="+g.Ack.ID, "").Ack)
	require.Equal(t, 1, h.CountEvents(t, "kind=unacknowledged"), "the second undo changed nothing")

	for range 2 { // it is posted twice
		g = write(t, h, http.MethodPost, group+"/notes", `{"by":"jo","id":"n1","text":"line 1\nline 2"}`)
		require.Len(t, g.Notes, 1)
		require.Equal(t, "line 1\nline 2", g.Notes[0].Text)
	}
	closed := write(t, h, http.MethodPost, group+"/close", fmt.Sprintf(`{"by":"jo","episode":%q}`, before.Episode))
	require.Equal(t, "jo", closed.ClosedBy.By)
	require.Equal(t, "unreported", closed.State)
	require.Zero(t, h.CountGroups(t, "state=firing"), "it leaves the list")
	events := h.Get("/api/v1/events?kind=closed").Body.String()
	require.Contains(t, events, `"by":"jo","verified":false`)
	require.Contains(t, h.Get("/api/v1/events?kind=noted&format=csv").Body.String(), `jo,false,"line 1`)

	h.PostKept(t, wiretest.Body())
	opened := read(t, h, group)
	require.Nil(t, opened.ClosedBy)
	require.NotEqual(t, before.Episode, opened.Episode)
	require.Len(t, opened.Notes, 1, "notes stay")
	require.Equal(t, 1, h.CountGroups(t, "state=firing"))
}

// The past has what people wrote then.
func TestPeopleOfThePast(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	group := "/api/v1/groups/" + h.PostKept(t, wiretest.Body())
	write(t, h, http.MethodPost, group+"/ack", `{"by":"mira"}`)
	write(t, h, http.MethodPost, group+"/notes", `{"by":"mira","text":"t"}`)
	at := time.Now()
	require.Eventually(t, func() bool { return time.Since(at) > 5*time.Millisecond }, time.Second, time.Millisecond)
	write(t, h, http.MethodPost, group+"/close", `{"by":"jo"}`)
	was := read(t, h, group+"?at="+url.QueryEscape(at.UTC().Format(time.RFC3339Nano)))
	require.Equal(t, "mira", was.Ack.By)
	require.Len(t, was.Notes, 1)
	require.Nil(t, was.ClosedBy)
	require.Equal(t, 1, h.CountGroups(t, "ack=yes&at="+url.QueryEscape(at.UTC().Format(time.RFC3339Nano))))
}

// What people write is hostile text, like what alerts say.
func TestHostileTextsOfPeople(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	group := "/api/v1/groups/" + h.PostKept(t, wiretest.Body())
	for _, text := range []string{`<script>alert(1)</script>`, "=1+1", "\u202eevil", "a\x00b", strings.Repeat("ü", grouping.MaxTextLen/2)} {
		body, err := json.Marshal(map[string]string{"by": "=cmd<b>", "text": text})
		require.NoError(t, err)
		write(t, h, http.MethodPost, group+"/notes", string(body))
		body, err = json.Marshal(map[string]string{"by": "=cmd<b>", "note": text})
		require.NoError(t, err)
		require.Equal(t, text, write(t, h, http.MethodPost, group+"/ack", string(body)).Ack.Note)
	}
	answer := h.Get(group).Body.String()
	require.NotContains(t, answer, "<script>")
	require.NotContains(t, answer, "<b>")
	require.NotContains(t, h.Get("/api/v1/events?format=csv").Body.String(), ",=cmd", "no formula")
	require.NotContains(t, h.Get("/api/v1/groups?format=csv").Body.String(), ",=cmd", "no formula")
	for _, name := range []string{"mi\nra", "mi\u202era", strings.Repeat("x", 101)} {
		body, err := json.Marshal(map[string]string{"by": name})
		require.NoError(t, err)
		w := h.Do(http.MethodPost, group+"/ack", strings.NewReader(string(body)))
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Contains(t, w.Body.String(), "the name has")
	}
}

func TestRightsOfPeopleThroughTheAPI(t *testing.T) {
	from := netip.MustParsePrefix("192.0.2.0/24") // the address of httptest
	h := testserver.New(t, testserver.Options{People: person.Policy{
		Header: "X-User", HeaderFrom: []netip.Prefix{from}, Writers: []string{"dana"},
	}})
	group := "/api/v1/groups/" + h.PostKept(t, wiretest.Body())
	ack := func(code int, body string, headers ...string) {
		t.Helper()
		w := h.Do(http.MethodPost, group+"/ack", strings.NewReader(body), headers...)
		require.Equal(t, code, w.Code, w.Body)
	}
	ack(http.StatusForbidden, `{"by":"dana"}`)
	ack(http.StatusForbidden, `{}`, "X-User", "rob")
	ack(http.StatusBadRequest, `{"by":"rob"}`, "X-User", "dana")
	require.Zero(t, h.CountEvents(t, "kind=acknowledged"))
	require.True(t, write(t, h, http.MethodPost, group+"/ack", "", "X-User", "dana").Ack.Verified)
}

// A client with the filter hears that a group is no longer among those that it asked for.
func TestLiveUpdatesOfAcknowledgements(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	srv := h.Listen(t)
	group := h.PostKept(t, wiretest.Body())
	waiting := testserver.Follow(t, srv.URL+testserver.LivePath+"?ack=no", "")
	taken := testserver.Follow(t, srv.URL+testserver.LivePath+"?ack=yes", "")
	require.Equal(t, "hb", waiting.NextEvent().Event)
	require.Equal(t, "hb", taken.NextEvent().Event)
	g := write(t, h, http.MethodPost, "/api/v1/groups/"+group+"/ack", `{"by":"mira"}`)
	require.Equal(t, "gone", waiting.NextEvent().Event)
	e := taken.NextEvent()
	require.Equal(t, "group", e.Event)
	require.Contains(t, e.Data, `"by":"mira"`)
	write(t, h, http.MethodDelete, "/api/v1/groups/"+group+"/ack?by=jo&ack="+g.Ack.ID, "")
	require.Equal(t, "group", waiting.NextEvent().Event)
	require.Equal(t, "gone", taken.NextEvent().Event)
}
