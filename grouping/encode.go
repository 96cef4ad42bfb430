package grouping

import (
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// The records and events of a usual notification are encoded by the functions below,
// which write the same bytes as the JSON library in a fraction of the time. They decline
// what is unusual: unknown fields, fields of Grafana and times that RFC 3339 cannot
// express. The library then encodes the value, or says what is wrong with it.

// objectText is the text of a JSON object under construction.
type objectText struct {
	text     []byte
	declined bool // the object holds something that the library must encode
	// The last time that was encoded, and its text. The records and events of one write
	// have mostly the same times.
	lastTime time.Time
	timeText []byte
}

// usualObject is a value that can encode itself if it is usual.
type usualObject interface {
	encode(o *objectText)
}

// encodeObject returns the prefix followed by the JSON of the value. It returns false if
// the value declines.
func encodeObject(prefix string, v usualObject) (text string, ok bool) {
	o := newObjectText()
	defer objectTexts.Put(o)
	if ok = o.add(prefix, v); !ok {
		return "", false
	}
	return string(o.text), true
}

// appendObject is encodeObject for a text that is added to a buffer. If the value declines, it
// adds nothing.
func appendObject(buffer []byte, prefix string, v usualObject) (all []byte, ok bool) {
	o := newObjectText()
	defer objectTexts.Put(o)
	own := o.text
	o.text = buffer
	ok = o.add(prefix, v)
	all, o.text = o.text, own
	return all, ok
}

// newObjectText returns an empty text. The caller returns it to objectTexts.
func newObjectText() *objectText {
	o := objectTexts.Get().(*objectText) //nolint:forcetypeassert // the pool holds nothing else
	o.text = o.text[:0]
	return o
}

// add adds the prefix followed by the JSON of the value. If the value declines, it adds
// nothing and returns false.
func (o *objectText) add(prefix string, v usualObject) (ok bool) {
	before := len(o.text)
	o.declined = false
	o.text = append(o.text, prefix...)
	if v.encode(o); o.declined {
		o.text = o.text[:before]
	}
	return !o.declined
}

var objectTexts = sync.Pool{New: func() any { return new(objectText) }}

// begin begins an object. Its fields follow.
func (o *objectText) begin() { o.text = append(o.text, '{') }

func (o *objectText) end() { o.text = append(o.text, '}') }

func (o *objectText) name(name string) {
	if last := o.text[len(o.text)-1]; last != '{' {
		o.text = append(o.text, ',')
	}
	o.text = append(o.text, '"')
	o.text = append(o.text, name...)
	o.text = append(o.text, '"', ':')
}

func (o *objectText) string(name, value string) {
	o.name(name)
	o.text = appendQuoted(o.text, value)
}

// nonEmpty adds the string if it is not empty.
func (o *objectText) nonEmpty(name, value string) {
	if value != "" {
		o.string(name, value)
	}
}

func (o *objectText) labels(name string, l Labels) {
	if l.IsZero() {
		return
	}
	o.name(name)
	o.text = l.appendJSON(o.text)
}

func (o *objectText) time(name string, t time.Time) {
	o.name(name)
	if t.Location() != time.UTC {
		o.declined = true
		return
	}
	if len(o.timeText) == 0 || !t.Equal(o.lastTime) {
		if year := t.Year(); year < 0 || year > 9999 {
			o.declined = true
			return
		}
		o.timeText = append(o.timeText[:0], '"')
		o.timeText = t.AppendFormat(o.timeText, time.RFC3339Nano)
		o.timeText = append(o.timeText, '"')
		o.lastTime = t
	}
	o.text = append(o.text, o.timeText...)
}

// nonZero adds the time if it is not zero.
func (o *objectText) nonZero(name string, t time.Time) {
	if !t.IsZero() {
		o.time(name, t)
	}
}

func (o *objectText) uint(name string, n uint64) {
	o.name(name)
	o.text = strconv.AppendUint(o.text, n, 10)
}

// positive adds the number if it is not 0.
func (o *objectText) positive(name string, n int) {
	if n < 0 {
		o.declined = true
	}
	if n != 0 {
		o.uint(name, uint64(n)) //nolint:gosec // G115: a negative number is declined
	}
}

func (o *objectText) isTrue(name string, value bool) {
	if value {
		o.name(name)
		o.text = append(o.text, "true"...)
	}
}

// objects adds a list of n objects. fields adds the fields of one.
func (o *objectText) objects(name string, n int, fields func(i int)) {
	o.name(name)
	o.text = append(o.text, '[')
	for i := range n {
		if i > 0 {
			o.text = append(o.text, ',')
		}
		o.begin()
		fields(i)
		o.end()
	}
	o.text = append(o.text, ']')
}

// appendQuoted appends a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendQuoted(text []byte, s string) []byte {
	if IsPlain(s) {
		text = append(text, '"')
		text = append(text, s...)
		return append(text, '"')
	}
	text, _ = jsontext.AppendQuote(text, s) // the error says that s is not UTF-8
	return text
}

// encode adds the alert, like the library does.
func (a *Alert) encode(o *objectText) {
	o.declined = o.declined || a.Grafana != nil || a.Unknown != ""
	o.begin()
	o.string("status", string(a.Status))
	o.labels("labels", a.Labels)
	o.labels("annotations", a.Annotations)
	o.nonEmpty("generatorURL", a.GeneratorURL)
	o.nonZero("startsAt", a.StartsAt)
	o.nonZero("endsAt", a.EndsAt)
	o.nonZero("firstSeenAt", a.FirstSeenAt)
	o.nonZero("recordedAt", a.RecordedAt)
	o.nonEmpty("reportedBy", a.ReportedBy)
	o.isTrue("disputed", a.Disputed)
	o.isTrue("unnotified", a.Unnotified)
	o.nonZero("observedAt", a.ObservedAt)
	o.nonZero("goneFrom", a.GoneFrom)
	o.nonZero("goneBy", a.GoneBy)
	o.nonEmpty("since", string(a.RemovalStamp))
	if !a.LastSeenAt.Equal(a.FirstSeenAt) {
		o.time("lastSeenAt", a.LastSeenAt)
	}
	if !a.ChangedAt.Equal(a.FirstSeenAt) {
		o.time("changedAt", a.ChangedAt)
	}
	if !a.recordsCurrent() {
		o.objects("episodes", len(a.Recorded), func(i int) {
			e := &a.Recorded[i]
			o.nonZero("startsAt", e.StartsAt)
			o.nonZero("endsAt", e.EndsAt)
			o.nonEmpty("stamp", string(e.Stamp))
		})
	}
	o.end()
}

// encode adds the fields of a group, like the library does.
func (m *Meta) encode(o *objectText) {
	o.declined = o.declined || m.Unknown != "" || m.ClosedBy != nil
	o.begin()
	o.string("source", m.Source)
	o.string("receiver", m.Receiver)
	o.string("groupKey", m.GroupKey)
	o.labels("groupLabels", m.GroupLabels)
	o.labels("commonLabels", m.CommonLabels)
	o.labels("commonAnnotations", m.CommonAnnotations)
	o.labels("routeLabels", m.RouteLabels)
	o.nonEmpty("externalURL", m.ExternalURL)
	o.nonZero("createdAt", m.CreatedAt)
	o.nonZero("updatedAt", m.UpdatedAt)
	o.nonZero("lastNotifiedAt", m.LastNotifiedAt)
	o.nonEmpty("lastReason", m.LastReason)
	if m.Truncated > 0 {
		o.uint("truncated", m.Truncated)
	}
	o.nonZero("completeAt", m.CompleteAt)
	o.nonEmpty("completeBy", m.CompleteBy)
	o.isTrue("settling", m.Settling)
	o.isTrue("stale", m.Stale)
	o.nonZero("flushAt", m.FlushAt)
	o.nonEmpty("opened", string(m.Opened))
	o.nonEmpty("ended", string(m.Ended))
	if len(m.Beats) > 0 {
		o.objects("beats", len(m.Beats), func(i int) {
			b := &m.Beats[i]
			o.nonEmpty("by", b.By)
			o.time("at", b.At)
			o.time("since", b.Since)
			o.positive("everyMillis", int(b.EveryMillis))
		})
	}
	o.end()
}

// encode adds the event, like the library does.
func (e *Event) encode(o *objectText) {
	o.declined = o.declined || e.Unknown != "" || e.hasRareDetail()
	o.begin()
	o.string("id", e.ID)
	o.time("time", e.Time)
	o.string("kind", string(e.Kind))
	o.string("groupId", string(e.GroupID))
	o.string("source", e.Source)
	o.string("receiver", e.Receiver)
	o.nonEmpty("fingerprint", string(e.Fingerprint))
	o.labels("labels", e.Labels)
	o.nonEmpty("was", string(e.Was))
	o.nonZero("startsAt", e.StartsAt)
	o.nonZero("endsAt", e.EndsAt)
	o.nonEmpty("content", e.Content)
	o.nonZero("observedAt", e.ObservedAt)
	if e.Opened != nil {
		o.name("opened")
		o.begin()
		o.string("groupKey", e.Opened.GroupKey)
		o.nonEmpty("externalURL", e.Opened.ExternalURL)
		o.isTrue("shared", e.Opened.Shared)
		o.end()
	}
	if n := e.Notified; n != nil {
		o.nonEmpty("reason", n.Reason)
		o.nonEmpty("externalURL", n.ExternalURL)
		o.positive("firing", n.Firing)
		o.positive("resolved", n.Resolved)
		if n.Truncated > 0 {
			o.uint("truncated", n.Truncated)
		}
	}
	o.end()
}
