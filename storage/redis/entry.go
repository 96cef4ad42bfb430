package redis

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"muster/grouping"
	"muster/storage/durable"
)

// An entry is a member of the history. It has one event, or some events of one write that
// follow each other, so that a write of many events adds few members. The texts of its
// events are joined by entrySeparator, which is not in a text: JSON escapes it.
const entrySeparator = "\n"

// maxEntryEvents and maxEntrySize limit the events of an entry and the size in bytes from
// which no event is added. An entry is read and removed as a whole.
const maxEntryEvents, maxEntrySize = 16, 16 << 10

// entry is the text of an entry that is written.
type entry []byte

// MarshalBinary implements encoding.BinaryMarshaler, with which the client gets the text.
func (e entry) MarshalBinary() ([]byte, error) { return e, nil }

// joinEntries adds the entries of events to others. encode adds the text of an event to the
// buffer, which holds the entries. All events of an entry have the same stamp, so it does not
// matter for a range of times that only the first ID of an entry says where it is in the
// history.
func joinEntries(
	entries []entry, buffer []byte, events []grouping.Event, encode func(e *grouping.Event, buffer []byte) ([]byte, error),
) (all []entry, used []byte, err error) {
	first, begin, size := 0, len(buffer), 0
	for i := range events {
		joins := i > first && i-first < maxEntryEvents && size < maxEntrySize && follows(&events[i-1], &events[i])
		switch {
		case joins:
			buffer = append(buffer, entrySeparator...)
		case i > first:
			entries = append(entries, buffer[begin:])
			first, begin, size = i, len(buffer), 0
		}
		before := len(buffer)
		if buffer, err = encode(&events[i], buffer); err != nil {
			return nil, nil, fmt.Errorf("event %s: %w", events[i].ID, err)
		}
		size += len(buffer) - before
	}
	if len(events) > 0 {
		entries = append(entries, buffer[begin:])
	}
	return entries, buffer, nil
}

// follows reports whether an event may be in an entry after another one.
func follows(before, e *grouping.Event) bool {
	return e.Stamp() == before.Stamp() && e.ID > before.ID
}

// splitEntries returns the texts of the events of entries.
func splitEntries(entries []string) []string {
	if !slices.ContainsFunc(entries, func(entry string) bool { return strings.Contains(entry, entrySeparator) }) {
		return entries
	}
	texts := make([]string, 0, 2*len(entries))
	for _, entry := range entries {
		texts = slices.AppendSeq(texts, strings.SplitSeq(entry, entrySeparator))
	}
	return texts
}

// decodeEntries returns the events of entries, sorted by their IDs. It leaves out those that
// cannot be read. An event that was written back after a loss has an entry of its own,
// even if the write came late and added it with others. The result uses the
// memory, and keeps nothing of the entries.
func decodeEntries(entries [][]byte, memory durable.Memory) []grouping.Event {
	events := memory.Events[:0]
	for _, entry := range entries {
		for text := range bytes.SplitSeq(entry, []byte(entrySeparator)) {
			events = memory.Decoder.Append(events, text)
		}
	}
	return distinct(events, oldestFirst)
}

// distinct sorts events and removes those that are there twice.
func distinct(events []grouping.Event, order func(a, b grouping.Event) int) []grouping.Event {
	slices.SortFunc(events, order)
	return slices.CompactFunc(events, func(a, b grouping.Event) bool { return a.ID == b.ID })
}

// firstID returns the ID of the first event of an entry.
func firstID(entry []byte) string {
	id, _, _ := bytes.Cut(entry, []byte("{"))
	return string(id)
}

// lastID returns the ID of the last event of an entry.
func lastID(entry []byte) string {
	return firstID(entry[bytes.LastIndex(entry, []byte(entrySeparator))+1:])
}
