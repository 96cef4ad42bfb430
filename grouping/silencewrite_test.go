package grouping

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
)

var mira = Person{Name: "mira", Verified: true}

// silenceBook is a manager with one source, and the events that it wrote.
type silenceBook struct {
	*testing.T
	*Manager

	storage *sourceStorage
	events  []Event
}

func newSilenceBook(t *testing.T) *silenceBook {
	b := &silenceBook{T: t, storage: &sourceStorage{document: NewSourceDocument("prod")}}
	var err error
	b.Manager, err = NewManager(b.storage, NewClock(), func(u Update) { b.events = append(b.events, u.Events...) }, nil,
		promslog.NewNopLogger(), DefaultOptions)
	require.NoError(t, err)
	return b
}

// told returns the silence as the API of Alertmanager tells of it a second later.
func told(s Silence) Silence {
	s.Write, s.UpdatedAt = nil, time.Now().Add(time.Second)
	s.StartsAt = s.StartsAt.Add(3 * time.Millisecond)
	return s
}

func (b *silenceBook) record(s Silence, kind EventKind, id string) Silence {
	b.Helper()
	s.Write = &SilenceWrite{By: mira, ID: id, Request: "hash", Kind: kind, At: time.Now()}
	require.NoError(b, b.RecordSilence(b.Context(), "prod", s))
	return s
}

func (b *silenceBook) kinds() (kinds []EventKind) {
	for _, e := range b.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func newTestSilence() Silence {
	now := time.Now().Truncate(time.Millisecond)
	return Silence{
		ID: "s-1", CreatedBy: "mira", Comment: "deploy", StartsAt: now, EndsAt: now.Add(2 * time.Hour),
		MatcherSets: [][]SilenceMatcher{{{"job", "=", "node"}, {"alertname", "=~", "Down|Up"}}},
	}
}

// What a person did through Muster is in the history once, with the name. The next read of
// Alertmanager confirms it.
func TestASilenceThroughMuster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSilenceBook(t)
		s := b.record(newTestSilence(), EventSilenceCreated, "w-1")
		known := b.SilenceOf("prod", "s-1")
		require.NotNil(t, known.Unconfirmed())
		require.Equal(t, known.Write.At, known.ChangedAt())
		require.Equal(t, SilenceActive, known.StateAt(time.Now()))
		require.Equal(t, []EventKind{EventSilenceCreated}, b.kinds())
		require.Equal(t, &mira, b.events[0].Silence.By)

		require.NoError(t, b.ObserveSilences(t.Context(), "prod", "http://am", time.Now(), []Silence{told(s)}))
		known = b.SilenceOf("prod", "s-1")
		require.Nil(t, known.Unconfirmed())
		require.Equal(t, mira, known.Write.By)
		require.True(t, known.FromAPI)
		require.Len(t, b.events, 1, "the poll says nothing new")

		time.Sleep(time.Minute)
		before := *known
		s.EndsAt = s.EndsAt.Add(4 * time.Hour)
		s = b.record(s, EventSilenceChanged, "w-2")
		require.Equal(t, []EventKind{EventSilenceCreated, EventSilenceChanged}, b.kinds())
		require.Equal(t, before.EndsAt, b.events[1].Silence.OldEndsAt)
		require.Equal(t, &mira, b.events[1].Silence.By)
		require.NoError(t, b.ObserveSilences(t.Context(), "prod", "http://am2", time.Now(), []Silence{before}))
		known = b.SilenceOf("prod", "s-1")
		require.True(t, s.EndsAt.Equal(known.EndsAt), "a replica that does not know the change yet undoes nothing")
		require.NotNil(t, known.Unconfirmed())
		require.NoError(t, b.ObserveSilences(t.Context(), "prod", "http://am", time.Now(), []Silence{told(s)}))
		require.Nil(t, b.SilenceOf("prod", "s-1").Unconfirmed())
		require.Len(t, b.events, 2)

		time.Sleep(time.Minute)
		s.EndsAt = time.Now()
		s = b.record(s, EventSilenceExpired, "w-3")
		known = b.SilenceOf("prod", "s-1")
		require.Equal(t, EndEarly, known.End)
		require.Equal(t, SilenceExpired, known.StateAt(time.Now()))
		require.Equal(t, []EventKind{EventSilenceCreated, EventSilenceChanged, EventSilenceExpired}, b.kinds())
		require.True(t, b.events[2].Silence.Early)
		require.Equal(t, &mira, b.events[2].Silence.By)
		ended := told(s)
		ended.EndsAt = ended.UpdatedAt // its clock is a second ahead
		require.NoError(t, b.ObserveSilences(t.Context(), "prod", "http://am", time.Now(), []Silence{ended}))
		require.Nil(t, b.SilenceOf("prod", "s-1").Unconfirmed())
		require.Equal(t, EndEarly, b.SilenceOf("prod", "s-1").End)
		require.Len(t, b.events, 3)

		require.NoError(t, b.RecordSilence(t.Context(), "prod", s))
		require.Len(t, b.events, 3, "the same write again changes nothing")
	})
}

// The event recorder can tell of a change after the next one was made.
func TestALateEventUndoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSilenceBook(t)
		s := b.record(newTestSilence(), EventSilenceCreated, "w-1")
		require.NoError(t, b.ObserveSilences(t.Context(), "prod", "http://am", time.Now(), []Silence{told(s)}))
		time.Sleep(time.Minute)
		s.EndsAt = s.EndsAt.Add(time.Hour)
		s = b.record(s, EventSilenceChanged, "w-2")
		late := told(s)
		late.UpdatedAt = time.Now()
		time.Sleep(30 * time.Millisecond)
		s.EndsAt = time.Now()
		b.record(s, EventSilenceExpired, "w-3")
		require.NoError(t, b.Observe(t.Context(), "prod", []Observation{{At: time.Now(), Silence: &late}}))
		require.Equal(t, EndEarly, b.SilenceOf("prod", "s-1").End)
		require.Equal(t, []EventKind{EventSilenceCreated, EventSilenceChanged, EventSilenceExpired}, b.kinds())
		// What nobody confirms for a minute is overruled.
		time.Sleep(2 * time.Minute)
		require.NoError(t, b.Observe(t.Context(), "prod", []Observation{{At: time.Now(), Silence: &late}}))
		require.Equal(t, EndNone, b.SilenceOf("prod", "s-1").End)
	})
}

// The event recorder can tell of a silence before Alertmanager's answer to Muster arrives.
func TestASilenceThatIsToldBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSilenceBook(t)
		s := newTestSilence()
		write := func(kind EventKind, id string) {
			s.Write = &SilenceWrite{By: mira, ID: id, Kind: kind, At: time.Now()}
			planned := s
			if kind == EventSilenceCreated {
				planned.ID = ""
			}
			end := b.PlanSilence("prod", planned)
			defer end()
			early := told(s)
			early.MatcherSets = [][]SilenceMatcher{{s.MatcherSets[0][1], s.MatcherSets[0][0]}} // Alertmanager sorts them
			require.NoError(t, b.Observe(t.Context(), "prod", []Observation{{At: time.Now(), Silence: &early}}))
			require.NoError(t, b.RecordSilence(t.Context(), "prod", s))
			require.Nil(t, b.SilenceOf("prod", "s-1").Unconfirmed())
			require.Equal(t, id, b.SilenceOf("prod", "s-1").Write.ID)
			time.Sleep(time.Minute)
		}
		other := told(newTestSilence())
		other.ID, other.Comment = "s-0", "something else"
		write(EventSilenceCreated, "w-1")
		require.NoError(t, b.Observe(t.Context(), "prod", []Observation{{At: time.Now(), Silence: &other}}))
		s.EndsAt = s.EndsAt.Add(time.Hour)
		write(EventSilenceChanged, "w-2")
		s.EndsAt = time.Now()
		write(EventSilenceExpired, "w-3")
		require.Equal(t, []EventKind{EventSilenceCreated, EventSilenceCreated, EventSilenceChanged, EventSilenceExpired}, b.kinds())
		for i, by := range []*Person{&mira, nil, &mira, &mira} {
			require.Equal(t, by, b.events[i].Silence.By, i)
		}
		require.Empty(t, b.silenceWrites.all)
	})
}

// Another replica of Muster can know a silence first. It cannot know who made it, so the
// history gets the name afterwards.
func TestASilenceThatAnotherReplicaKnewFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSilenceBook(t)
		s := newTestSilence()
		early := told(s)
		require.NoError(t, b.Observe(t.Context(), "prod", []Observation{{At: time.Now(), Silence: &early}}))
		b.record(s, EventSilenceCreated, "w-1")
		require.Equal(t, []EventKind{EventSilenceCreated, EventSilenceChanged}, b.kinds())
		require.Nil(t, b.events[0].Silence.By)
		require.Equal(t, &mira, b.events[1].Silence.By)
		require.Nil(t, b.SilenceOf("prod", "s-1").Unconfirmed())
	})
}

// A silence that Muster did not know can be changed through it, too.
func TestAnUnknownSilenceIsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, kind := range []EventKind{EventSilenceChanged, EventSilenceExpired} {
			b := newSilenceBook(t)
			s := newTestSilence()
			if kind == EventSilenceExpired {
				s.EndsAt = time.Now()
			}
			b.record(s, kind, "w-1")
			require.Equal(t, []EventKind{kind}, b.kinds())
			if kind == EventSilenceExpired {
				require.Equal(t, EndEarly, b.SilenceOf("prod", "s-1").End)
				require.True(t, b.events[0].Silence.Early)
			}
		}
	})
}
