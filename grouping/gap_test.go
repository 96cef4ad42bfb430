package grouping

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A gap keeps its first moment and not its last one.
func TestGapsHaveMoments(t *testing.T) {
	g := Gap{From: base, To: base.Add(time.Minute)}
	for at, want := range map[time.Duration]bool{-1: false, 0: true, time.Minute - 1: true, time.Minute: false} {
		require.Equal(t, want, g.Contains(base.Add(at)), at)
	}
	require.True(t, g.Overlaps(time.Time{}, time.Time{}))
	require.True(t, g.Overlaps(base.Add(time.Minute-1), time.Time{}))
	require.False(t, g.Overlaps(base.Add(time.Minute), time.Time{}))
	require.True(t, g.Overlaps(time.Time{}, base.Add(1)))
	require.False(t, g.Overlaps(time.Time{}, base))
}

// The stored text of a gap event has the gap, and a query for its kind selects it.
func TestGapEventsAreStored(t *testing.T) {
	e := Event{
		ID: string(NewStamp(base, 0, testWriter)) + "000000", Time: base, Kind: EventGap,
		Gap: &Gap{From: base.Add(-time.Hour), To: base},
	}
	require.Equal(t, SourceID(""), e.DocumentID())
	text, err := e.Encode()
	require.NoError(t, err)
	for kind, want := range map[EventKind]bool{EventGap: true, EventFired: false} {
		got, ok := (&EventQuery{Kinds: []EventKind{kind}}).Filter().Select([]byte(text))
		if require.Equal(t, want, ok); ok {
			require.Equal(t, e, got)
		}
	}
}
