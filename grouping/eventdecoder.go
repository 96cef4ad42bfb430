package grouping

import (
	"bytes"
	"hash/maphash"
)

// EventDecoder decodes the events of a stream. The events of one alert repeat its labels, so it
// decodes equal labels once, and its events share them. It is not safe for concurrent use. The
// zero value is ready. A nil decoder decodes each event alone.
type EventDecoder struct {
	known map[string]*knownLabels // by the fingerprint of an alert, or by a group
	bytes int                     // of the texts of known
	seed  maphash.Seed            // of the hashes of known
}

// knownLabels are the last labels that the events of an alert or of a group have. The hash of their
// text stands for it: the labels of all alerts need much memory.
type knownLabels struct {
	of     string // the key
	hash   uint64
	size   int // of the text
	labels Labels
}

// maxKnownBytes is the maximum size of the texts whose labels an EventDecoder keeps. That of an
// alert has some 300 bytes. The labels have about as many, because their strings are shared.
const maxKnownBytes = 4 << 20

// Append appends the event with the stored text, unless it cannot be read. It does not keep the
// text.
func (d *EventDecoder) Append(events []Event, text []byte) []Event {
	events = append(events, Event{})
	last := len(events) - 1
	if err := events[last].decodeText(text, d); err != nil {
		return events[:last]
	}
	return events
}

// labels reads the labels of an alert or of a group. last are the last ones.
func (d *EventDecoder) labels(r *objectReader, of string, to, last *Labels) {
	const name = "labels"
	if d == nil {
		r.labels(name, to, last)
		return
	}
	known := d.known[of]
	if known != nil {
		same := func(text []byte) bool { return maphash.Bytes(d.seed, text) == known.hash }
		if r.hasValue(name, known.size, same) {
			*to = known.labels
			return
		}
	}
	before := r.rest
	r.labels(name, to, last)
	if r.declined || len(r.rest) == len(before) {
		return
	}
	_, text, _ := bytes.Cut(before[:len(before)-len(r.rest)], []byte(`:`))
	if known == nil {
		known = &knownLabels{of: of}
	}
	if d.known == nil {
		d.known, d.seed = map[string]*knownLabels{}, maphash.MakeSeed()
	}
	d.bytes += len(text) - known.size
	known.hash, known.size, known.labels = maphash.Bytes(d.seed, text), len(text), *to
	d.known[of] = known
	// Any are forgotten, not the oldest ones: alerts that fire by turns would never be known.
	for key, other := range d.known {
		if d.bytes <= maxKnownBytes {
			break
		}
		d.bytes -= other.size
		delete(d.known, key)
	}
}

// shared reads a text that can be the key of known labels.
func (d *EventDecoder) shared(r *objectReader, name string, to *string) {
	if d == nil {
		r.shared(name, to)
		return
	}
	if !r.has(name) {
		return
	}
	text := r.text()
	if known := d.known[string(text)]; known != nil {
		*to = known.of
		return
	}
	*to = Intern(text)
}
