package grouping

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func silenced(id string, since time.Duration) Mute {
	return Mute{Kind: MuteSilence, ID: id, Since: base.Add(since), From: OriginEvent}
}

// muted returns the group after a write that sets the mutes of an alert.
func muted(g *AlertGroup, stamp Stamp, alert string, mutes ...Mute) *AlertGroup {
	tr := newTransition(g, g.Key, stamp)
	tr.setMutes(fingerprintOf(alert), mutes)
	return tr.finish().Group
}

func fingerprintOf(alert string) Fingerprint { return fires(alert, 0).Fingerprint }

func TestAMutedAlertIsSuppressed(t *testing.T) {
	g, _ := applied(nil, step{0, am0, list(fires("a", 0), fires("b", 0)), 0, ""}.notification(0), testRules)
	at := func(d time.Duration) Stamp { return NewStamp(base.Add(d), 0, testWriter) }

	g = muted(g, at(second), "a", silenced("s1", second))
	checkGroup(t, g)
	require.Equal(t, StatusSuppressed, g.Alert(fingerprintOf("a")).ShownStatus())
	require.Equal(t, StatusFiring, g.Alert(fingerprintOf("a")).Status, "the stored status stays")
	require.Equal(t, Counts{Firing: 1, Suppressed: 1}, g.Counts)
	require.Equal(t, StateMixed, g.State)

	g = muted(g, at(2*second), "b", silenced("s1", 2*second))
	checkGroup(t, g)
	require.Equal(t, StateSuppressed, g.State)

	ended := silenced("s1", second)
	ended.Ended = base.Add(3 * second)
	g = muted(g, at(3*second), "a", ended)
	checkGroup(t, g)
	require.Equal(t, StateMixed, g.State)
	require.Empty(t, g.Alert(fingerprintOf("a")).Mutes())
	require.Equal(t, []Mute{ended}, g.Alert(fingerprintOf("a")).EndedMutes())

	g, _ = removeAlerts(g, []Fingerprint{fingerprintOf("b")}, at(4*second))
	checkGroup(t, g)
	require.Nil(t, findMutes(g.Mutes, fingerprintOf("b")), "the mutes go with their alert")
}

func TestStoredMutesAreRead(t *testing.T) {
	g, _ := applied(nil, step{0, am0, list(fires("a", 0), fires("b", 0)), 0, ""}.notification(0), testRules)
	next := muted(g, NewStamp(base.Add(second), 0, testWriter), "a", silenced("s1", second),
		Mute{Kind: MuteInhibition, ID: "00112233445566aa", Rule: "node down", From: OriginAPI, Since: base})
	records := recordsOf(t, Write{Next: next, Base: g})
	require.Len(t, records, 1, "only the mutes differ")
	require.Equal(t, "mu:"+string(fingerprintOf("a")), records[0].Name)
	require.Empty(t, records[0].Expected)

	// A follower gets the head and the mutes alone.
	part, err := decodeStored(StoredDocument{ID: g.ID}, map[string]string{
		HeadRecord: headText(t, next), records[0].Name: string(records[0].Text),
	})
	require.NoError(t, err)
	merged := Merge(g, AsGroup(part))
	checkGroup(t, merged)
	require.True(t, next.Equal(merged))
	require.Equal(t, StatusSuppressed, merged.Alert(fingerprintOf("a")).ShownStatus())
}

// drawMutes returns some mutes, active and ended.
func drawMutes(t *rapid.T) (mutes []Mute) {
	for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"s1", "s2", "s3"}), 0, 3, rapid.ID).Draw(t, "silences") {
		m := silenced(id, 0)
		if rapid.Bool().Draw(t, "ended") {
			m.Ended = base.Add(minute)
		}
		mutes = append(mutes, m)
	}
	return mutes
}

func TestMutesAreSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []*AlertMutes
		for _, fp := range rapid.SliceOf(rapid.StringMatching("[0-9a-f]{2}")).Draw(t, "fingerprints") {
			all = withMutes(all, &AlertMutes{Fingerprint: Fingerprint(fp)})
		}
		require.True(t, slices.IsSortedFunc(all, func(a, b *AlertMutes) int { return compareMutesTo(a, b.Fingerprint) }))
		same := func(a, b *AlertMutes) bool { return a.Fingerprint == b.Fingerprint }
		require.Len(t, slices.CompactFunc(slices.Clone(all), same), len(all))
	})
}
