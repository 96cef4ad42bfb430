package storage

import (
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// eventStore keeps events in memory, and the contents that they have. It is not safe
// for concurrent use.
type eventStore struct {
	maxEvents int
	retention time.Duration
	// events is sorted by ID. Events arrive almost in order, so an insertion moves
	// only a few. The elements are immutable, so a reader that copied the pointers
	// needs no lock.
	events []*grouping.PackedEvent
	// contents are those of the events, by hash.
	contents map[string]*usedContent
	// evicted is the ID of the newest event that a limit removed, or "".
	evicted string
}

// usedContent is a content that events have.
type usedContent struct {
	text string // "" if only the events are known
	uses int    // number of events that have it
}

func newEventStore(maxEvents int, retention time.Duration) eventStore {
	return eventStore{maxEvents: maxEvents, retention: retention, contents: map[string]*usedContent{}}
}

// add adds events and their contents. Events that are already stored do not change.
// It also evicts events beyond the limit and the retention.
func (s *eventStore) add(events []grouping.Event, contents grouping.ContentTexts) {
	kept := make([]grouping.PackedEvent, len(events)) // one allocation for all
	var previous *grouping.PackedEvent
	for i := range events {
		e := &events[i]
		at, found := s.find(e.ID)
		if !found {
			kept[i] = e.Pack(previous)
			previous = &kept[i]
			s.events = slices.Insert(s.events, at, &kept[i])
		}
		if e.Content != "" {
			s.use(e.Content, contents[e.Content], !found)
		}
	}
	first := max(0, len(s.events)-s.maxEvents)
	oldest := time.Now().Add(-s.retention)
	for first < len(s.events) && s.events[first].Time().Before(oldest) {
		first++
	}
	for _, e := range s.events[:first] {
		s.release(e.Content)
		s.evicted = e.ID
	}
	s.events = s.events[first:]
}

// use records that an event has a content. If the event is not new, it only adds a
// text that was missing.
func (s *eventStore) use(hash, text string, isNew bool) {
	c := s.contents[hash]
	if c == nil {
		c = &usedContent{}
		s.contents[hash] = c
	}
	if text != "" {
		c.text = text
	}
	if isNew {
		c.uses++
	}
}

// release records that an event with the content was evicted.
func (s *eventStore) release(hash string) {
	c := s.contents[hash]
	if c == nil {
		return
	}
	if c.uses--; c.uses == 0 {
		delete(s.contents, hash)
	}
}

// find returns the index of the event with the ID, or the index at which to insert it.
func (s *eventStore) find(id string) (int, bool) {
	if id > s.newest() {
		return len(s.events), false // the usual case
	}
	return slices.BinarySearchFunc(s.events, id, func(e *grouping.PackedEvent, id string) int { return strings.Compare(e.ID, id) })
}

// newest returns the ID of the newest event, or "".
func (s *eventStore) newest() string {
	if len(s.events) == 0 {
		return ""
	}
	return s.events[len(s.events)-1].ID
}

// from appends up to limit events with this ID and with greater IDs, oldest first.
func (s *eventStore) from(id string, limit int, events []grouping.Event) []grouping.Event {
	i, _ := s.find(id)
	n := min(len(s.events)-i, limit)
	events = slices.Grow(events, n)
	for _, e := range s.events[i : i+n] {
		events = append(events, e.Event())
	}
	return events
}

// texts adds the contents of the events to texts.
func (s *eventStore) texts(events []grouping.Event, texts grouping.ContentTexts) {
	for i := range events {
		if c := s.contents[events[i].Content]; c != nil && c.text != "" {
			texts[events[i].Content] = c.text
		}
	}
}
