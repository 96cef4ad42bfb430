package wire

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"muster/grouping"
)

// Parse decodes a notification in the form that Alertmanager sends: compact JSON with
// the names of [Message], each at most once. It returns false for everything else: an
// unknown or repeated name, null, an escaped surrogate pair, invalid UTF-8, white
// space, or more than maxAlerts alerts. Such a body may be valid, so decode it with
// package json, which also says what is wrong. If Parse returns true, package json
// returns the same message.
//
// Equal label sets of a message share their memory, and equal short strings do so in all
// messages.
func Parse(body []byte, maxAlerts int) (*Message, bool) {
	p, _ := parsers.Get().(*parser)
	p.text, p.at, p.messageNames, p.maxAlerts = body, 0, 0, maxAlerts
	m, _ := messages.Get().(*Message)
	ok := p.message(m) && len(m.Alerts) > 0 && len(bytes.TrimRight(p.text[p.at:], " \t\r\n")) == 0
	p.recycle()
	if !ok {
		m.Release()
		return nil, false
	}
	if len(m.Alerts) == 1 {
		a := &m.Alerts[0]
		m.CommonLabels, m.CommonAnnotations = sameSet(m.CommonLabels, a.Labels), sameSet(m.CommonAnnotations, a.Annotations)
	}
	return m, true
}

var messages = sync.Pool{New: func() any { return &Message{Data: &Data{}} }}

// maxPooledAlerts is the maximum number of alerts of a message whose memory is used again.
const maxPooledAlerts = 256

// Release makes the memory of the message available to later ones. What its alerts have, such
// as labels, stays valid.
func (m *Message) Release() {
	if cap(m.Alerts) > maxPooledAlerts {
		return
	}
	clear(m.Alerts)
	*m.Data = Data{Alerts: m.Alerts[:0]}
	*m = Message{Data: m.Data}
	messages.Put(m)
}

// sameSet returns other if l equals it.
func sameSet(l, other grouping.Labels) grouping.Labels {
	if l.Equal(other) {
		return other
	}
	return l
}

var parsers = sync.Pool{New: func() any { return &parser{} }}

// parser reads a message from left to right. Its methods return false if the text does
// not have the form that they read.
type parser struct {
	text      []byte
	at        int // everything before is read
	maxAlerts int

	messageNames, alertNames names
	unescaped                []byte // the last string with escapes
	// Of the last alert and of the last message.
	labels, annotations, groupLabels, commonLabels, commonAnnotations, routeLabels lastLabels
}

// lastLabels are the labels that were read last. The next ones are often the same, or have the same
// names in the same order.
type lastLabels struct {
	set   grouping.Labels
	order []int // where each label of the text is in the set
}

// isLarge reports whether the labels need much memory.
func (l *lastLabels) isLarge() bool {
	size := 0
	for name, value := range l.set.All() {
		size += len(name) + len(value)
	}
	return size > maxText || cap(l.order) > maxLabels
}

// Maximum sizes of what a later message uses again: of texts in bytes, and of sets of labels. An
// alert rarely has more.
const maxText, maxLabels = 4 << 10, 64

// usualLabels is the maximum number of labels for which the stack has memory.
const usualLabels = 16

// recycle makes the parser available to later messages. It keeps nothing large.
func (p *parser) recycle() {
	p.text = nil
	if cap(p.unescaped) > maxText {
		p.unescaped = nil
	}
	for _, last := range []*lastLabels{
		&p.labels, &p.annotations, &p.groupLabels, &p.commonLabels, &p.commonAnnotations, &p.routeLabels,
	} {
		if last.isLarge() {
			*last = lastLabels{}
		}
	}
	parsers.Put(p)
}

// names is a set of names in an object: bit n stands for the name with number n.
type names uint16

// add returns false if the set has the name already.
func (s *names) add(number int) bool {
	before := *s
	*s |= 1 << number
	return *s != before
}

// next consumes a character if it is the next one.
func (p *parser) next(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// name reads the next name of an object, and the characters around it.
func (p *parser) name(first bool) ([]byte, bool) {
	if !first && !p.next(',') {
		return nil, false
	}
	name, ok := p.quoted()
	return name, ok && p.next(':')
}

// message reads a message.
func (p *parser) message(m *Message) bool {
	if !p.next('{') {
		return false
	}
	for first := true; !p.next('}'); first = false {
		if name, ok := p.name(first); !ok || !p.messageField(m, name) {
			return false
		}
	}
	return true
}

// messageField reads the value of a field of the message.
func (p *parser) messageField(m *Message, name []byte) bool {
	switch string(name) {
	case "receiver":
		return p.messageNames.add(0) && p.string(&m.Receiver)
	case "status":
		return p.messageNames.add(1) && p.string(&m.Status)
	case "alerts":
		return p.messageNames.add(2) && p.alerts(&m.Alerts)
	case "notification_reason":
		return p.messageNames.add(3) && p.string(&m.NotificationReason)
	case "groupLabels":
		return p.messageNames.add(4) && p.labelsOf(&m.GroupLabels, &p.groupLabels)
	case "commonLabels":
		return p.messageNames.add(5) && p.labelsOf(&m.CommonLabels, &p.commonLabels)
	case "commonAnnotations":
		return p.messageNames.add(6) && p.labelsOf(&m.CommonAnnotations, &p.commonAnnotations)
	case "routeLabels":
		return p.messageNames.add(7) && p.labelsOf(&m.RouteLabels, &p.routeLabels)
	case "externalURL":
		return p.messageNames.add(8) && p.string(&m.ExternalURL)
	case "version":
		return p.messageNames.add(9) && p.string(&m.Version)
	case "groupKey":
		return p.messageNames.add(10) && p.string(&m.GroupKey)
	case "truncatedAlerts":
		return p.messageNames.add(11) && p.number(&m.TruncatedAlerts)
	default:
		return false
	}
}

// alerts reads the list of alerts.
func (p *parser) alerts(to *[]Alert) bool {
	if !p.next('[') {
		return false
	}
	for len(*to) < p.maxAlerts {
		var a Alert
		start := p.at
		if !p.alert(&a) {
			return false
		}
		if len(*to) == 0 {
			// Alerts of a message have about the same size.
			*to = slices.Grow(*to, min((len(p.text)-start)/(p.at-start)+1, p.maxAlerts))
		}
		*to = append(*to, a)
		if !p.next(',') {
			return p.next(']')
		}
	}
	return false
}

// alert reads an alert.
func (p *parser) alert(a *Alert) bool {
	p.alertNames = 0
	if !p.next('{') {
		return false
	}
	for first := true; !p.next('}'); first = false {
		if name, ok := p.name(first); !ok || !p.alertField(a, name) {
			return false
		}
	}
	return true
}

// alertField reads the value of a field of an alert.
func (p *parser) alertField(a *Alert, name []byte) bool {
	switch string(name) {
	case "status":
		return p.alertNames.add(0) && p.string((*string)(&a.Status))
	case "labels":
		return p.alertNames.add(1) && p.labelsOf(&a.Labels, &p.labels)
	case "annotations":
		return p.alertNames.add(2) && p.labelsOf(&a.Annotations, &p.annotations)
	case "startsAt":
		return p.alertNames.add(3) && p.time(&a.StartsAt)
	case "endsAt":
		return p.alertNames.add(4) && p.time(&a.EndsAt)
	case "generatorURL":
		return p.alertNames.add(5) && p.string(&a.GeneratorURL)
	case "fingerprint":
		return p.alertNames.add(6) && p.string(&a.Fingerprint)
	default:
		return false
	}
}

// labelsOf reads labels. If they equal the last ones, the set is the same.
func (p *parser) labelsOf(to *grouping.Labels, last *lastLabels) bool {
	if !p.next('{') {
		return false
	}
	var buffer [usualLabels]string
	values, same := append(buffer[:0], make([]string, len(last.order))...), true
	for n, at := range last.order {
		name, value := last.set.At(at)
		start := p.at
		text, ok := p.name(n == 0)
		if !ok || string(text) != name {
			p.at = start
			return p.otherLabels(to, last, values, n)
		}
		if text, ok = p.quoted(); !ok {
			return false
		}
		if string(text) != value {
			value, same = grouping.Intern(text), false
		}
		values[at] = value
	}
	if !p.next('}') {
		return p.otherLabels(to, last, values, len(values))
	}
	if !same {
		last.set = last.set.WithValues(slices.Clone(values))
	}
	*to = last.set
	return true
}

// otherLabels reads labels whose names are not those of the last ones. The first n of them are read, and
// their values are among those in the order of the names.
func (p *parser) otherLabels(to *grouping.Labels, last *lastLabels, values []string, n int) bool {
	var buffer, sorted [usualLabels]grouping.Label
	list := buffer[:0]
	for _, at := range last.order[:n] {
		name, _ := last.set.At(at)
		list = append(list, grouping.Label{Name: name, Value: values[at]})
	}
	for !p.next('}') {
		text, ok := p.name(len(list) == 0)
		if !ok {
			return false
		}
		label := grouping.Label{Name: grouping.Intern(text)}
		if text, ok = p.quoted(); !ok {
			return false
		}
		label.Value = grouping.Intern(text)
		list = append(list, label)
	}
	set, order := grouping.LabelsOf(append(sorted[:0], list...)), last.order[:0]
	if set.Len() < len(list) {
		return false // a name is repeated
	}
	for _, label := range list {
		at, _ := slices.BinarySearch(set.Names(), label.Name)
		order = append(order, at)
	}
	last.set, last.order, *to = set, order, set
	return true
}

// string reads a string.
func (p *parser) string(to *string) bool {
	text, ok := p.quoted()
	if ok {
		*to = grouping.Intern(text)
	}
	return ok
}

// noEnd is the end of a firing alert: the zero time.
const noEnd = "0001-01-01T00:00:00Z"

// time reads a time in the form of RFC 3339.
func (p *parser) time(to *time.Time) bool {
	text, ok := p.quoted()
	if string(text) == noEnd {
		return true
	}
	return ok && to.UnmarshalText(text) == nil && isStrictTime(text)
}

// isStrictTime returns false for what package time accepts although RFC 3339 does not:
// an hour of one digit, a comma before a fraction, and a zone out of range.
func isStrictTime(text []byte) bool {
	const hourEnd, secondEnd = len("2006-01-02T15"), len("2006-01-02T15:04:05")
	if text[hourEnd] != ':' || text[secondEnd] == ',' {
		return false
	}
	hour, minute := text[len(text)-len("07:00"):], text[len(text)-len("00"):]
	return text[len(text)-1] == 'Z' || string(hour) < "24" && string(minute) < "60"
}

// number reads a whole number of at most 18 digits, which always fits.
func (p *parser) number(to *uint64) bool {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		*to = *to*10 + uint64(p.text[p.at]-'0')
		p.at++
	}
	digits := p.at - start
	return digits == 1 || digits > 1 && digits <= 18 && p.text[start] != '0'
}
