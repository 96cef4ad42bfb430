package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// The API returns the times that were sent, even those far from today.
func TestTimesAreReturnedAsSent(t *testing.T) {
	for _, at := range []string{
		"0000-06-01T00:00:00Z", "0001-01-01T00:00:00.000000001Z", "1677-01-01T00:00:00Z", "1677-09-21T00:12:43.145224192Z",
		"1970-01-01T00:00:00Z", "2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775808Z", "2300-01-01T00:00:00.1+02:00",
		"9999-12-31T23:59:59.999999999Z", "2026-02-28T23:59:59.5-23:59",
	} {
		h := testserver.New(t, testserver.Options{})
		want, err := time.Parse(time.RFC3339Nano, at)
		require.NoError(t, err)
		id := h.PostKept(t, wiretest.Body(wiretest.Start, `"startsAt":"`+at+`"`))
		var g struct {
			Alerts []struct{ StartsAt time.Time }
		}
		require.NoError(t, json.Unmarshal(h.Get("/api/v1/groups/"+id).Body.Bytes(), &g))
		require.True(t, want.Equal(g.Alerts[0].StartsAt), "%s became %s", at, g.Alerts[0].StartsAt)
	}
}

func TestPagesOfTheAPIAreComplete(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	for i := range 7 {
		h.PostKept(
			t,
			wiretest.Body(wiretest.Key, fmt.Sprintf(`"groupKey":"k%d"`, i), `"groupLabels":{}`, fmt.Sprintf(`"groupLabels":{"alertname":"A%d"}`, i),
				wiretest.Labels, fmt.Sprintf(`{"alertname":"A%d","severity":%q}`, i,
					[]string{"critical", "warning", "info"}[i%3])),
		)
	}
	for _, order := range []string{"", "severity", "newest", "name", "count", "updated"} {
		var keys []string
		cursor, pages := "", 0
		for {
			var v struct {
				Groups []struct{ GroupKey string }
				Total  int
				Next   string
			}
			w := h.Get("/api/v1/groups?limit=3&sort=" + order + "&cursor=" + url.QueryEscape(cursor))
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
			require.Equal(t, 7, v.Total)
			for _, g := range v.Groups {
				require.NotContains(t, keys, g.GroupKey, order)
				keys = append(keys, g.GroupKey)
			}
			pages++
			if cursor = v.Next; cursor == "" {
				break
			}
		}
		require.Len(t, keys, 7, order)
		require.Equal(t, 3, pages, order)
		if order == "name" {
			require.True(t, slices.IsSorted(keys), keys)
		}
	}
}

func TestEventsBetweenTimes(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, wiretest.Body())
	var v struct {
		Events []struct {
			Time time.Time
			Kind string
		}
	}
	get := func(path string) int {
		w := h.Get(path)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
		return len(v.Events)
	}
	require.Equal(t, 3, get("/api/v1/groups/"+id+"/events"))
	at := v.Events[0].Time
	query := func(name string, t time.Time) string { return name + "=" + url.QueryEscape(t.Format(time.RFC3339Nano)) }
	require.Equal(t, 3, get("/api/v1/events?"+query("since", at.Add(-time.Second))+"&"+query("until", at.Add(time.Second))))
	require.Zero(t, get("/api/v1/events?"+query("since", at.Add(time.Second))))
	require.Zero(t, get("/api/v1/events?"+query("until", at.Add(-time.Second))))
	require.Equal(t, 3, get(fmt.Sprintf("/api/v1/events?since=%.3f", float64(at.UnixMilli()-1000)/1000)))
	require.Equal(t, 1, get("/api/v1/groups/"+id+"/events?kind=opened"))
	require.Equal(t, "opened", v.Events[0].Kind)
	h.PostKept(t, wiretest.Body(wiretest.Key, `"groupKey":"another"`))
	require.Equal(t, 6, get("/api/v1/events"))
	require.Equal(t, 3, get("/api/v1/groups/"+id+"/events"), "the history of the group only")

	for range 10 { // all problems are listed, in a stable order
		const text = ` is not a time: use RFC 3339, 2006-01-02 15:04 (UTC), Unix seconds, or a duration before now such as -1h30m or 7d`
		require.JSONEq(t, `{"error":"bad query: since: \"NaN\"`+text+`; until: \"x\"`+text+`"}`,
			h.Get("/api/v1/events?until=x&since=NaN").Body.String())
	}
	require.JSONEq(t, `{"error":"bad query: limit: \"1001\" is not a number between 1 and 1000"}`,
		h.Get("/api/v1/groups?limit=1001").Body.String())
	for _, bad := range []string{"until=-1", "until=1e12", "limit=-1", "limit=1001", "cursor=%00", "filter=%7B"} {
		require.Equal(t, http.StatusBadRequest, h.Get("/api/v1/events?"+bad).Code, bad)
	}
}

// The status of the message is not the status of an alert, and field names are
// case-sensitive.
func TestNamesInAnotherCaseAreIgnored(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(
		t,
		wiretest.Body(
			wiretest.Status,
			`[{"STATUS":"resolved","StartsAt":5,"Labels":[],"status":"firing"`,
			wiretest.Key,
			`"GROUPKEY":1,`+wiretest.Key,
		),
	)
	require.Contains(t, h.Get("/api/v1/groups/"+id).Body.String(), `"status":"firing"`)
	h.RequireRejected(t, "only in another case", h.Post(wiretest.Body(wiretest.Key, `"GroupKey":"x"`)), 400, "groupKey: is missing")
}

// Senders use their own time zone; every answer uses UTC.
func TestTimesAreAnsweredInUTC(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	resolved := wiretest.Named("B", `"firing"`, `"resolved"`, wiretest.Start, `"startsAt":"2026-11-26T20:00:00.000000001+02:00"`,
		"0001-01-01T00:00:00Z", "2026-11-26T14:30:00-05:00")
	id := h.PostKept(t, wiretest.Listing(wiretest.Named("A", wiretest.Start, `"startsAt":"2026-11-27T02:00:00+08:00"`), resolved))
	fingerprint := string(grouping.NewLabels(map[string]string{"alertname": "B"}).Fingerprint())
	for _, path := range []string{
		"/api/v1/groups/" + id, "/api/v1/groups?alerts=true", "/api/v1/alerts/" + fingerprint, "/api/v1/events",
		"/api/v1/stats", "/api/v1/status",
	} {
		answer := h.Get(path).Body.String()
		var parsed any
		require.NoError(t, json.Unmarshal([]byte(answer), &parsed))
		times := timesIn(parsed)
		require.NotEmpty(t, times, path)
		for _, text := range times {
			require.True(t, strings.HasSuffix(text, "Z"), "%s: %s", path, text)
		}
	}
	require.Contains(t, h.Get("/api/v1/groups/"+id).Body.String(),
		`"startsAt":"2026-11-26T18:00:00.000000001Z","endsAt":"2026-11-26T19:30:00Z"`)
}

// timesIn returns every timestamp in a JSON value.
func timesIn(v any) []string {
	var out []string
	switch v := v.(type) {
	case string:
		if wireTime.MatchString(v) {
			out = append(out, v)
		}
	case []any:
		for _, element := range v {
			out = append(out, timesIn(element)...)
		}
	case map[string]any:
		for _, element := range v {
			out = append(out, timesIn(element)...)
		}
	}
	return out
}

var wireTime = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}`)

// Earlier versions stored times with the sender's offset. The view of a group,
// which live updates also use, converts them to UTC.
func TestStoredTimesAreAnsweredInUTC(t *testing.T) {
	zone := time.FixedZone("", 2*60*60)
	start := time.Date(2026, 11, 26, 20, 0, 0, 1, zone)
	ours := start.UTC() // the form that Muster writes
	key := grouping.Key{Source: "default", Receiver: "team", GroupKey: "old"}
	s := grouping.NewStamp(time.Now(), 0, "00000000000000aa")
	g := grouping.NewAlertGroup(grouping.AlertGroup{
		ID: key.ID(), Meta: grouping.Meta{Key: key, CreatedAt: ours, UpdatedAt: ours, LastNotifiedAt: ours, CompleteAt: ours, Stamp: s},
		Alerts: []*grouping.Alert{{
			Fingerprint: "00000000000000ff", Status: grouping.StatusResolved, StartsAt: start, EndsAt: start.Add(time.Hour),
			FirstSeenAt: ours, LastSeenAt: ours, ChangedAt: ours, Stamp: s,
			Recorded: []grouping.Episode{
				{StartsAt: start.Add(-time.Hour), EndsAt: start.Add(-time.Minute), Stamp: s},
				{StartsAt: start, EndsAt: start.Add(time.Hour), Stamp: s},
			},
		}},
	})
	text, err := json.Marshal(viewGroupWithAlerts(g))
	require.NoError(t, err)
	var parsed any
	require.NoError(t, json.Unmarshal(text, &parsed))
	times := timesIn(parsed)
	require.Greater(t, len(times), 10)
	for _, at := range times {
		require.True(t, strings.HasSuffix(at, "Z"), at)
	}
}
