package grouping

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"
)

const testWriter = "00000000000000aa"

// base is the time at which tests start.
var base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fataler holds the methods of *testing.T and *rapid.T that the checks need.
type fataler interface {
	Helper()
	Errorf(format string, args ...any)
	FailNow()
}

// checkGroup checks the invariants of a group.
func checkGroup(t fataler, g *AlertGroup) {
	t.Helper()
	require.True(t, g.ID.Valid())
	if g.IsTombstone() {
		return
	}
	require.Equal(t, g.ID, g.Key.ID())
	require.True(t, slices.IsSortedFunc(g.Alerts, compareFingerprints), "alerts must be sorted")
	var c Counts
	for i, a := range g.Alerts {
		require.True(t, i == 0 || g.Alerts[i-1].Fingerprint != a.Fingerprint, "fingerprints must be unique")
		require.Same(t, findMutes(g.Mutes, a.Fingerprint), a.muted, "an alert has the mutes of its group")
		switch a.ShownStatus() {
		case StatusFiring:
			c.Firing++
		case StatusSuppressed:
			c.Suppressed++
		case StatusResolved:
			c.Resolved++
		case StatusUnreported:
			c.Unreported++
		default:
			t.Errorf("status %q", a.Status)
		}
		checkAlert(t, g, a)
	}
	for i, m := range g.Mutes {
		require.True(t, i == 0 || g.Mutes[i-1].Fingerprint < m.Fingerprint, "mutes must be sorted")
		require.Greater(t, m.Stamp, g.Deleted)
		require.LessOrEqual(t, m.Stamp, g.Meta.Stamp, "mutes must not be newer than their group")
	}
	for i, a := range g.Acks {
		require.True(t, i == 0 || g.Acks[i-1].ID < a.ID, "acknowledgements must be sorted")
		require.Greater(t, a.Stamp, g.Deleted)
		require.LessOrEqual(t, a.Stamp, g.Meta.Stamp, "an acknowledgement must not be newer than its group")
	}
	require.LessOrEqual(t, len(g.Acks), maxAcks)
	for i, n := range g.Notes {
		require.True(t, i == 0 || g.Notes[i-1].compare(n) < 0, "notes must be sorted")
		require.Greater(t, n.Stamp, g.Deleted)
		require.LessOrEqual(t, n.Stamp, g.Meta.Stamp, "a note must not be newer than its group")
	}
	require.Equal(t, c, g.Counts)
	require.Equal(t, wantState(c, g.Truncated), g.State)
	checkEpisodes(t, g.Episodes(), maxGroupEpisodes)
	for fp, s := range g.Removed {
		require.Nil(t, g.Alert(fp), "an alert of the group must not be in Removed")
		require.Greater(t, s, g.Deleted)
	}
}

func wantState(c Counts, truncated uint64) State {
	switch {
	case c.Firing > 0 && c.Resolved == 0 && c.Unreported == 0 && c.Suppressed == 0:
		return StateFiring
	case c.Firing > 0:
		return StateMixed
	case c.Suppressed > 0:
		return StateSuppressed
	case c.Unreported > 0 || truncated > 0:
		return StateUnreported
	default:
		return StateResolved
	}
}

func checkAlert(t fataler, g *AlertGroup, a *Alert) {
	t.Helper()
	require.True(t, a.Stamp.Valid(), "%q", a.Stamp)
	require.Greater(t, a.Stamp, max(a.RemovalStamp, g.Deleted), "an alert must be newer than its removal and the deletion")
	require.LessOrEqual(t, a.Stamp, g.Meta.Stamp, "an alert must not be newer than its group")
	require.Equal(t, a.Status == StatusResolved, !a.EndsAt.IsZero(), "the end of a %s alert", a.Status)
	require.LessOrEqual(t, len(a.Recorded), maxEpisodes)
	for i, e := range a.Recorded {
		require.LessOrEqual(t, e.Stamp, a.Stamp)
		require.True(t, i == 0 || a.Recorded[i-1].StartsAt.Before(e.StartsAt))
	}
	eps := a.Episodes()
	checkEpisodes(t, eps, maxEpisodes+1)
	last := eps[len(eps)-1]
	require.True(t, last.StartsAt.Equal(a.StartsAt))
	require.Equal(t, a.EndsAt.IsZero(), last.EndsAt.IsZero())
}

// checkEpisodes checks that episodes do not overlap, and that only the last one may be
// open.
func checkEpisodes(t fataler, eps []Episode, maximum int) {
	t.Helper()
	require.LessOrEqual(t, len(eps), maximum)
	for i, e := range eps {
		require.True(t, i == len(eps)-1 || !e.EndsAt.IsZero(), "only the last episode may be open")
		require.True(t, e.EndsAt.IsZero() || !e.EndsAt.Before(e.StartsAt), "an episode must not end before it starts")
		require.True(t, i == 0 || !eps[i-1].EndsAt.After(e.StartsAt), "episodes must not overlap")
	}
}

// applied is apply for tests that need only the group and the events.
func applied(g *AlertGroup, n Notification, r rules) (*AlertGroup, []Event) {
	c := apply(g, n, r)
	return c.Group, c.Events
}

// appliedAlert is applied for applyAlert.
func appliedAlert(g *AlertGroup, key Key, na NotifiedAlert, stamp Stamp, r rules) (*AlertGroup, []Event) {
	c := applyAlert(g, key, na, stamp, r)
	return c.Group, c.Events
}

// checkEvents checks the invariants of the events of one write.
func checkEvents(t fataler, g *AlertGroup, s Stamp, events []Event) {
	t.Helper()
	for i, e := range events {
		require.Len(t, e.ID, StampLen+6)
		require.True(t, strings.HasPrefix(e.ID, string(s)))
		require.True(t, i == 0 || events[i-1].ID < e.ID, "IDs must increase")
		require.True(t, e.Time.Equal(s.Time()))
		require.Equal(t, g.ID, e.GroupID)
		require.Contains(t, EventKinds(), e.Kind)
		switch e.Kind {
		case EventOpened:
			require.Zero(t, i, "opened must be the first event")
			require.Equal(t, &Opened{GroupKey: g.GroupKey, ExternalURL: g.ExternalURL, Shared: e.Opened.Shared}, e.Opened)
		case EventClosed:
			require.Equal(t, len(events)-1, i, "closed must be the last event")
		case EventFired, EventRefired, EventReopened, EventResolved, EventUnreported, EventReturned:
			checkAlertEvent(t, g, e)
		default: // an event of a group, or of a group or an alert
		}
	}
}

// checkAlertEvent checks that an event says what the alert was, and has the times of
// its episode.
func checkAlertEvent(t fataler, g *AlertGroup, e Event) {
	t.Helper()
	a := g.Alert(e.Fingerprint)
	require.NotNil(t, a)
	require.True(t, e.StartsAt.Equal(a.StartsAt) && e.EndsAt.Equal(a.EndsAt), "%s: %s to %s", e.Kind, e.StartsAt, e.EndsAt)
	require.True(t, e.Content != "" || e.Kind != EventFired && e.Kind != EventRefired, "the content of a %s event", e.Kind)
	switch e.Kind {
	case EventFired:
		require.Empty(t, e.Was)
	case EventReopened:
		require.Equal(t, StatusResolved, e.Was)
	case EventUnreported:
		require.Equal(t, StatusFiring, e.Was)
	case EventReturned:
		require.Equal(t, StatusUnreported, e.Was)
	default: // refired after anything, resolved also before the alert was known
	}
}

// snapshot returns the whole content of a group as text, to compare it later.
func snapshot(t fataler, g *AlertGroup) string {
	t.Helper()
	if g == nil {
		return ""
	}
	stamps := make([]Stamp, 0, len(g.Alerts)+len(g.Acks)+len(g.Notes))
	for _, a := range g.Acks {
		stamps = append(stamps, a.Stamp)
	}
	for _, n := range g.Notes {
		stamps = append(stamps, n.Stamp)
	}
	for _, a := range g.Alerts {
		stamps = append(stamps, a.Stamp)
	}
	text, err := json.Marshal([]any{*g, stamps, g.Meta.Stamp}, json.Deterministic(true))
	require.NoError(t, err)
	return string(text)
}

func newMatcher(kind labels.MatchType, name, value string) *labels.Matcher {
	m, err := labels.NewMatcher(kind, name, value)
	if err != nil {
		panic(err)
	}
	return m
}

// removeAlerts returns the group without the alerts, and the events of the removal.
func removeAlerts(g *AlertGroup, fps []Fingerprint, stamp Stamp) (*AlertGroup, []Event) {
	c := applyRemoval(g, fps, stamp)
	return c.Group, c.Events
}

// with returns the labels and one more.
func with(l Labels, name, value string) Labels {
	m := maps.Collect(l.All())
	m[name] = value
	return NewLabels(m)
}
