package assistant

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// muster returns the URL of a Muster with a group and two silences, and the ID of the group.
func muster(t *testing.T) (address, id string) {
	t.Helper()
	s := testserver.New(t, testserver.Options{})
	id = s.PostKept(t, wiretest.Body())
	s.Notify(t, "prod", "team", `{"disk":"/ \"a\"","alertname":"Full"}`,
		`{"status":"firing","startsAt":"2026-11-23T03:00:00Z","labels":{"alertname":"Full","disk":"/ \"a\""}}`)
	s.Silence(t)
	return s.Listen(t).URL, id
}

var toolNames = []string{"list_events", "list_groups", "list_silences", "report", "show_group", "state_at"}

func TestToolsAreDescribed(t *testing.T) {
	s := connect(t, "http://127.0.0.1:1")
	require.Contains(t, s.InitializeResult().Instructions, notice)
	require.Equal(t, "1.2.3", s.InitializeResult().ServerInfo.Version)
	var names []string
	for tool, err := range s.Tools(t.Context(), nil) {
		require.NoError(t, err)
		names = append(names, tool.Name)
		require.Contains(t, tool.Description, notice, tool.Name)
		a := tool.Annotations
		require.True(t, a.ReadOnlyHint && a.IdempotentHint && !*a.DestructiveHint && !*a.OpenWorldHint, tool.Name)
		require.NotEmpty(t, a.Title)
		for _, schema := range []any{tool.InputSchema, tool.OutputSchema} {
			of := schema.(map[string]any)
			require.Equal(t, "object", of["type"])
			require.Equal(t, false, of["additionalProperties"])
			require.NotEmpty(t, of["properties"])
		}
		for name, property := range tool.InputSchema.(map[string]any)["properties"].(map[string]any) {
			require.NotEmpty(t, property.(map[string]any)["description"], "%s %s", tool.Name, name)
		}
	}
	require.Equal(t, toolNames, sorted(names))
}

func TestListGroups(t *testing.T) {
	address, id := muster(t)
	s := connect(t, address)
	var got Groups
	text := s.call(t, "list_groups", nil, &got)
	require.NotZero(t, got.Total)
	found := got.Groups[0]
	for _, g := range got.Groups {
		if g.ID == id {
			found = g
		}
	}
	require.Equal(t, id, found.ID)
	require.Equal(t, "default", found.Source)
	require.Equal(t, address+"/groups/"+id, found.URL)
	require.Contains(t, text, "State of now.")
	require.Contains(t, text, "Group "+id+" is suppressed")
	require.Contains(t, text, `  group labels: «alertname="Full"» «disk="/ \"a\""»`)

	s.call(t, "list_groups", map[string]any{"filter": `alertname="Nothing"`}, &got)
	require.Zero(t, got.Total)
	require.Empty(t, got.Groups)
	for argument, words := range map[string][]string{
		"state": {"firing", "mixed", "suppressed", "unreported", "resolved"}, "sort": {"severity", "newest", "name", "count", "updated"},
	} {
		for _, word := range words {
			value := any(word)
			if argument == "state" {
				value = []string{word}
			}
			s.call(t, "list_groups", map[string]any{argument: value, "receiver": "team", "source": "default", "limit": 100}, &got)
		}
	}
}

func TestShowGroup(t *testing.T) {
	address, id := muster(t)
	s := connect(t, address)
	var got GroupDetail
	text := s.call(t, "show_group", map[string]any{"id": id}, &got)
	require.Equal(t, id, got.Group.ID)
	require.NotEmpty(t, got.Alerts)
	require.Equal(t, "mira", got.Alerts[0].Mutes[0].By)
	require.Equal(t, "canary", got.Alerts[0].Mutes[0].Comment)
	require.NotEmpty(t, got.Timeline)
	require.NotNil(t, got.Before)
	require.Contains(t, text, "muted by silence «s1» of «mira», comment «canary» until ")
	require.Contains(t, text, "Timeline, the newest first:")

	s.call(t, "show_group", map[string]any{"id": id, "status": "resolved"}, &got)
	require.Empty(t, got.Alerts)
	require.Contains(t, s.fail(t, "show_group", map[string]any{"id": strings.Repeat("0", 20)}), "the Muster does not have it: «")
	require.Contains(t, s.fail(t, "show_group", map[string]any{"id": "../status"}), "20 hex digits")
}

// Acknowledgements and notes have the names that their authors chose.
func TestShowGroupWithPeople(t *testing.T) {
	id := strings.Repeat("0", 20)
	var notes []Note
	for i := range 7 {
		notes = append(notes, Note{By: "ben", At: "2026-11-26T02:00:00Z", Text: fmt.Sprintf("note %d", i), Verified: true})
	}
	s := connect(t, stub(t, map[string]any{
		"/api/v1/groups/" + id: map[string]any{
			"id": id, "state": "firing", "alerts": []any{}, "notes": notes,
			"ack": Ack{By: "mira", At: "2026-11-26T02:00:00Z", Until: "2026-11-26T06:00:00Z", Note: "on it", NewSince: 2},
		},
		"/api/v1/groups/" + id + "/events": map[string]any{"events": []any{}},
	}))
	var got GroupDetail
	text := s.call(t, "show_group", map[string]any{"id": id}, &got)
	require.Contains(t, text, "acknowledged by «mira» (name not verified) at 2026-11-26T02:00:00Z until 2026-11-26T06:00:00Z, note «on it». "+
		"2 alerts are new since then.")
	require.Equal(t, 2, got.Group.Ack.NewSince)
	require.Len(t, got.Notes, maxNotes)
	require.Contains(t, text, "Note by «ben» at 2026-11-26T02:00:00Z: «note 6»")
	require.Contains(t, text, "Not shown: 2 older notes.")
}

// What people wrote in a real Muster is in the answers.
func TestPeople(t *testing.T) {
	m := testserver.New(t, testserver.Options{})
	id := m.PostKept(t, wiretest.Body())
	for path, body := range map[string]string{"ack": `{"by":"mira","note":"on it"}`, "notes": `{"by":"ben","text":"saw it too"}`} {
		w := m.Do(http.MethodPost, "/api/v1/groups/"+id+"/"+path, strings.NewReader(body))
		require.Equal(t, http.StatusOK, w.Code, w.Body)
	}
	s := connect(t, m.Listen(t).URL)
	for ack, total := range map[string]int{"yes": 1, "no": 0, "new": 0} {
		var got Groups
		s.call(t, "list_groups", map[string]any{"ack": ack}, &got)
		require.Equal(t, total, got.Total, ack)
	}
	var got GroupDetail
	text := s.call(t, "show_group", map[string]any{"id": id}, &got)
	require.Contains(t, text, "  acknowledged by «mira» (name not verified) at ")
	require.Contains(t, text, "note «on it». 0 alerts are new since then.")
	require.Contains(t, text, "Note by «ben» (name not verified) at ")
	require.Contains(t, text, " acknowledged, source «default», receiver «team», by «mira» (name not verified), text «on it»")

	w := m.Do(http.MethodPost, "/api/v1/groups/"+id+"/close", strings.NewReader(`{"by":"mira"}`))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	text = s.call(t, "show_group", map[string]any{"id": id}, &got)
	require.Equal(t, "mira", got.Group.ClosedBy.By)
	require.Contains(t, text, "  closed by «mira» (name not verified) at ")
}

func TestListEvents(t *testing.T) {
	address, id := muster(t)
	s := connect(t, address)
	var got Events
	text := s.call(t, "list_events", map[string]any{"group": id, "since": "1h"}, &got)
	require.NotEmpty(t, got.Events)
	require.Equal(t, id, got.Events[0].GroupID)
	require.Contains(t, text, " fired, group "+id)
	s.call(t, "list_events", map[string]any{"kind": "silenceCreated,opened"}, &got)
	require.NotEmpty(t, got.Events)
	// The description lists every kind.
	for tool, err := range s.Tools(t.Context(), nil) {
		require.NoError(t, err)
		if tool.Name == "list_events" {
			about := tool.InputSchema.(map[string]any)["properties"].(map[string]any)["kind"].(map[string]any)["description"].(string)
			_, kinds, _ := strings.Cut(about, ": ")
			kinds, _, _ = strings.Cut(kinds, ".")
			s.call(t, "list_events", map[string]any{"kind": strings.ReplaceAll(kinds, " ", "")}, &got)
		}
	}
}

func TestStateAt(t *testing.T) {
	address, id := muster(t)
	s := connect(t, address)
	var got Groups
	now := time.Now().UTC().Format(time.RFC3339Nano)
	text := s.call(t, "state_at", map[string]any{"at": now, "state": []string{"firing", "suppressed"}}, &got)
	require.NotEmpty(t, got.At)
	require.NotEmpty(t, got.KnownSince)
	require.Contains(t, text, "State at "+got.At+", as Muster knew it then.")
	require.Contains(t, text, id)
	require.Contains(t, got.Groups[0].URL, "?at=")
	early := s.fail(t, "state_at", map[string]any{"at": "2020-01-01T00:00:00Z"})
	require.Contains(t, early, "The history begins at 20")
	require.Contains(t, s.fail(t, "state_at", map[string]any{"at": "tomorrow"}), "the Muster does not accept the question: «bad query: at: ")
	require.Contains(t, s.fail(t, "state_at", nil), "at")

	var detail GroupDetail
	s.call(t, "show_group", map[string]any{"id": id, "at": got.At}, &detail)
	require.Equal(t, got.At, detail.At)
}

func TestReport(t *testing.T) {
	address, _ := muster(t)
	s := connect(t, address)
	var got Report
	text := s.call(t, "report", map[string]any{"since": "24h", "by": "alertname"}, &got)
	require.Equal(t, "Down", got.By[0].Key)
	require.Contains(t, text, "All alerts: ")
	require.Contains(t, text, "«Down»: 0 firings, 86400 s firing")
	require.Contains(t, text, "Not shown: the heat map")
}

func TestListSilences(t *testing.T) {
	address, _ := muster(t)
	s := connect(t, address)
	var got Silences
	text := s.call(t, "list_silences", nil, &got)
	require.Equal(t, 2, got.Total)
	require.Equal(t, "s1", got.Silences[0].ID)
	require.Equal(t, []string{`alertname=~"Down|Never"`}, got.Silences[0].Matchers)
	require.NotZero(t, got.Silences[0].MutesNow)
	require.NotEmpty(t, got.Silences[0].SomeAlerts)
	require.Contains(t, text, "Silence «s1» of source «default» is active")
	require.Contains(t, text, "by «mira»: «canary»")
	for _, state := range []string{"active", "pending", "expired"} {
		s.call(t, "list_silences", map[string]any{"state": state}, &got)
	}
}

// Wrong arguments are refused with a sentence that names them.
func TestWrongArguments(t *testing.T) {
	address, id := muster(t)
	s := connect(t, address)
	for _, c := range []struct {
		tool, argument string
		value          any
		says           string
	}{
		{"list_groups", "limit", 0, "limit"},
		{"list_groups", "limit", 101, "limit"},
		{"list_groups", "limit", "many", "limit"},
		{"list_groups", "state", []string{"burning"}, "state"},
		{"list_groups", "sort", "color", "sort"},
		{"list_groups", "colour", "red", "colour"},
		{"list_groups", "filter", strings.Repeat("x", maxArgument+1), "filter"},
		{"list_groups", "filter", `a="`, "bad query: filter"},
		{"list_groups", "cursor", "none", "cursor"},
		{"list_events", "kind", "exploded", "kind"},
		{"list_events", "since", "long ago", "since"},
		{"list_silences", "state", "loud", "state"},
		{"report", "until", "never", "until"},
		{"show_group", "skip", -1, "skip"},
	} {
		arguments := map[string]any{c.argument: c.value}
		if c.tool == "show_group" {
			arguments["id"] = id
		}
		require.Contains(t, s.fail(t, c.tool, arguments), c.says, "%s %s", c.tool, c.argument)
	}
	_, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "delete_group"})
	require.ErrorContains(t, err, "delete_group")
}

// No tool sends anything but GET.
func TestToolsOnlyRead(t *testing.T) {
	muster := testserver.New(t, testserver.Options{})
	muster.PostKept(t, wiretest.Body())
	asked := map[string]bool{}
	s := connect(t, serveStub(t, func(w http.ResponseWriter, r *http.Request) {
		asked[r.Method] = true
		muster.ServeHTTP(w, r)
	}))
	for _, tool := range toolNames {
		_, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: map[string]any{
			"list_groups": nil, "show_group": map[string]any{"id": strings.Repeat("0", 20)}, "state_at": map[string]any{"at": "1h"},
		}[tool]})
		require.NoError(t, err)
	}
	require.Equal(t, map[string]bool{http.MethodGet: true}, asked)
}

// A list can be read to its end, although its entries are large.
func TestReadToTheEnd(t *testing.T) {
	m := testserver.New(t, testserver.Options{})
	long := strings.Repeat("<", maxValue)
	ids := map[string]bool{}
	for i := range 45 {
		ids[m.Notify(t, "default", "team", fmt.Sprintf(`{"n":"%d"}`, i), fmt.Sprintf(
			`{"status":"firing","startsAt":"2026-11-23T03:00:00Z","labels":{"alertname":"A%d"},"annotations":{"a":%q,"b":%q,"c":%q}}`,
			i, long, long, long))] = true
	}
	s := connect(t, m.Listen(t).URL)
	for _, c := range []struct {
		tool string
		read func(t *testing.T, arguments map[string]any) (ids []string, next string)
	}{
		{"list_groups", func(t *testing.T, arguments map[string]any) (ids []string, next string) {
			var got Groups
			text := s.call(t, "list_groups", arguments, &got)
			require.Equal(t, 45, got.Total)
			for _, g := range got.Groups {
				ids = append(ids, g.ID)
			}
			if got.Next != "" {
				require.Contains(t, text, "because an answer has a maximum size. Ask again with the same arguments and cursor "+got.Next)
				require.NotEmpty(t, got.LeftOut)
			}
			return ids, got.Next
		}},
		{"list_events", func(t *testing.T, arguments map[string]any) (ids []string, next string) {
			var got Events
			arguments["kind"] = "fired"
			s.call(t, "list_events", arguments, &got)
			for _, e := range got.Events {
				ids = append(ids, e.GroupID)
			}
			return ids, got.Next
		}},
	} {
		seen := map[string]bool{}
		for cursor, more := "", true; more; more = cursor != "" {
			arguments := map[string]any{"limit": 100}
			if cursor != "" {
				arguments["cursor"] = cursor
			}
			var found []string
			found, cursor = c.read(t, arguments)
			require.NotEmpty(t, found, c.tool)
			for _, id := range found {
				require.False(t, seen[id], "%s: twice", c.tool)
				seen[id] = true
			}
		}
		require.Equal(t, ids, seen, c.tool)
	}
}

// A group of many alerts can be read in parts.
func TestLargeGroup(t *testing.T) {
	m := testserver.New(t, testserver.Options{})
	var alerts []string
	for i := range 3000 {
		alerts = append(alerts, fmt.Sprintf(`{"status":"firing","startsAt":"2026-11-23T03:00:00Z","labels":{"alertname":"A","i":"%05d"}}`, i))
	}
	id := m.Notify(t, "default", "team", `{}`, alerts...)
	s := connect(t, m.Listen(t).URL)
	seen := map[string]bool{}
	for skip := 0; skip < 100; {
		var got GroupDetail
		text := s.call(t, "show_group", map[string]any{"id": id, "alerts": 50, "events": 1, "skip": skip}, &got)
		require.NotEmpty(t, got.Alerts)
		for _, a := range got.Alerts {
			require.False(t, seen[a.Fingerprint])
			seen[a.Fingerprint] = true
		}
		skip += len(got.Alerts)
		require.Contains(t, text, fmt.Sprintf("Not shown: %d more alerts. Ask again with skip %d", 3000-skip, skip))
		require.Contains(t, text, "Ask list_events with group "+id+" and cursor ")
	}
	var got GroupDetail
	s.call(t, "show_group", map[string]any{"id": id, "skip": 2995}, &got)
	require.Len(t, got.Alerts, 5)
}

// Every tool bounds its answer, however much the Muster answers.
func TestAnswersAreBounded(t *testing.T) {
	huge := strings.Repeat("<\x00é", 300)
	labels := map[string]string{}
	for i := range 20 {
		labels[fmt.Sprintf("%s%d", huge, i)] = huge
	}
	id := strings.Repeat("0", 20)
	var groups, rows, alerts, events, silences, muted []any
	for range 3 {
		groups = append(groups, map[string]any{
			"id": id, "state": huge, "receiver": huge, "lastReason": huge,
			"groupLabels": labels, "commonLabels": labels, "commonAnnotations": labels,
		})
		mute := map[string]any{"kind": huge, "id": huge, "rule": huge, "by": huge, "comment": huge}
		alerts = append(alerts, map[string]any{"labels": labels, "annotations": labels, "mutes": []any{mute, mute, mute, mute, mute}})
		events = append(events, map[string]any{"labels": labels, "kind": huge, "reason": huge, "mute": mute})
	}
	for range 500 {
		rows = append(rows, map[string]any{"key": huge[:900], "receiver": huge[:900], "day": huge[:900], "from": huge[:900]})
	}
	for range 20_000 {
		muted = append(muted, map[string]any{"fingerprint": "0011223344556677", "active": true})
	}
	silences = append(silences, map[string]any{
		"id": huge, "comment": huge, "createdBy": huge, "matchers": []string{huge, huge, huge}, "muted": muted, "expected": []string{huge, huge},
	})
	s := connect(t, stub(t, map[string]any{
		"/api/v1/groups": map[string]any{"groups": groups, "total": 3}, "/api/v1/events": map[string]any{"events": events},
		"/api/v1/groups/" + id: map[string]any{
			"id": id, "alerts": alerts, "groupLabels": labels, "commonAnnotations": labels, "commonLabels": labels,
			"notes": []any{Note{By: huge, Text: huge}}, "ack": Ack{By: huge, Note: huge},
		},
		"/api/v1/groups/" + id + "/events": map[string]any{"events": events, "next": "x"},
		"/api/v1/report":                   map[string]any{"by": rows, "receivers": rows, "days": rows, "gaps": rows},
		"/api/v1/silences":                 map[string]any{"silences": silences, "total": 1},
	}))
	for _, c := range []struct {
		tool      string
		arguments map[string]any
	}{
		{"list_groups", nil},
		{"state_at", map[string]any{"at": "1h"}},
		{"show_group", map[string]any{"id": id}},
		{"list_events", nil},
		{"report", map[string]any{"limit": 100}},
		{"list_silences", nil},
	} {
		var got struct {
			LeftOut  []string
			Silences []Silence
		}
		text := s.call(t, c.tool, c.arguments, &got)
		require.NotEmpty(t, got.LeftOut, c.tool)
		require.Contains(t, text, "Not shown: ", c.tool)
		for _, one := range got.Silences {
			require.Equal(t, 20_000, one.Muted)
			require.Equal(t, 20_000, one.MutesNow)
			require.Len(t, one.SomeAlerts, maxSome)
		}
		structured, err := json.Marshal(got)
		require.NoError(t, err)
		require.NotContains(t, string(structured), "\\u0000")
	}
}
