package grouping

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// replica is one process with its own copy of one group and its own clock. The clock
// may be slow or years ahead.
type replica struct {
	writer string
	skew   time.Duration
	last   uint64
	group  *AlertGroup
}

func (r *replica) stamp(now time.Time) Stamp {
	r.last = max(r.last+1, clockReading(now.Add(r.skew)))
	return stampOfReading(r.last, r.writer)
}

// history holds several replicas of one group. Each write changes one of them, and
// sometimes a replica merges the copy of another one. states holds every copy that
// existed.
type history struct {
	replicas []*replica
	states   []*AlertGroup
}

const day = 24 * time.Hour

func drawHistory(t *rapid.T) *history {
	h := &history{}
	skews := []time.Duration{0, 0, -3 * second, 7 * second, -minute, 3650 * day}
	for i := range rapid.IntRange(3, 4).Draw(t, "replicas") {
		h.replicas = append(h.replicas, &replica{
			writer: fmt.Sprintf("%016x", i+1), skew: rapid.SampledFrom(skews).Draw(t, "skew"),
		})
	}
	for range rapid.IntRange(1, 30).Draw(t, "operations") {
		h.act(t)
	}
	return h
}

// act performs a random operation on one replica.
func (h *history) act(t *rapid.T) {
	r := rapid.SampledFrom(h.replicas).Draw(t, "replica")
	// There are few times, so many writes have the same millisecond.
	now := base.Add(rapid.SampledFrom([]time.Duration{
		0, time.Millisecond, second, 5 * second, 20 * second, minute, 5 * minute, time.Hour,
	}).Draw(t, "at"))
	live := r.group != nil && !r.group.IsTombstone()
	var stamp Stamp
	var events []Event
	ops := rapid.SampledFrom(
		[]string{
			"notify", "notify", "notify", "merge", "merge", "add", "remove", "flush", "delete", "flap", "mute", "mute",
			"ack", "ack", "undo", "note", "close",
		},
	)
	switch op := ops.Draw(t, "op"); {
	case op == "merge":
		from := rapid.SampledFrom(h.replicas).Draw(t, "from")
		r.group = Merge(r.group, from.group)
		if r.group != nil {
			checkGroup(t, r.group)
		}
	case op == "remove" && live && len(r.group.Alerts) > 0:
		stamp = r.stamp(now)
		var fps []Fingerprint
		for _, a := range r.group.Alerts {
			if rapid.Bool().Draw(t, "removed") {
				fps = append(fps, a.Fingerprint)
			}
		}
		r.group, events = removeAlerts(r.group, fps, stamp)
	case op == "delete" && live:
		r.group = Tombstone(r.group.ID, deletionStamp(r.group, r.stamp(now)))
	case op == "flush" && live:
		stamp = r.stamp(now)
		tr := newTransition(r.group, testKey, stamp)
		tr.meta.Settling, tr.meta.Stale = false, rapid.Bool().Draw(t, "stale")
		c := tr.finish()
		r.group, events = c.Group, c.Events
	case op == "mute" && live && len(r.group.Alerts) > 0:
		stamp = r.stamp(now)
		tr := newTransition(r.group, testKey, stamp)
		tr.setMutes(rapid.SampledFrom(r.group.Alerts).Draw(t, "alert").Fingerprint, drawMutes(t))
		c := tr.finish()
		r.group, events = c.Group, c.Events
	case live && slices.Contains([]string{"ack", "undo", "note", "close"}, op):
		stamp = r.stamp(now)
		r.group, events = drawPerson(t, op, r.group, stamp)
	case op == "add":
		stamp = r.stamp(now)
		r.group, events = appliedAlert(r.group, testKey, drawAlert(t), stamp, testRules)
	case op == "flap":
		// These are more episodes than the maximum.
		for i := range time.Duration(maxEpisodes + 4) {
			for _, a := range list(fires("a", i*minute), ended("a", i*minute, i*minute+second)) {
				r.group, _ = appliedAlert(r.group, testKey, a, r.stamp(now), testRules)
			}
		}
	default:
		stamp = r.stamp(now)
		r.group, events = applied(r.group, Notification{
			Key: testKey, Stamp: stamp, Alerts: rapid.SliceOfN(rapid.Custom(drawAlert), 0, 5).Draw(t, "alerts"),
			ExternalURL: rapid.SampledFrom([]string{am0, am1, ""}).Draw(t, "by"),
			Truncated:   rapid.SampledFrom([]uint64{0, 0, 2}).Draw(t, "truncated"),
			Reason:      string(stamp), // makes the notification unique
		}, testRules)
	}
	if stamp != "" {
		checkGroup(t, r.group)
		checkEvents(t, r.group, stamp, events)
	}
	h.states = append(h.states, r.group)
}

// drawPerson applies what a person does to a group.
func drawPerson(t *rapid.T, op string, g *AlertGroup, stamp Stamp) (*AlertGroup, []Event) {
	tr := newTransition(g, testKey, stamp)
	tr.rules = testRules
	by := rapid.SampledFrom([]Person{mira, jo}).Draw(t, "person")
	var err error
	switch op {
	case "ack":
		until := rapid.SampledFrom([]time.Time{{}, base.Add(20 * second), base.Add(day)}).Draw(t, "until")
		err = tr.acknowledge(AckRequest{By: by, Until: until, Note: rapid.SampledFrom([]string{"", "on it"}).Draw(t, "note")})
	case "undo":
		if len(g.Acks) == 0 {
			return g, nil
		}
		err = tr.unacknowledge(UnackRequest{By: by, Ack: rapid.SampledFrom(g.Acks).Draw(t, "ack").ID})
	case "note":
		id := rapid.SampledFrom([]string{"x", "y", ""}).Draw(t, "id")
		err = tr.addNote(NoteRequest{By: by, ID: id, Text: "text"})
	case "close":
		err = tr.close(CloseRequest{By: by})
	}
	if err != nil {
		return g, nil
	}
	c := tr.finish()
	return c.Group, c.Events
}

func drawAlert(t *rapid.T) NotifiedAlert {
	start := rapid.SampledFrom([]time.Duration{-time.Hour, -minute, 0, second, minute, 10 * minute}).Draw(t, "start")
	a := fires(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "alert"), start)
	if rapid.Bool().Draw(t, "resolved") {
		a = ended(
			string(a.Fingerprint[:1]),
			start,
			start+rapid.SampledFrom([]time.Duration{0, second, minute, time.Hour}).Draw(t, "length"),
		)
	}
	return a
}

// requireSame requires that two states are equal in every field and as text.
func requireSame(t *rapid.T, want, got *AlertGroup, law string) {
	t.Helper()
	require.True(t, want.Equal(got), "%s:\n%s\n%s", law, snapshot(t, want), snapshot(t, got))
	require.Equal(t, snapshot(t, want), snapshot(t, got), law)
}

func TestMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		state := rapid.SampledFrom(h.states)
		a, b, c := state.Draw(t, "a"), state.Draw(t, "b"), state.Draw(t, "c")
		a, b, c = drawLater(t, a), drawLater(t, b), drawLater(t, c)
		ab := Merge(a, b)
		requireSame(t, ab, Merge(b, a), "commutative")
		requireSame(t, Merge(ab, c), Merge(a, Merge(b, c)), "associative")
		requireSame(t, ab, Merge(ab, a), "a known state changes nothing")
		requireSame(t, ab, Merge(b, ab), "a known state changes nothing")
		requireSame(t, ab, Merge(ab, clone(ab)), "idempotent")
		if m := Merge(ab, c); m != nil {
			checkGroup(t, m)
		}
	})
}

// A state that has only a few records of a group is merged at a cost that follows these
// records. The result is that of all records.
func TestMergeOfAFewRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		state := rapid.SampledFrom(h.states)
		a, b := state.Draw(t, "a"), state.Draw(t, "b")
		if a == nil || b == nil || a.IsTombstone() || b.IsTombstone() || b.Deleted > a.Deleted {
			return
		}
		few := *b
		few.Alerts, few.Removed = nil, map[Fingerprint]Stamp{}
		for _, alert := range b.Alerts {
			if rapid.Bool().Draw(t, "has the alert") {
				few.Alerts = append(few.Alerts, alert)
			}
		}
		for fp, s := range b.Removed {
			if rapid.Bool().Draw(t, "has the removal") {
				few.Removed[fp] = s
			}
		}
		before := snapshot(t, a)
		want, got := AlertGroup{Deleted: a.Deleted}, AlertGroup{Deleted: a.Deleted}
		mergeAll(&want, a, &few)
		mergeFew(&got, a, &few)
		require.Equal(t, want.Alerts, got.Alerts)
		require.True(t, maps.Equal(want.Removed, got.Removed), "%v %v", want.Removed, got.Removed)
		require.Equal(t, before, snapshot(t, a), "a state is immutable")
	})
}

// drawLater returns a copy that may have unknown fields of a later version. An older
// version may have written the same records without these fields.
func drawLater(t *rapid.T, g *AlertGroup) *AlertGroup {
	if g = clone(g); g == nil {
		return nil
	}
	later := rapid.SampledFrom([]string{"", `{"later":1}`, `{"later":2}`})
	if !g.IsTombstone() {
		g.Unknown = later.Draw(t, "group")
	}
	for _, a := range g.Alerts {
		a.Unknown = later.Draw(t, "alert")
	}
	for _, a := range g.Acks {
		a.Unknown = later.Draw(t, "acknowledgement")
	}
	for _, n := range g.Notes {
		n.Unknown = later.Draw(t, "note")
	}
	return g
}

// clone returns a copy with copied alerts, so that a comparison of pointers cannot hide
// a difference.
func clone(g *AlertGroup) *AlertGroup {
	if g == nil {
		return nil
	}
	c := *g
	c.Alerts = nil
	for _, a := range g.Alerts {
		b := *a
		c.Alerts = append(c.Alerts, &b)
	}
	c.Acks, c.Notes = nil, nil
	for _, a := range g.Acks {
		b := *a
		c.Acks = append(c.Acks, &b)
	}
	for _, n := range g.Notes {
		b := *n
		c.Notes = append(c.Notes, &b)
	}
	return &c
}

// Replicas that saw the same writes agree. The order, the number of repeats and the
// path of the writes do not matter.
func TestMergeConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		var want *AlertGroup
		for _, r := range h.replicas {
			want = Merge(want, r.group)
		}
		// The last copy of each replica includes all its earlier copies.
		var all *AlertGroup
		for _, s := range h.states {
			all = Merge(all, s)
		}
		requireSame(t, want, all, "a replica must not lose a write")

		var received []*AlertGroup
		for _, r := range h.replicas {
			received = append(received, r.group)
		}
		received = append(received, rapid.SliceOf(rapid.SampledFrom(h.states)).Draw(t, "late and repeated")...)
		for range 2 {
			var got *AlertGroup
			for _, s := range rapid.Permutation(received).Draw(t, "order") {
				got = Merge(got, s)
			}
			requireSame(t, want, got, "replicas must converge")
		}
	})
}

func TestDeletedRecordsAreNotRestored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		g := rapid.SampledFrom(h.states).Draw(t, "state")
		if g == nil || g.IsTombstone() {
			return // nothing to delete
		}
		s := h.replicas[0].stamp(base)
		tombstone := Tombstone(g.ID, deletionStamp(g, s))
		require.True(t, Merge(g, tombstone).IsTombstone())
		for _, other := range h.states {
			m := Merge(other, tombstone)
			newer := other != nil && (other.Meta.Stamp > tombstone.Deleted)
			require.Equal(t, newer, !m.IsTombstone(), "only a newer write restores it")
			for _, a := range m.Alerts {
				require.Greater(t, a.Stamp, tombstone.Deleted)
			}
		}

		var fps []Fingerprint
		for _, a := range g.Alerts {
			fps = append(fps, a.Fingerprint)
		}
		without, _ := removeAlerts(g, fps, s)
		for _, other := range h.states {
			for _, a := range Merge(other, without).Alerts {
				since := without.Removed[a.Fingerprint]
				require.Greater(t, a.Stamp, since, "only a newer write restores it")
				for _, e := range a.Recorded {
					require.Greater(t, e.Stamp, since, "removed episodes are not restored")
				}
			}
		}
	})
}

// Damaged or foreign data may have equal stamps. Replicas must still agree.
func TestMergeOfEqualStamps(t *testing.T) {
	s := NewStamp(base, 0, testWriter)
	var groups []*AlertGroup
	for i := range 12 {
		n := step{0, am0, list(fires("a", 0)), 0, ""}.notification(0)
		n.Stamp, n.Reason = s, fmt.Sprint(i/6)
		if i%3 > 0 {
			n.Alerts = list(ended("a", 0, time.Duration(i%3)*minute))
		}
		n.Alerts[0].Annotations = LabelsOf([]Label{{"value", fmt.Sprint(i)}})
		g, _ := applied(nil, n, testRules)
		groups = append(groups, g)
	}
	rapid.Check(t, func(t *rapid.T) {
		var want, got *AlertGroup
		for _, g := range groups {
			want = Merge(want, g)
		}
		for _, g := range rapid.Permutation(groups).Draw(t, "order") {
			got = Merge(got, g)
		}
		requireSame(t, want, got, "replicas must converge")
	})
}

func drawEpisodes(t *rapid.T) []Episode {
	eps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Episode {
		e := Episode{
			StartsAt: base.Add(time.Duration(rapid.IntRange(0, 25).Draw(t, "start")) * minute),
			Stamp:    NewStamp(base, uint16(rapid.IntRange(0, 40).Draw(t, "stamp")), testWriter),
		}
		if rapid.Bool().Draw(t, "over") {
			e.EndsAt = e.StartsAt.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "length")) * second)
		}
		return e
	}), 0, 30).Draw(t, "episodes")
	return mergeEpisodes(eps, nil, "")
}

func TestMergeEpisodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawEpisodes(t), drawEpisodes(t), drawEpisodes(t)
		since := rapid.SampledFrom([]Stamp{"", NewStamp(base, 20, testWriter)}).Draw(t, "since")
		ab := mergeEpisodes(a, b, since)
		require.Equal(t, ab, mergeEpisodes(b, a, since), "commutative")
		require.Equal(t, mergeEpisodes(ab, c, since), mergeEpisodes(a, mergeEpisodes(b, c, since), since), "associative")
		require.Equal(t, ab, mergeEpisodes(ab, ab, since), "idempotent")
		require.Equal(t, ab, mergeEpisodes(ab, a, since), "known episodes change nothing")

		require.LessOrEqual(t, len(ab), maxEpisodes)
		for i, e := range ab {
			require.Greater(t, e.Stamp, since)
			require.True(t, i == 0 || ab[i-1].StartsAt.Before(e.StartsAt))
		}
		// No discarded episode is newer than a kept one.
		for _, e := range slices.Concat(a, b) {
			kept := slices.ContainsFunc(ab, func(k Episode) bool { return k.StartsAt.Equal(e.StartsAt) && k.Stamp >= e.Stamp })
			full := len(ab) == maxEpisodes && !slices.ContainsFunc(ab, func(k Episode) bool { return k.Stamp < e.Stamp })
			require.True(t, kept || e.Stamp <= since || full, "%+v must not be lost", e)
		}
	})
}

// Two replicas saw different episodes. The merged group has both.
func TestMergeKeepsEpisodesOfBoth(t *testing.T) {
	g := run(t, []step{{0, am0, list(fires("a", 0)), 0, "O Faaaa N"}})
	x, _ := appliedAlert(g, testKey, ended("a", 2*minute, 3*minute), NewStamp(base.Add(4*minute), 0, testWriter), testRules)
	for _, na := range list(fires("a", 6*minute), ended("a", 6*minute, 7*minute)) {
		y, _ := appliedAlert(g, testKey, na, NewStamp(base.Add(7*minute), 0, "00000000000000bb"), testRules)
		require.Equal(t, []Episode{
			{StartsAt: base, EndsAt: base.Add(2 * minute)},
			{StartsAt: base.Add(2 * minute), EndsAt: base.Add(3 * minute)},
			{StartsAt: na.StartsAt, EndsAt: na.EndsAt},
		}, Merge(x, y).Alert(fp("a")).Episodes())
	}
}

func TestMergeSharesEqualAlerts(t *testing.T) {
	g := run(t, []step{{0, am0, list(fires("a", 0), fires("b", 0)), 0, "O Faaaa Fbbbb N"}})
	h, _ := applied(g, step{minute, am0, list(ended("a", 0, second), fires("b", 0)), 0, ""}.notification(0), testRules)
	require.Same(t, g.Alert(fp("b")), h.Alert(fp("b")), "an unchanged alert is not copied")
	require.Same(t, h.Alert(fp("a")), Merge(g, h).Alert(fp("a")))
	require.Same(t, g, Merge(g, nil))
	require.Same(t, g, Merge(nil, g))
	require.Nil(t, Merge(nil, nil))
}
