package grouping

import (
	"math"
	"slices"
	"time"
)

// PackedEvent is an Event in little more than half of the memory. A storage in memory keeps
// events in this form, because they are a quarter of all memory. It is immutable.
type PackedEvent struct {
	ID string
	// whole is the event, if it has something that has no place below. Then only the ID
	// and the content are set besides it.
	whole *Event

	origin                 *eventOrigin
	kind, was              packedWord
	fingerprint            Fingerprint
	labels                 Labels
	Content                string
	time, startsAt, endsAt packedTime
	opened                 *Opened
	notified               *Notified
}

// eventOrigin says where an event comes from. The events of one write share it.
type eventOrigin struct {
	group            ID
	source, receiver string
}

// packedTime is a time in nanoseconds since 1970.
type packedTime int64

// packedZero stands for the zero time.
const packedZero = packedTime(math.MinInt64)

// packTime returns the time in its short form, or false if it has none.
func packTime(t time.Time) (packedTime, bool) {
	if t.Location() != time.UTC {
		return 0, false
	}
	if t.IsZero() {
		return packedZero, true
	}
	short := packedTime(t.UnixNano())
	return short, short.time().Equal(t)
}

func (t packedTime) time() time.Time {
	if t == packedZero {
		return time.Time{}
	}
	return time.Unix(0, int64(t)).UTC()
}

// packedWord is a kind or a status as its place in packedWords.
type packedWord uint8

var packedWords = func() []string {
	words := []string{"", string(StatusFiring), string(StatusSuppressed), string(StatusResolved), string(StatusUnreported)}
	for _, kind := range append(EventKinds(), EventChanged) {
		words = append(words, string(kind))
	}
	return words
}()

// packWord returns the word in its short form, or false if it has none.
func packWord(word string) (packedWord, bool) {
	at := slices.Index(packedWords, word)
	return packedWord(max(at, 0)), at >= 0 //nolint:gosec // G115: the list is short
}

func (w packedWord) word() string { return packedWords[w] }

// Pack returns the event in its short form. previous is an earlier event of the same write,
// or nil.
func (e *Event) Pack(previous *PackedEvent) PackedEvent {
	at, ok := packTime(e.Time)
	startsAt, startOK := packTime(e.StartsAt)
	endsAt, endOK := packTime(e.EndsAt)
	kind, kindOK := packWord(string(e.Kind))
	was, wasOK := packWord(string(e.Was))
	if !ok || !startOK || !endOK || !kindOK || !wasOK || !e.ObservedAt.IsZero() || e.Unknown != "" || e.hasRareDetail() {
		whole := *e
		return PackedEvent{ID: e.ID, Content: e.Content, whole: &whole}
	}
	origin := &eventOrigin{e.GroupID, e.Source, e.Receiver}
	if previous != nil && previous.origin != nil && *previous.origin == *origin {
		origin = previous.origin
	}
	return PackedEvent{
		ID: e.ID, origin: origin, kind: kind, fingerprint: e.Fingerprint, labels: e.Labels, was: was, Content: e.Content,
		time: at, startsAt: startsAt, endsAt: endsAt, opened: e.Opened, notified: e.Notified,
	}
}

// hasRareDetail reports whether the event has a detail that no notification causes.
func (e *Event) hasRareDetail() bool {
	return e.Delivery != nil || e.Mute != nil || e.Silence != nil || e.Gap != nil || e.People != nil || e.Alert != nil
}

// Time returns the time of the event.
func (p *PackedEvent) Time() time.Time {
	if p.whole != nil {
		return p.whole.Time
	}
	return p.time.time()
}

// GroupID returns the group of the event.
func (p *PackedEvent) GroupID() ID {
	if p.whole != nil {
		return p.whole.GroupID
	}
	return p.origin.group
}

// Event returns the event.
func (p *PackedEvent) Event() Event {
	if p.whole != nil {
		return *p.whole
	}
	return Event{
		ID: p.ID, Time: p.time.time(), Kind: EventKind(p.kind.word()),
		GroupID: p.origin.group, Source: p.origin.source, Receiver: p.origin.receiver,
		Fingerprint: p.fingerprint, Labels: p.labels, Was: Status(p.was.word()), StartsAt: p.startsAt.time(), EndsAt: p.endsAt.time(),
		Content: p.Content, Opened: p.opened, Notified: p.notified,
	}
}
