package history

import (
	"iter"
	"time"

	"muster/grouping"
)

// Contents returns the contents of events by hash, as grouping.ContentLoader does.
type Contents func(events []grouping.Event) (map[string]grouping.Content, error)

// Base is a state from which events are replayed: a checkpoint. The zero value is the state
// before the first event.
type Base struct {
	Groups []*grouping.AlertGroup
	// Until is set if the base has every event until then.
	Until time.Time
	// CausesKnown says that the event recorder or a poll had told of causes.
	CausesKnown bool
	Silences    Silences
}

// At returns the state of the groups at time t. The events are oldest first. They may begin
// before the base: what the base has is not applied again. None that is after the base may be
// missing. At reads no event after t.
func At(base Base, events iter.Seq2[grouping.Event, error], t time.Time, contents Contents) (*Wall, error) {
	r := newReplay(base)
	for e, err := range events {
		if err != nil {
			return nil, err
		}
		if e.Time.After(t) {
			break
		}
		if e.Time.After(base.Until) {
			r.apply(&e)
		}
	}
	known, err := contents(r.wanted())
	if err != nil {
		return nil, err
	}
	return &Wall{At: t, Groups: r.alertGroups(known), CausesKnown: r.causesKnown, Silences: r.silences}, nil
}
