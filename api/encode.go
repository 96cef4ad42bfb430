package api

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"muster/grouping"
)

// Groups, alerts and events are nearly all of a long answer. So they are encoded here,
// straight from their fields. The text is what package json writes for a GroupView, an
// alertView and an eventView, which takes several times as long. What is unusual is left to
// package json.

// encoder appends JSON to a text.
type encoder struct {
	text []byte
	// unusual reports that package json must encode the object, or say what is wrong.
	unusual bool
	// mutes has the details of what mutes alerts.
	mutes muteDetails // set before the first alert
	// now is the time at which acknowledgements count. withNotes says whether groups have
	// their notes.
	now       time.Time
	withNotes bool
	// episodes is memory for the episodes of one alert or group.
	episodes []grouping.Episode
}

// Write implements io.Writer.
func (e *encoder) Write(p []byte) (int, error) {
	e.text = append(e.text, p...)
	return len(p), nil
}

// value appends any value with package json.
func (e *encoder) value(v any) error {
	encoded, err := json.Marshal(v)
	e.text = append(e.text, encoded...)
	return err
}

// usual appends what encode appends, or the value of view if that is unusual.
func (e *encoder) usual(encode func(), view func() any) error {
	start := len(e.text)
	e.unusual = false
	if encode(); !e.unusual {
		return nil
	}
	e.text = e.text[:start]
	return e.value(view())
}

// group appends a group without its alerts.
func (e *encoder) group(g *grouping.AlertGroup) error {
	return e.usual(func() { e.usualGroup(g) }, func() any { return viewGroup(g, e.now, e.withNotes) })
}

func (e *encoder) usualGroup(g *grouping.AlertGroup) {
	e.string(`{"id":`, string(g.ID))
	e.string(`,"source":`, g.Source)
	e.string(`,"receiver":`, g.Receiver)
	e.string(`,"groupKey":`, g.GroupKey)
	e.labels(`,"groupLabels":`, g.GroupLabels)
	e.labels(`,"commonLabels":`, g.CommonLabels)
	e.labels(`,"commonAnnotations":`, g.CommonAnnotations)
	e.labels(`,"routeLabels":`, g.RouteLabels)
	e.string(`,"externalURL":`, g.ExternalURL)
	e.string(`,"state":`, string(g.State))
	e.bool(`,"settling":`, g.Settling)
	e.bool(`,"stale":`, g.Stale)
	e.uint(`,"truncated":`, g.Truncated)
	e.int(`,"counts":{"firing":`, int64(g.Counts.Firing))
	e.int(`,"resolved":`, int64(g.Counts.Resolved))
	e.int(`,"suppressed":`, int64(g.Counts.Suppressed))
	e.int(`,"unreported":`, int64(g.Counts.Unreported))
	e.raw("}")
	e.time(`,"createdAt":`, g.CreatedAt)
	e.time(`,"updatedAt":`, g.UpdatedAt)
	e.time(`,"lastNotifiedAt":`, g.LastNotifiedAt)
	e.time(`,"resolvedAt":`, g.ResolvedAt())
	e.int(`,"notifications":`, g.Notifications)
	e.optional(`,"lastReason":`, g.LastReason)
	e.int(`,"version":`, g.Version)
	e.optional(`,"episode":`, string(g.Opened))
	if g.ClosedBy != nil {
		e.rare(`,"closedBy":`, viewClosing(g))
	}
	if ack := viewAck(g, e.now); ack != nil {
		e.rare(`,"ack":`, ack)
	}
	if e.withNotes && len(g.Notes) > 0 {
		e.rare(`,"notes":`, viewNotes(g))
	}
	e.episodes = g.AppendEpisodes(e.episodes[:0])
	e.listEpisodes()
	e.raw("}")
}

// alert appends an alert of a group.
func (e *encoder) alert(g *grouping.AlertGroup, a *grouping.Alert) error {
	return e.usual(func() { e.usualAlert(g, a) }, func() any { return viewAlert(g, a, e.mutes) })
}

func (e *encoder) usualAlert(g *grouping.AlertGroup, a *grouping.Alert) {
	e.unusual = a.Grafana != nil // its fields are rare
	lastSeen, _ := g.LastSeen(a)
	e.string(`{"fingerprint":`, string(a.Fingerprint))
	e.string(`,"status":`, string(a.ShownStatus()))
	e.labels(`,"labels":`, a.Labels)
	e.labels(`,"annotations":`, a.Annotations)
	e.string(`,"generatorURL":`, a.GeneratorURL)
	e.time(`,"startsAt":`, a.StartsAt.UTC())
	e.time(`,"endsAt":`, a.EndsAt.UTC())
	e.time(`,"firstSeenAt":`, a.FirstSeenAt)
	e.time(`,"lastSeenAt":`, lastSeen)
	if a.Disputed {
		e.raw(`,"disputed":true`)
	}
	e.bool(`,"notified":`, !a.Unnotified)
	if between := endsBetween(a); len(between) > 0 {
		e.rare(`,"endsBetween":`, between)
	}
	if mutes := viewMutes(g.Source, a, e.mutes); len(mutes) > 0 {
		e.rare(`,"mutes":`, mutes)
	} else {
		e.raw(`,"mutes":[]`)
	}
	e.episodes = a.AppendEpisodes(e.episodes[:0])
	e.listEpisodes()
	e.raw("}")
}

// event appends an event.
func (e *encoder) event(of *grouping.Event) error {
	return e.usual(func() { e.usualEvent(of) }, func() any { return viewEvent(of) })
}

func (e *encoder) usualEvent(of *grouping.Event) {
	e.unusual = of.Delivery != nil || of.Silence != nil || of.Gap != nil || of.People != nil || of.Time.IsZero()
	n := of.Notification()
	e.string(`{"id":`, of.ID)
	e.time(`,"time":`, of.Time)
	e.string(`,"kind":`, string(of.Kind))
	e.string(`,"groupId":`, string(of.GroupID))
	e.string(`,"source":`, of.Source)
	e.string(`,"receiver":`, of.Receiver)
	e.optional(`,"fingerprint":`, string(of.Fingerprint))
	e.labels(`,"labels":`, of.Labels)
	e.optional(`,"was":`, string(of.Was))
	e.time(`,"startsAt":`, of.StartsAt.UTC())
	e.time(`,"endsAt":`, of.EndsAt.UTC())
	e.optional(`,"reason":`, n.Reason)
	e.optional(`,"externalURL":`, n.ExternalURL)
	if of.Kind == grouping.EventNotified {
		e.int(`,"firing":`, int64(n.Firing))
		e.int(`,"resolved":`, int64(n.Resolved))
		e.uint(`,"truncated":`, n.Truncated)
	}
	if m := of.Mute; m != nil {
		e.rare(`,"mute":`, viewEventMute(m))
	}
	e.raw("}")
}

// listEpisodes appends the field with the episodes.
func (e *encoder) listEpisodes() {
	e.raw(`,"episodes":[`)
	for i := range e.episodes {
		if i > 0 {
			e.raw(",")
		}
		e.raw("{")
		first := len(e.text)
		e.time(`,"startsAt":`, e.episodes[i].StartsAt.UTC())
		e.time(`,"endsAt":`, e.episodes[i].EndsAt.UTC())
		if len(e.text) > first {
			e.text = append(e.text[:first], e.text[first+1:]...) // the first comma
		}
		e.raw("}")
	}
	e.raw("]")
}

// rare appends a field that few alerts have with package json.
func (e *encoder) rare(before string, value any) {
	e.raw(before)
	if err := e.value(value); err != nil {
		e.unusual = true // package json says what is wrong
	}
}

func (e *encoder) raw(text string) { e.text = append(e.text, text...) }

// string appends the text before a field, and its value.
func (e *encoder) string(before, value string) {
	e.raw(before)
	e.quote(value)
}

// optional appends a field with a string, if it is not empty.
func (e *encoder) optional(before, value string) {
	if value != "" {
		e.string(before, value)
	}
}

func (e *encoder) int(before string, value int64) {
	e.text = strconv.AppendInt(append(e.text, before...), value, 10)
}

func (e *encoder) uint(before string, value uint64) {
	e.text = strconv.AppendUint(append(e.text, before...), value, 10)
}

func (e *encoder) bool(before string, value bool) {
	e.text = strconv.AppendBool(append(e.text, before...), value)
}

// time appends a field with a time, if it is not zero.
func (e *encoder) time(before string, at time.Time) {
	if at.IsZero() {
		return
	}
	text, err := at.AppendText(append(append(e.text, before...), '"'))
	if err != nil {
		e.unusual = true
		return
	}
	e.text = append(text, '"')
}

// labels appends a field with the labels as an object.
func (e *encoder) labels(before string, l grouping.Labels) {
	e.raw(before)
	e.raw("{")
	for i := range l.Len() {
		if i > 0 {
			e.raw(",")
		}
		name, value := l.At(i)
		e.quote(name)
		e.raw(":")
		e.quote(value)
	}
	e.raw("}")
}

// quote appends a string. Like package json, it escapes what is special in HTML.
func (e *encoder) quote(s string) {
	text := append(e.text, '"')
	for {
		n := plainPrefix(s)
		text = append(text, s[:n]...)
		if s = s[n:]; s == "" {
			break
		}
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == '"', r == '\\':
			text = append(text, '\\', s[0])
		case r == '&', r == '<', r == '>':
			text = append(text, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&0xf])
		case r < ' ', r == '\u2028', r == '\u2029':
			encoded, _ := json.Marshal(s[:size]) // strings are always encodable
			text = append(text, encoded[1:len(encoded)-1]...)
		case r == utf8.RuneError && size == 1:
			e.unusual = true // not UTF-8
		default:
			text = append(text, s[:size]...)
		}
		s = s[size:]
	}
	e.text = append(text, '"')
}

const hexDigits = "0123456789abcdef"

// plainPrefix returns the number of bytes at the beginning of the string that are ASCII and
// that package json does not escape. It compares eight bytes at once.
func plainPrefix(s string) int {
	const low, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		w := s[i : i+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
			uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		// The high bit of some byte is set if a byte is not ASCII, less than a space, a
		// backslash, " or &, < or >.
		special := x | (x - ' '*low) | zeroByte(x^'\\'*low) | zeroByte((x|0x04*low)^'&'*low) | zeroByte((x|0x02*low)^'>'*low)
		if special&high != 0 {
			break
		}
	}
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ', c >= utf8.RuneSelf, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return i
		}
	}
	return i
}

// zeroByte returns a number that has the high bit of some byte set if a byte of x is zero.
// x must be ASCII.
func zeroByte(x uint64) uint64 { return (x - 0x0101010101010101) &^ x }
