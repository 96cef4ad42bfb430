package grouping

import (
	"fmt"
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

// lived is a life in seconds after base.
func lived(from, to int) *Life {
	return &Life{Writer: fmt.Sprint(from, to), StartedAt: at(from).Time(), LastAt: at(to).Time()}
}

func between(from, to int) Gap { return Gap{at(from).Time(), at(to).Time()} }

// Gaps are where no life is. A time of up to minGap is not one.
func TestGapsAreBetweenLives(t *testing.T) {
	for name, c := range map[string]struct {
		lives []*Life
		want  []Gap
	}{
		"nothing":              {nil, nil},
		"the first start":      {[]*Life{lived(0, 100)}, nil},
		"one after the other":  {[]*Life{lived(200, 300), lived(0, 100)}, []Gap{between(100, 200)}},
		"a short time":         {[]*Life{lived(0, 100), lived(110, 200)}, nil},
		"longer than that":     {[]*Life{lived(0, 100), lived(111, 200)}, []Gap{between(100, 111)}},
		"another one lived":    {[]*Life{lived(0, 100), lived(200, 300), lived(50, 250)}, nil},
		"within another life":  {[]*Life{lived(0, 500), lived(100, 200), lived(300, 400)}, nil},
		"two started together": {[]*Life{lived(0, 100), lived(200, 300), lived(205, 300)}, []Gap{between(100, 200)}},
		"two gaps":             {[]*Life{lived(0, 100), lived(200, 300), lived(400, 500)}, []Gap{between(100, 200), between(300, 400)}},
	} {
		require.Equal(t, c.want, gapsBetween(c.lives), name)
	}
}

// A gap is written once, whatever the process that finds it knows besides it. Old gaps go.
func TestGapsAreWrittenOnce(t *testing.T) {
	found := func(d *SourceDocument, second int) (*SourceDocument, []Event) {
		log := eventLog{stamp: at(second)}
		d = d.withGaps(&log, at(second).Time(), time.Hour)
		return d, log.events
	}
	d := lifeRecords.put(NewSourceDocument(""), at(300), *lived(0, 100), *lived(200, 300))
	d, events := found(d, 300)
	require.Len(t, events, 1)
	require.Equal(t, EventGap, events[0].Kind)
	require.Equal(t, between(100, 200), *events[0].Gap)
	require.Empty(t, events[0].GroupID+ID(events[0].Source+events[0].Receiver))
	require.Equal(t, []Gap{between(100, 200)}, d.sortedGaps())

	same, events := found(d, 310)
	require.Empty(t, events)
	require.Same(t, d, same, "nothing is written")
	other := lifeRecords.put(d, at(310), *lived(150, 160))
	other, events = found(other, 310)
	require.Empty(t, events, "a part of it")
	require.Len(t, other.Gaps, 1)
	late, _ := found(lifeRecords.remove(d, at(320), lived(0, 100).Writer), 200+3601)
	require.Empty(t, late.Gaps, "its retention is over")

	for i := range maxGaps + 10 {
		d = gapRecords.put(d, at(400), RecordedGap{Key: gapKey(between(1000+10*i, 1005+10*i)), Gap: between(1000+10*i, 1005+10*i)})
	}
	d, _ = found(d, 310)
	require.Len(t, d.Gaps, maxGaps)
	require.Equal(t, between(1000+100, 1005+100), d.sortedGaps()[0], "the newest ones stay")
}

// Records of dead processes go when the gaps between them are known.
func TestDeadLivesAreRemoved(t *testing.T) {
	now := at(1000).Time()
	d := lifeRecords.put(NewSourceDocument(""), at(0), *lived(0, 900), *lived(1, 950), *lived(2, 1000), *lived(3, 1100))
	mine := lived(2, 1000).Writer
	require.Equal(t, []string{lived(0, 900).Writer, lived(3, 1100).Writer}, d.deadLives(mine, now, true, false))
	require.Empty(t, d.deadLives(mine, now, false, false))
	require.Len(t, d.deadLives(mine, now, true, true), 3, "nobody else can live")
	for i := range maxLives {
		d = lifeRecords.put(d, at(0), *lived(100+i, 960))
	}
	require.Equal(t, []string{lived(0, 900).Writer, lived(1, 950).Writer}, d.deadLives(mine, now, false, false)[:2])
	require.Len(t, d.deadLives(mine, now, false, false), 4)
}
