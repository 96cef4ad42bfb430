package query

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func TestWhatIsNotUnderstoodIsNamed(t *testing.T) {
	groups := func(raw string) error {
		p := Parse(raw)
		p.Groups(StateAll)
		p.Bool("alerts")
		return p.Err()
	}
	events := func(raw string) error {
		p := Parse(raw)
		p.Events(now)
		p.GroupID("group")
		return p.Err()
	}
	for _, c := range []struct {
		ask  func(string) error
		raw  string
		want string
	}{
		{groups, `filter=a="b;c"`, "the query cannot be decoded: write a semicolon as %3B"},
		{groups, `source=prod;state=all`, "the query cannot be decoded: write a semicolon as %3B"},
		{groups, `source=%zz`, `the query cannot be decoded: invalid URL escape "%zz"`},
		{
			groups, `filters=a`,
			`unknown parameter "filters", supported are ack, alerts, cause, cursor, filter, limit, receiver, silence, sort, source, state`,
		},
		{groups, `source=a&source=b`, "source: given 2 times, only one value is allowed"},
		{groups, `sort=colour`, `sort: "colour" is not one of severity, newest, name, count, updated`},
		{groups, `state=open`, `state: "open" is not one of firing, mixed, suppressed, unreported, resolved, all`},
		{groups, `state=firing,open`, `state: "open" is not one of firing, mixed, suppressed, unreported, resolved, all`},
		{groups, `state=Firing`, `state: "Firing" is not one of firing, mixed, suppressed, unreported, resolved, all`},
		{groups, `limit=0`, `limit: "0" is not a number between 1 and 1000`},
		{groups, `limit=1001`, `limit: "1001" is not a number between 1 and 1000`},
		{groups, `limit=1&limit=2`, "limit: given 2 times, only one value is allowed"},
		{groups, `alerts=maybe`, `alerts: "maybe" is neither true nor false`},
		{
			groups, `limit=x&sort=y`,
			`sort: "y" is not one of severity, newest, name, count, updated; limit: "x" is not a number between 1 and 1000`,
		},
		{
			events, `since=yesterday`,
			`since: "yesterday" is not a time: use RFC 3339, 2006-01-02 15:04 (UTC), Unix seconds, or a duration before now ` +
				`such as -1h30m or 7d`,
		},
		{
			events, `kind=explode`, `kind: "explode" is not one of opened, fired, refired, reopened, resolved, unreported, ` +
				`returned, notified, closed, stale, expired, suppressed, unsuppressed, delivered, ` +
				`silenceCreated, silenceChanged, silenceExpired, acknowledged, unacknowledged, noted, gap, all`,
		},
		{events, `group=x`, `group: "x" is not the ID of a group: 20 hex digits`},
		{events, `alert=x`, `alert: "x" is not a fingerprint: 16 hex digits`},
		{events, `cursor=MTAw`, "cursor: not a cursor from an earlier response"},
		{
			events, `sort=name`,
			`unknown parameter "sort", supported are alert, cursor, filter, group, kind, limit, receiver, since, source, until`,
		},
	} {
		err := c.ask(c.raw)
		require.EqualError(t, err, "bad query: "+c.want, c.raw)
		require.ErrorIs(t, err, grouping.ErrBadQuery)
	}
	for _, raw := range []string{
		"", "state=&receiver=&source=&sort=&limit=&filter=", "filter=a&filter=b", "state=firing&state=resolved", "receiver=&receiver=x",
	} {
		require.NoError(t, groups(raw), raw)
	}
	require.EqualError(t, Parse("x=1").Err(), `bad query: unknown parameter "x", no parameters are supported here`)
}

// The state "firing" includes mixed groups, whether other alerts of the group fire or
// not.
func TestStates(t *testing.T) {
	suppressed := []grouping.State{grouping.StateSuppressed, grouping.StateMixed}
	over := []grouping.State{grouping.StateSuppressed, grouping.StateResolved}
	reported := []grouping.State{grouping.StateFiring, grouping.StateMixed, grouping.StateUnreported, grouping.StateResolved}
	for raw, want := range map[string]struct {
		words  string
		states []grouping.State
	}{
		"":                                {"unreported", []grouping.State{grouping.StateUnreported}},
		"state=":                          {"unreported", []grouping.State{grouping.StateUnreported}},
		"state=all":                       {"all", nil},
		"state=firing":                    {"firing", []grouping.State{grouping.StateFiring, grouping.StateMixed}},
		"state=mixed":                     {"mixed", []grouping.State{grouping.StateMixed}},
		"state=mixed,firing":              {"firing", []grouping.State{grouping.StateFiring, grouping.StateMixed}},
		"state=resolved&state=unreported": {"unreported,resolved", []grouping.State{grouping.StateUnreported, grouping.StateResolved}},
		"state=resolved,resolved":         {"resolved", []grouping.State{grouping.StateResolved}},

		"state=resolved,firing,unreported,suppressed": {"all", nil},
		"state=resolved,firing,unreported,mixed":      {"firing,unreported,resolved", reported},

		"state=suppressed":          {"suppressed", suppressed},
		"cause=silence":             {"suppressed", suppressed},
		"silence=b592debe":          {"suppressed", suppressed},
		"state=suppressed,resolved": {"suppressed,resolved", over},
		"state=resolved&state=all":  {"all", nil},
	} {
		p := Parse(raw)
		g := p.Groups(StateUnreported)
		require.NoError(t, p.Err(), raw)
		require.Equal(t, want.words, g.State, raw)
		require.Equal(t, want.states, g.Query().States, raw)
	}
}

func TestMutes(t *testing.T) {
	for raw, want := range map[string]*grouping.MuteQuery{
		"":                                  nil,
		"state=suppressed,resolved":         nil,
		"state=suppressed":                  {},
		"cause=inhibition":                  {Cause: grouping.MuteInhibition},
		"cause=silence&silence=b592debe":    {Cause: grouping.MuteSilence, Silence: "b592debe"},
		"state=suppressed&silence=b592debe": {Silence: "b592debe"},
		"state=firing,mixed&cause=interval": {Cause: grouping.MuteInterval},
	} {
		p := Parse(raw)
		g := p.Groups(StateFiring)
		require.NoError(t, p.Err(), raw)
		require.Equal(t, want, g.Query().Mutes, raw)
	}
	p := Parse("cause=night")
	p.Groups(StateFiring)
	require.ErrorContains(t, p.Err(), `cause: "night" is not one of silence, inhibition, interval`)
}

func TestTimes(t *testing.T) {
	at := func(text string) time.Time {
		p := Parse("")
		p.values.Set("at", text)
		got := p.Time("at", now)
		require.NoError(t, p.Err(), text)
		require.Equal(t, time.UTC, got.Location(), text)
		return got
	}
	want := time.Date(2026, 11, 26, 2, 55, 0, 0, time.UTC)
	for _, text := range []string{
		"2026-11-26T02:55:00Z", "2026-11-26T03:55:00+01:00", "2026-11-26 02:55", "2026-11-26T02:55", "2026-11-26 02:55:00",
		"2026-11-26T02:55:00.000Z",
		"1795661700", "1795661700.0", "-9h5m", "9h5m",
	} {
		require.Equal(t, want, at(text), text)
	}
	require.Equal(t, now.AddDate(0, 0, -7), at("7d"))
	require.Equal(t, now.Truncate(24*time.Hour), at("2026-11-26"))
	for _, text := range []string{
		"yesterday", "NaN", "-1", "1e12", "+1h", "--1h", "2026-13-01", "02:55", "2026-11-26T02:55:00 01:00", "1h-", "Inf",
	} {
		p := Parse("")
		p.values.Set("at", text)
		require.True(t, p.Time("at", now).IsZero(), text)
		require.ErrorContains(t, p.Err(), "at: ", text)
	}
}

func TestEventsAreAskedForByKind(t *testing.T) {
	usual := []grouping.EventKind{grouping.EventFired}
	for raw, want := range map[string][]grouping.EventKind{
		"": usual, "kind=all": nil, "kind=resolved,all": nil, "kind=resolved&kind=fired,resolved": {grouping.EventResolved, grouping.EventFired},
	} {
		p := Parse(raw)
		e := p.Events(now)
		require.NoError(t, p.Err(), raw)
		require.Equal(t, want, e.Query(usual).Kinds, raw)
	}
}

// The minute of at is the last one, unless the events end before it.
func TestAtLimitsTheEvents(t *testing.T) {
	for raw, want := range map[string]time.Time{
		"": {}, "at=2026-11-26 02:55": time.Date(2026, 11, 26, 2, 56, 0, 0, time.UTC), "at=-1h&until=-30m": now.Add(-59 * time.Minute),
		"at=-1h&until=-2h": now.Add(-2 * time.Hour), "until=-2h": now.Add(-2 * time.Hour),
	} {
		p := Parse(strings.ReplaceAll(raw, " ", "%20"))
		e := p.Events(now)
		e.At = p.At(now)
		require.NoError(t, p.Err(), raw)
		require.Equal(t, want, e.Query(nil).Until, raw)
	}
}

func TestByAndLabels(t *testing.T) {
	p := Parse("by=a,b&by=b,c&l=x%3D1&l=y%3D%3D2&l=z&l=")
	require.Equal(t, []string{"a", "b", "c"}, p.By())
	require.Equal(t, grouping.NewLabels(map[string]string{"x": "1", "y": "=2", "z": ""}), p.Labels("l"))
	require.NoError(t, p.Err())
	p = Parse("by=a,b,c,d,e,f")
	p.By()
	require.EqualError(t, p.Err(), "bad query: by: more than 5 label names")
	p = Parse("")
	require.Equal(t, grouping.DefaultSort, new(p.Groups(StateAll)).Sort)
}
