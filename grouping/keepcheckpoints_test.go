package grouping

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Checkpoints are thinned with their age, up to a number and a size.
func TestCheckpointsAreThinnedWithAge(t *testing.T) {
	now := base
	var stored []StoredCheckpoint
	add := func(size int, maxBytes int64) {
		stored = append(stored, StoredCheckpoint{NewStamp(now, 0, testWriter), size})
		excess := excessCheckpoints(stored, now, now.Add(-30*24*time.Hour), maxBytes)
		stored = slices.DeleteFunc(stored, func(c StoredCheckpoint) bool { return slices.Contains(excess, c.Name) })
	}
	for range 60 * 6 { // sixty days
		now = now.Add(checkpointInterval)
		add(1000, 1<<20)
	}
	require.Len(t, stored, 180)
	for range 60 * 6 {
		now = now.Add(checkpointInterval)
		add(10<<20, 64<<20)
	}
	require.Len(t, stored, 6)
	require.Equal(t, now, stored[5].Name.Time(), "the newest stays")
	last := time.Duration(0)
	for i := range slices.Backward(stored[1:]) {
		gap := stored[i+1].Name.Time().Sub(stored[i].Name.Time())
		require.GreaterOrEqual(t, gap, last/2, "%v", stored)
		last = gap
	}
	require.Greater(t, now.Sub(stored[0].Name.Time()), 10*24*time.Hour)

	now = now.Add(checkpointInterval)
	add(100<<20, 64<<20)
	require.Len(t, stored, 1, "the newest stays, whatever its size")
}

// A damaged checkpoint is an error, and never a wrong state.
func TestDamagedCheckpoints(t *testing.T) {
	g := apply(nil, Notification{Key: testKey, Alerts: bigGroup(20), Stamp: NewStamp(base, 0, testWriter)}, testRules).Group
	silences := []SourceSilence{{"prod", &Silence{ID: "s1", Comment: "canary", EndsAt: base}}}
	c := Checkpoint{Stamp: NewStamp(base, 1, testWriter), CausesKnown: true, Groups: []*AlertGroup{g}, Silences: silences}
	data, err := c.Encode()
	require.NoError(t, err)
	none := func(ID) *AlertGroup { return nil }
	read, err := DecodeCheckpoint(data, none)
	require.NoError(t, err)
	require.Equal(t, c.Stamp, read.Stamp)
	require.True(t, read.CausesKnown)
	require.True(t, g.Equal(read.Groups[0]))
	require.Equal(t, silences, read.Silences)
	require.Equal(t, c.Stamp.Time().Add(-checkpointLag), read.ReplayFrom())
	read, err = DecodeCheckpoint(data, func(ID) *AlertGroup { return g })
	require.NoError(t, err)
	require.Same(t, g, read.Groups[0], "what did not change is shared")
	for n := range data {
		_, err := DecodeCheckpoint(data[:n], none)
		require.ErrorIs(t, err, errDamagedCheckpoint, "%d bytes", n)
		damaged := slices.Clone(data)
		damaged[n] ^= 0x55
		if read, err := DecodeCheckpoint(damaged, none); err == nil {
			require.True(t, g.Equal(read.Groups[0]), "byte %d", n) // for example the time in the header of gzip
		}
	}
}
