package grouping

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
)

// sourceStorage has the document of one source.
type sourceStorage struct {
	managerStorage
	NoFollow

	document *SourceDocument
}

func (s *sourceStorage) Follow(fn func(ID, *AlertGroup, *AlertGroup)) bool {
	return s.NoFollow.Follow(fn)
}

func (s *sourceStorage) FollowSources(fn func(*SourceDocument)) { s.NoFollow.FollowSources(fn) }

func (s *sourceStorage) LoadSource(context.Context, string) (*SourceDocument, error) {
	return s.document, nil
}

func (s *sourceStorage) StoreSource(_ context.Context, c SourceChange) (*SourceDocument, error) {
	s.document = c.Source
	return c.Source, nil
}

// A clock that is set back can make a silence's deadline pass before its end. The end must be
// recorded nevertheless.
func TestADeadlineThatPassesEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		s := &sourceStorage{document: NewSourceDocument("prod").WithSilences(NewStamp(now, 0, testWriter), Silence{
			ID: "s-1", StartsAt: now, EndsAt: now.Add(time.Hour), UpdatedAt: now,
		})}
		m, err := NewManager(s, NewClock(), nil, nil, promslog.NewNopLogger(), DefaultOptions)
		require.NoError(t, err)
		m.sourceChanged(s.document)
		m.deadlines.set(s.document.ID, now.Add(time.Minute))
		go func() { _ = m.Run(t.Context()) }()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.Equal(t, EndTime, s.document.Silences["s-1"].End)
	})
}

// The watcher gets the events of a source once, and only those of this process.
func TestUpdatesHaveTheEventsOfASource(t *testing.T) {
	var updates []Update
	s := &sourceStorage{document: NewSourceDocument("prod")}
	m, err := NewManager(s, NewClock(), func(u Update) { updates = append(updates, u) }, nil, promslog.NewNopLogger(), DefaultOptions)
	require.NoError(t, err)
	silence := Silence{ID: "s-1", StartsAt: m.clock.Now(), EndsAt: m.clock.Now().Add(time.Hour), UpdatedAt: m.clock.Now()}
	require.NoError(t, m.putSilences(t.Context(), "prod", []Silence{silence}, true))
	require.Len(t, updates, 1)
	require.Len(t, updates[0].Events, 1)
	require.Equal(t, EventSilenceCreated, updates[0].Events[0].Kind)
	m.sourceChanged(s.document)
	require.Len(t, updates, 1)
}
