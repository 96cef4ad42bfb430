package wire

import (
	"bytes"
	"hash/maphash"
	"time"
)

var signatureSeed = maphash.MakeSeed()

// Signature returns a hash of what an alertGrouped event says, without the time of the event
// and without the planned end of an alert that fires. Both move each time that a Prometheus
// posts the alert, which is most of what the event recorder sends. So an event with the
// signature of an earlier one says nothing new, and need not be decoded. The hash differs
// from process to process.
//
// It returns false for an event of another type or another shape.
func (r RawEvent) Signature() (uint64, bool) {
	var h maphash.Hash
	h.SetSeed(signatureSeed)
	// In a string, quotation marks have a backslash before them, so what is searched for
	// here is never the content of one.
	before, rest, ok := cutText(r.Text, `{"@timestamp":"`)
	if !ok || len(before) > 0 || !bytes.Contains(rest, []byte(`"data":{"alertGrouped":{`)) {
		return 0, false
	}
	if !bytes.Contains(rest, []byte(`"resolved":true`)) {
		before, after, ok := cutText(rest, `"endsAt":"`)
		// A label or an annotation may have this name too.
		if !ok || bytes.Contains(after, []byte(`"endsAt":`)) {
			return 0, false
		}
		_, _ = h.Write(before)
		rest = after
	}
	_, _ = h.Write(rest)
	return h.Sum64(), true
}

// IsAlertCreated reports whether the event is about an alert that was posted for the first
// time, without decoding the event. It returns false for an event of another shape.
func (r RawEvent) IsAlertCreated() bool {
	// As in a signature, this is never in a string.
	return bytes.HasPrefix(r.Text, []byte(`{"@timestamp":"`)) && bytes.Contains(r.Text, []byte(`"data":{"alertCreated":{`))
}

// Origin returns when an event was recorded, and the host name of the Alertmanager, without
// decoding the event. The name is valid until the next event. It returns false for an event
// of another shape.
func (r RawEvent) Origin() (at time.Time, instance []byte, ok bool) {
	text, ok := bytes.CutPrefix(r.Text, []byte(`{"@timestamp":"`))
	if !ok {
		return time.Time{}, nil, false
	}
	timestamp, text, ok := bytes.Cut(text, []byte(`"`))
	if !ok || at.UnmarshalText(timestamp) != nil {
		return time.Time{}, nil, false
	}
	// The space depends on the build of Alertmanager.
	text = bytes.TrimLeft(text, ", ")
	if text, ok = bytes.CutPrefix(text, []byte(`"instance":"`)); !ok {
		return time.Time{}, nil, false
	}
	instance, _, ok = bytes.Cut(text, []byte(`"`))
	if !ok || bytes.IndexByte(instance, '\\') >= 0 {
		return time.Time{}, nil, false
	}
	return at.UTC(), instance, true
}

// cutText returns the text before the beginning of a string, and the text after its end. The
// string has no quotation mark in it.
func cutText(text []byte, begin string) (before, after []byte, ok bool) {
	before, after, ok = bytes.Cut(text, []byte(begin))
	if !ok {
		return nil, nil, false
	}
	if _, after, ok = bytes.Cut(after, []byte(`"`)); !ok {
		return nil, nil, false
	}
	return before, after, true
}
