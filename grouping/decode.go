package grouping

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// The records of a usual notification are decoded by the functions below, in a fraction of
// the time that the JSON library needs. They read what encode.go writes: known fields in
// that order, without white space. They decline everything else. The library then decodes
// the record, or says what is wrong with it.

// objectReader reads the text of a JSON object from left to right.
type objectReader struct {
	rest     []byte
	later    bool // a field was read, so a comma comes before the next one
	declined bool
	// The last text of a time, and the time. Most times of a record are equal.
	timeText []byte
	lastTime time.Time
	last     lastLabels
}

// lastLabels are the last labels of each field. The next ones often have the same names, and some of
// the values.
type lastLabels struct {
	ofAlert, annotations, ofGroup, commonLabels, commonAnnotations, ofRoute Labels
}

// maxLastLabels is the maximum size of the text of labels that are kept for the next ones. An alert
// rarely has more.
const maxLastLabels = 4 << 10

var objectReaders = sync.Pool{New: func() any { return new(objectReader) }}

// skip reads the character. Without it, the object is declined.
func (r *objectReader) skip(c byte) {
	if len(r.rest) == 0 || r.rest[0] != c {
		r.declined = true
		return
	}
	r.rest = r.rest[1:]
}

func (r *objectReader) begin() {
	r.skip('{')
	r.later = false
}

func (r *objectReader) end() {
	r.skip('}')
	r.later = true
}

// has reads the name of the next field. It returns false if the next field is another one.
func (r *objectReader) has(name string) bool {
	rest := r.rest
	if r.declined {
		return false
	}
	if r.later {
		if len(rest) == 0 || rest[0] != ',' {
			return false
		}
		rest = rest[1:]
	}
	end := len(name) + 1
	if len(rest) < end+2 || rest[0] != '"' || string(rest[1:end]) != name || rest[end] != '"' || rest[end+1] != ':' {
		return false
	}
	r.rest, r.later = rest[end+2:], true
	return true
}

// hasValue reads the next field if it has this name, and isValue accepts as many of its bytes.
func (r *objectReader) hasValue(name string, size int, isValue func(text []byte) bool) bool {
	before, later := r.rest, r.later
	if !r.has(name) {
		return false
	}
	if len(r.rest) >= size && isValue(r.rest[:size]) {
		r.rest = r.rest[size:]
		return true
	}
	r.rest, r.later = before, later
	return false
}

// text reads a string. The result is valid until the next one is read.
func (r *objectReader) text() []byte {
	r.skip('"')
	if r.declined {
		return nil
	}
	end := bytes.IndexByte(r.rest, '"')
	if end < 0 {
		r.declined = true
		return nil
	}
	if text := r.rest[:end]; IsPlain(text) {
		r.rest = r.rest[end+1:]
		return text
	}
	return r.escaped()
}

// isText reads a string if it is the plain text.
func (r *objectReader) isText(plain string) bool {
	end := len(plain) + 1
	if len(r.rest) <= end || r.rest[0] != '"' || r.rest[end] != '"' || string(r.rest[1:end]) != plain || !IsPlain(plain) {
		return false
	}
	r.rest = r.rest[end+1:]
	return true
}

// escaped is text for a string with other characters. Its first quotation mark was read.
func (r *objectReader) escaped() []byte {
	end := 0
	for end < len(r.rest) && r.rest[end] != '"' {
		if r.rest[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(r.rest) {
		r.declined = true
		return nil
	}
	quoted := append(append(make([]byte, 0, end+2), '"'), r.rest[:end+1]...)
	text, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		r.declined = true
		return nil
	}
	r.rest = r.rest[end+1:]
	return text
}

// string reads the field if it is the next one.
func (r *objectReader) string(name string, to *string) {
	if r.has(name) {
		*to = string(r.text())
	}
}

// shared is string for a text that many records have.
func (r *objectReader) shared(name string, to *string) {
	if r.has(name) {
		*to = Intern(r.text())
	}
}

// stamp is string for a stamp.
func (r *objectReader) stamp(name string, to *Stamp) {
	if r.has(name) {
		*to = Stamp(r.text())
	}
}

func (r *objectReader) isTrue(name string, to *bool) {
	if !r.has(name) {
		return
	}
	rest, ok := bytes.CutPrefix(r.rest, []byte("true"))
	r.rest, *to = rest, true
	r.declined = r.declined || !ok
}

// time reads the field if it is the next one. It returns false if it is another one.
func (r *objectReader) time(name string, to *time.Time) bool {
	if !r.has(name) {
		return false
	}
	text := r.text()
	if r.declined {
		return false
	}
	if r.timeText == nil || !bytes.Equal(text, r.timeText) {
		// UTC is always written as Z. Another zone is not usual. Package time also accepts a decimal
		// comma and an hour of one digit, which JSON does not have.
		const hourEnd = len("2006-01-02T15")
		if !bytes.HasSuffix(text, []byte("Z")) || bytes.IndexByte(text, ',') >= 0 || r.lastTime.UnmarshalText(text) != nil ||
			text[hourEnd] != ':' {
			r.declined = true
			return false
		}
		r.timeText = text
	}
	*to = r.lastTime
	return true
}

func (r *objectReader) uint(name string, to *uint64) {
	if !r.has(name) {
		return
	}
	end := 0
	for end < len(r.rest) && r.rest[end] >= '0' && r.rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(string(r.rest[:end]), 10, 64)
	// JSON has no leading zeros.
	if err != nil || r.rest[0] == '0' {
		r.declined = true
		return
	}
	r.rest, *to = r.rest[end:], n
}

// int is uint for a number that is an int.
func (r *objectReader) int(name string, to *int) {
	var n uint64
	r.uint(name, &n)
	r.declined = r.declined || n > math.MaxInt
	*to = int(n)
}

// labels reads the field if it is the next one. last are the last labels of the field.
func (r *objectReader) labels(name string, to, last *Labels) {
	if !r.has(name) {
		return
	}
	before := len(r.rest)
	r.begin()
	var buffer [usualLabels]string
	values, same := buffer[:0], true
	for n := 0; n < last.Len() && last.names.plain && r.has(last.names.list[n]); n++ {
		value := last.values[n]
		if !r.isText(value) {
			value, same = Intern(r.text()), false
		}
		values = append(values, value)
	}
	switch {
	case len(values) < last.Len() || len(r.rest) == 0 || r.rest[0] != '}':
		*to = r.otherLabels(last.names, values)
	case same:
		*to = *last
	default:
		*to = last.WithValues(slices.Clone(values))
	}
	r.end()
	if !r.declined && before-len(r.rest) <= maxLastLabels {
		*last = *to
	}
}

// otherLabels reads labels whose names are not those of the last ones. The first values are read,
// and have the first of the names.
func (r *objectReader) otherLabels(last *labelNames, values []string) Labels {
	var buffer [usualLabels]string
	names := buffer[:0]
	if len(values) > 0 {
		names = append(names, last.list[:len(values)]...)
	}
	for !r.declined && len(r.rest) > 0 && r.rest[0] != '}' {
		if len(names) > 0 {
			r.skip(',')
		}
		name := Intern(r.text())
		r.skip(':')
		if n := len(names); n > 0 && names[n-1] >= name {
			r.declined = true
		}
		names, values = append(names, name), append(values, Intern(r.text()))
	}
	return labelsOfValues(names, slices.Clone(values))
}

// objects reads a list of objects. add reads the fields of one. It returns false if the next
// field is another one.
func (r *objectReader) objects(name string, add func()) bool {
	if !r.has(name) {
		return false
	}
	r.skip('[')
	for first := true; !r.declined && len(r.rest) > 0 && r.rest[0] != ']'; first = false {
		if !first {
			r.skip(',')
		}
		r.begin()
		add()
		r.end()
	}
	r.skip(']')
	return true
}

// decodedObject reads a whole object. It returns false if the object is declined.
func decodedObject(object []byte, read func(r *objectReader)) bool {
	r := objectReaders.Get().(*objectReader) //nolint:forcetypeassert // the pool holds nothing else
	defer objectReaders.Put(r)
	*r = objectReader{rest: object, last: r.last}
	r.begin()
	read(r)
	r.end()
	ok := !r.declined && len(r.rest) == 0
	r.rest, r.timeText = nil, nil
	return ok
}

// decode reads the alert from its stored form, without its fingerprint and its stamp.
func (s *storedAlert) decode(r *objectReader) {
	a := s.Alert
	var status, removal string
	r.shared("status", &status)
	a.Status = Status(status)
	r.labels("labels", &a.Labels, &r.last.ofAlert)
	r.labels("annotations", &a.Annotations, &r.last.annotations)
	r.string("generatorURL", &a.GeneratorURL)
	r.time("startsAt", &a.StartsAt)
	r.time("endsAt", &a.EndsAt)
	r.time("firstSeenAt", &a.FirstSeenAt)
	r.time("recordedAt", &a.RecordedAt)
	r.shared("reportedBy", &a.ReportedBy)
	r.isTrue("disputed", &a.Disputed)
	r.isTrue("unnotified", &a.Unnotified)
	r.time("observedAt", &a.ObservedAt)
	r.time("goneFrom", &a.GoneFrom)
	r.time("goneBy", &a.GoneBy)
	r.shared("since", &removal)
	a.RemovalStamp = Stamp(removal)
	if r.time("lastSeenAt", &a.LastSeenAt) {
		s.LastSeenAt = &a.LastSeenAt
	}
	if r.time("changedAt", &a.ChangedAt) {
		s.ChangedAt = &a.ChangedAt
	}
	episodes := []Episode{}
	if r.objects("episodes", func() {
		var e Episode
		var stamp string
		r.time("startsAt", &e.StartsAt)
		r.time("endsAt", &e.EndsAt)
		r.shared("stamp", &stamp)
		e.Stamp = Stamp(stamp)
		episodes = append(episodes, e)
	}) {
		s.Episodes = &episodes
	}
}

// decode reads the fields of a group, without their stamp.
func (m *Meta) decode(r *objectReader) {
	r.shared("source", &m.Source)
	r.shared("receiver", &m.Receiver)
	r.string("groupKey", &m.GroupKey)
	r.labels("groupLabels", &m.GroupLabels, &r.last.ofGroup)
	r.labels("commonLabels", &m.CommonLabels, &r.last.commonLabels)
	r.labels("commonAnnotations", &m.CommonAnnotations, &r.last.commonAnnotations)
	r.labels("routeLabels", &m.RouteLabels, &r.last.ofRoute)
	r.shared("externalURL", &m.ExternalURL)
	r.time("createdAt", &m.CreatedAt)
	r.time("updatedAt", &m.UpdatedAt)
	r.time("lastNotifiedAt", &m.LastNotifiedAt)
	r.shared("lastReason", &m.LastReason)
	r.uint("truncated", &m.Truncated)
	r.time("completeAt", &m.CompleteAt)
	r.shared("completeBy", &m.CompleteBy)
	r.isTrue("settling", &m.Settling)
	r.isTrue("stale", &m.Stale)
	r.time("flushAt", &m.FlushAt)
	r.stamp("opened", &m.Opened)
	r.stamp("ended", &m.Ended)
	// A group of heartbeats is left to the library.
}

// decode reads an event. Rare details are left to the library.
func (e *Event) decode(r *objectReader) { e.decodeWith(r, nil) }

// decodeWith is decode with what a decoder knows. The decoder may be nil.
func (e *Event) decodeWith(r *objectReader, d *EventDecoder) {
	var kind, group, fingerprint, was string
	r.string("id", &e.ID)
	r.time("time", &e.Time)
	r.shared("kind", &kind)
	d.shared(r, "groupId", &group)
	r.shared("source", &e.Source)
	r.shared("receiver", &e.Receiver)
	d.shared(r, "fingerprint", &fingerprint)
	last := &r.last.ofAlert
	if fingerprint == "" {
		last = &r.last.ofGroup
	}
	d.labels(r, cmp.Or(fingerprint, group), &e.Labels, last)
	r.shared("was", &was)
	r.time("startsAt", &e.StartsAt)
	r.time("endsAt", &e.EndsAt)
	r.shared("content", &e.Content)
	r.time("observedAt", &e.ObservedAt)
	e.Kind, e.GroupID, e.Fingerprint, e.Was = EventKind(kind), ID(group), Fingerprint(fingerprint), Status(was)
	if r.has("opened") {
		e.Opened = &Opened{}
		r.begin()
		r.string("groupKey", &e.Opened.GroupKey)
		r.shared("externalURL", &e.Opened.ExternalURL)
		r.isTrue("shared", &e.Opened.Shared)
		r.end()
	}
	var n Notified
	before := len(r.rest)
	r.shared("reason", &n.Reason)
	r.shared("externalURL", &n.ExternalURL)
	r.int("firing", &n.Firing)
	r.int("resolved", &n.Resolved)
	r.uint("truncated", &n.Truncated)
	if len(r.rest) < before {
		kept := n // only events with a notification need memory for it
		e.Notified = &kept
	}
}
