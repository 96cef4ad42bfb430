package receiver

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"muster/grouping"
)

// alertNamed returns an alert of a body after replacements.
func alertNamed(name string, replace ...string) string {
	return strings.NewReplacer(replace...).Replace(fmt.Sprintf(`{"status":"firing","labels":{"alertname":%q},"annotations":{},`+
		`"startsAt":"2026-11-23T03:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":""}`, name))
}

func listing(alerts ...string) string {
	legal := body()
	return legal[:strings.Index(legal, `[{`)] + "[" + strings.Join(alerts, ",") + "]" + legal[strings.Index(legal, `}]`)+2:]
}

const alertStart = `"startsAt":"2026-11-23T03:00:00Z"`

// An invalid alert does not affect the others. They are stored; it is rejected,
// counted as truncated and named in the answer.
func TestInvalidAlertDoesNotAffectOthers(t *testing.T) {
	for name, tc := range map[string]struct{ bad, reason, sentence string }{
		"a start before the year 0 in UTC": { // Alertmanager accepts and sends it
			alertNamed("Odd", alertStart, `"startsAt":"0000-01-01T00:00:00+14:00"`), alertRejectedTime,
			`alerts[20].startsAt: must be between the years 0 and 9999 in UTC (alert "Odd")`,
		},
		"no start": {alertNamed("Odd", alertStart+",", ""), alertRejectedTime, `alerts[20].startsAt: is missing (alert "Odd")`},
		"a start that is not a time": {
			alertNamed("Odd", alertStart, `"startsAt":"soon"`), alertRejectedTime,
			`alerts[20].startsAt: is not an RFC 3339 time (alert "Odd")`,
		},
		"an end after 9999": {
			alertNamed("Odd", `"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "9999-12-31T23:00:00-05:00"), alertRejectedTime,
			`alerts[20].endsAt: must be between the years 0 and 9999 in UTC (alert "Odd")`,
		},
		"an unknown status": {
			alertNamed("Odd", `"firing"`, `"pending"`), alertRejectedStatus,
			`alerts[20].status: is "pending", must be "firing" or "resolved" (alert "Odd")`,
		},
		"labels in a list": {
			alertNamed("Odd", `{"alertname":"Odd"}`, `["Odd"]`), alertRejectedMalformed,
			"alerts[20].labels: must not be a JSON array",
		},
		"a number as a label": {
			alertNamed("Odd", `"alertname":"Odd"`, `"alertname":"Odd","n":1`), alertRejectedMalformed,
			`alerts[20].labels.n: must not be a JSON number (alert "Odd")`,
		},
		"a text": {`"x"`, alertRejectedMalformed, "alerts[20]: must not be a JSON string"},
		"null":   {"null", alertRejectedStatus, `alerts[20].status: is "", must be "firing" or "resolved"`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestServer(t, Options{})
			alerts := make([]string, 0, 21)
			for i := range 20 {
				alerts = append(alerts, alertNamed(fmt.Sprint("Good", i)))
			}
			id := grouping.ID(h.postKept(t, listing(alerts...)))
			alerts[3] = alertNamed("Changed") // the whole body is decoded again
			kept := h.postResult(t, listing(append(alerts, tc.bad)...))
			require.Equal(t, id, kept.Group)
			require.Equal(t, uint64(1), kept.Cut)
			require.Equal(t, []string{tc.sentence}, kept.LeftOut)
			g, err := h.manager.GetGroup(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, 21, g.Counts.Firing, "a truncated list does not remove alerts")
			require.Equal(t, uint64(1), g.Truncated)
			require.InDelta(t, 1, h.counter(t, "muster_alerts_refused_total", "reason", tc.reason), 0)
			require.Contains(t, h.get("/status").Body.String(), "alert rejected: alerts[20]")
			require.InDelta(t, 0, h.counter(t, "muster_notifications_rejected_total", "reason", "bad_message"), 0)
		})
	}
}

// A body without any valid alert is rejected, because nothing was stored.
func TestBodyWithoutValidAlertsIsRejected(t *testing.T) {
	h := newTestServer(t, Options{})
	bad := alertNamed("Odd", `"firing"`, `"pending"`)
	h.requireRejected(t, "three", h.post(listing(bad, bad, bad)), http.StatusBadRequest,
		`alerts[0].status: is "pending", must be "firing" or "resolved"`)
	require.Empty(t, h.stored(t)[len(`{"groups":[],"total":0}`)+1:len(`{"groups":[],"total":0}`)+1])
}

func TestOnlyFirstRejectedAlertsAreNamed(t *testing.T) {
	h := newTestServer(t, Options{MaxAlerts: 100})
	bad := make([]string, 50)
	for i := range bad {
		bad[i] = alertNamed("Odd", `"firing"`, `"pending"`)
	}
	kept := h.postResult(t, listing(append([]string{alertNamed("Good")}, bad...)...))
	require.Equal(t, uint64(50), kept.Cut)
	require.Len(t, kept.LeftOut, maxRejectedDetails)
	h.requireRejected(t, "too many", h.post(listing(append([]string{alertNamed("Good")}, append(bad, bad...)...)...)),
		http.StatusRequestEntityTooLarge, "")
}

func TestTruncatedAlertsDoNotOverflow(t *testing.T) {
	h := newTestServer(t, Options{})
	text := strings.Replace(listing(alertNamed("Good"), alertNamed("Odd", `"firing"`, `"pending"`)), wireCut,
		`"truncatedAlerts":18446744073709551615`, 1)
	kept := h.postResult(t, text)
	g, err := h.manager.GetGroup(t.Context(), kept.Group)
	require.NoError(t, err)
	require.Equal(t, uint64(math.MaxUint64), g.Truncated)
	require.Equal(t, uint64(1), kept.Cut)
}

// Senders use their own time zone; every answer uses UTC.
func TestTimesAreAnsweredInUTC(t *testing.T) {
	h := newTestServer(t, Options{})
	resolved := alertNamed("B", `"firing"`, `"resolved"`, alertStart, `"startsAt":"2026-11-26T20:00:00.000000001+02:00"`,
		"0001-01-01T00:00:00Z", "2026-11-26T14:30:00-05:00")
	id := h.postKept(t, listing(alertNamed("A", alertStart, `"startsAt":"2026-11-27T02:00:00+08:00"`), resolved))
	fingerprint := string(grouping.Labels{"alertname": "B"}.Fingerprint())
	for _, path := range []string{
		"/api/v1/groups/" + id, "/api/v1/groups?alerts=true", "/api/v1/alerts/" + fingerprint, "/api/v1/events",
		"/api/v1/stats", "/api/v1/status",
	} {
		answer := h.get(path).Body.String()
		var parsed any
		require.NoError(t, json.Unmarshal([]byte(answer), &parsed))
		times := timesIn(parsed)
		require.NotEmpty(t, times, path)
		for _, text := range times {
			require.True(t, strings.HasSuffix(text, "Z"), "%s: %s", path, text)
		}
	}
	require.Contains(t, h.get("/api/v1/groups/"+id).Body.String(),
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

// A firing alert has no end, so an invalid endsAt does not reject it.
func TestEndOfFiringAlertIsIgnored(t *testing.T) {
	h := newTestServer(t, Options{})
	kept := h.postResult(t, listing(alertNamed("Odd", "0001-01-01T00:00:00Z", "9999-12-31T23:00:00-05:00")))
	require.Zero(t, kept.Cut)
	g, err := h.manager.GetGroup(t.Context(), kept.Group)
	require.NoError(t, err)
	require.Equal(t, 1, g.Counts.Firing)
}

// The status page names every rejected alert, not only the last one.
func TestEachRejectedAlertIsOnTheStatusPage(t *testing.T) {
	h := newTestServer(t, Options{})
	l := h.log(t, "logfmt")
	text := listing(alertNamed("Good"), alertNamed("OddA", `"firing"`, `"pending"`), alertNamed("OddB", `"firing"`, `"pending"`))
	for range 3 {
		require.Len(t, h.postResult(t, text).LeftOut, 2)
	}
	page := h.get("/status").Body.String()
	require.Contains(t, page, "OddA")
	require.Contains(t, page, "OddB")
	require.Equal(t, 1, strings.Count(l.text(), "Alerts rejected"), "the log does not repeat it within the interval")
}

// Valid alerts are stored, whatever the errors and the positions of the others
// are.
func TestValidAlertsAreStoredBesideInvalidOnes(t *testing.T) {
	h := newTestServer(t, Options{})
	bads := []string{
		alertNamed("Bad", `"firing"`, `"pending"`), alertNamed("Bad", alertStart, `"startsAt":"0000-01-01T00:00:00+14:00"`), "null", "[]", "7",
		`"x"`, "{}",
		alertNamed("Bad", `{"alertname":"Bad"}`, `[{"a":[1,{}]}]`), alertNamed("Bad", `"generatorURL":""`, `"generatorURL":{"a":[]}`),
		alertNamed("Bad", alertStart, `"startsAt":[[]]`),
	}
	rapid.Check(t, func(rt *rapid.T) {
		h.reset(t)
		good := rapid.IntRange(1, 8).Draw(rt, "good")
		var alerts []string
		for i := range good {
			alerts = append(alerts, alertNamed(fmt.Sprint("Good", i)))
		}
		bad := rapid.IntRange(1, 8).Draw(rt, "bad")
		for range bad {
			at := rapid.IntRange(0, len(alerts)).Draw(rt, "at")
			alerts = slices.Insert(alerts, at, rapid.SampledFrom(bads).Draw(rt, "which"))
		}
		kept := h.postResult(t, listing(alerts...))
		require.Equal(rt, uint64(bad), kept.Cut)
		g, err := h.manager.GetGroup(t.Context(), kept.Group)
		require.NoError(rt, err)
		require.Equal(rt, good, g.Counts.Firing)
		for _, a := range g.Alerts {
			require.True(rt, strings.HasPrefix(a.Name(), "Good"))
		}
		// A later notification with invalid alerts does not end firing alerts.
		h.postResult(t, listing(append([]string{alertNamed("Good0")}, bads...)...))
		g, err = h.manager.GetGroup(t.Context(), kept.Group)
		require.NoError(rt, err)
		require.Equal(rt, good, g.Counts.Firing)
	})
}

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
