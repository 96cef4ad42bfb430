package history

import (
	"iter"
	"time"

	"muster/grouping"
)

// Contents returns the contents of events by hash, as grouping.ContentLoader does.
type Contents func(events []grouping.Event) (map[string]grouping.Content, error)

// At returns the state of the groups at time t. The events are oldest first, and none that
// the state depends on is missing. At reads no event after t.
func At(events iter.Seq2[grouping.Event, error], t time.Time, contents Contents) (*Wall, error) {
	r := replay{groups: map[grouping.ID]*pastGroup{}}
	for e, err := range events {
		if err != nil {
			return nil, err
		}
		if e.Time.After(t) {
			break
		}
		r.apply(&e)
	}
	known, err := contents(r.wanted())
	if err != nil {
		return nil, err
	}
	return &Wall{At: t, Groups: r.alertGroups(known), CausesKnown: r.causesKnown}, nil
}
