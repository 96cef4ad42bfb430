package wire

import (
	"bytes"
	"hash/maphash"
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
