package receiver

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/grouping"
	"muster/internal/webhook"
)

// The versions of the message that are understood.
const (
	versionAlertmanager = "4"
	versionGrafana      = "1"
)

// messageError says what is wrong with a body, and where. No retry mends it.
type messageError struct {
	where    string // "alerts[3].startsAt"; "" for the whole body
	what     string
	tooLarge bool
}

func (e *messageError) Error() string {
	if e.where == "" {
		return e.what
	}
	return e.where + ": " + e.what
}

func messageErrorf(where, format string, args ...any) error {
	return &messageError{where: where, what: fmt.Sprintf(format, args...)}
}

// decoder reads messages of no more than so many alerts, each of no more than
// so many labels and annotations.
type decoder struct {
	maxAlerts, maxLabels int

	strict *json.Unmarshalers
}

func newDecoder(maxAlerts, maxLabels int) *decoder {
	d := &decoder{maxAlerts: maxAlerts, maxLabels: maxLabels}
	d.strict = json.UnmarshalFromFunc(d.decodeAlert)
	return d
}

// message reads a body. Names are matched as they are written, a name that is
// there twice is an error, unknown ones are ignored. Alerts that cannot be taken
// are left out, if there are others.
func (d *decoder) decode(body []byte) (*webhook.Message, rejectedAlerts, error) {
	var m webhook.Message
	err := json.Unmarshal(body, &m, json.WithUnmarshalers(d.strict))
	if err != nil {
		err = describeError(err, body)
		kept, out, lenientErr := d.decodeLenient(body)
		if tooLarge, ok := errors.AsType[*messageError](lenientErr); ok && tooLarge.tooLarge {
			return nil, rejectedAlerts{}, tooLarge
		}
		if lenientErr != nil || kept.Data == nil || len(kept.Alerts) == 0 {
			return nil, rejectedAlerts{}, err
		}
		return kept, out, validateMessage(kept)
	}
	return &m, rejectedAlerts{}, validateMessage(&m)
}

// checkMessage says what a message lacks apart from its alerts' own fields.
func validateMessage(m *webhook.Message) error {
	switch {
	case m.Data == nil:
		return messageErrorf("", "the body holds no notification")
	case m.Version != versionAlertmanager && m.Version != versionGrafana:
		return messageErrorf("version", "is %s, understood are %q (Alertmanager) and %q (Grafana)",
			quoted(m.Version), versionAlertmanager, versionGrafana)
	case m.GroupKey == "":
		return messageErrorf("groupKey", "is missing")
	case len(m.Alerts) == 0:
		return messageErrorf("alerts", "is empty: a notification lists at least one alert")
	}
	return nil
}

// alert refuses an alert as soon as it is read: a body of nothing but {} would
// fill forty times its size with alerts before the first one is looked at.
func (d *decoder) decodeAlert(dec *jsontext.Decoder, a *webhook.Alert) error {
	type plain webhook.Alert
	if _, before := dec.StackIndex(dec.StackDepth()); before >= int64(d.maxAlerts) {
		return d.tooManyAlerts()
	}
	if err := json.UnmarshalDecode(dec, (*plain)(a)); err != nil {
		return err
	}
	if err := validateAlert(a); err != nil {
		err.where = fieldPath(dec.StackPointer()) + "." + err.where
		return err
	}
	return nil
}

func (d *decoder) tooManyAlerts() error {
	return &messageError{where: "alerts", what: fmt.Sprintf("lists more than %d alerts", d.maxAlerts), tooLarge: true}
}

// notification translates the message into the domain's words. Alerts with too
// many labels are left out.
func (d *decoder) notification(m *webhook.Message, source string, out *rejectedAlerts) grouping.Notification {
	n := grouping.Notification{
		Key:    grouping.Key{Source: source, Receiver: unquoteMeta(m.Receiver), GroupKey: m.GroupKey},
		Alerts: make([]grouping.NotifiedAlert, 0, len(m.Alerts)), GroupLabels: m.GroupLabels,
		CommonLabels: m.CommonLabels, CommonAnnotations: m.CommonAnnotations, RouteLabels: m.RouteLabels,
		ExternalURL: m.ExternalURL, Reason: m.NotificationReason, Truncated: m.TruncatedAlerts,
	}
	for i := range m.Alerts {
		a := &m.Alerts[i]
		if len(a.Labels) > d.maxLabels || len(a.Annotations) > d.maxLabels {
			out.addTooManyLabels(a, d.maxLabels)
			continue
		}
		na := notifiedAlert(a)
		if m.Version == versionGrafana {
			na.Grafana = grafanaFields(a.Grafana)
		}
		n.Alerts = append(n.Alerts, na)
	}
	n.Truncate(out.count)
	return n
}

// checkAlert says what an alert lacks.
func validateAlert(a *webhook.Alert) *messageError {
	if a.Status != grouping.StatusFiring && a.Status != grouping.StatusResolved {
		return &messageError{where: "status", what: fmt.Sprintf("is %s, must be %q or %q",
			quoted(string(a.Status)), grouping.StatusFiring, grouping.StatusResolved)}
	}
	if a.StartsAt.IsZero() {
		return &messageError{where: "startsAt", what: "is missing"}
	}
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"startsAt", a.StartsAt}, {"endsAt", a.EndsAt}} {
		if t.name == "endsAt" && a.Status == grouping.StatusFiring {
			continue // an alert that fires has no end, whatever is sent
		}
		// Its offset can push a legal year out of what can be written again.
		if y := t.at.UTC().Year(); y < 0 || y > 9999 {
			return &messageError{where: t.name, what: "is not between the years 0 and 9999 in UTC"}
		}
	}
	return nil
}

// notifiedAlert is an alert in the domain's words. Its times are in UTC: senders
// write them with the offset of their own zone.
func notifiedAlert(a *webhook.Alert) grouping.NotifiedAlert {
	na := grouping.NotifiedAlert{
		Fingerprint: grouping.Fingerprint(a.Fingerprint), Status: a.Status, Labels: a.Labels, Annotations: a.Annotations,
		GeneratorURL: a.GeneratorURL, StartsAt: a.StartsAt.UTC(), EndsAt: a.EndsAt.UTC(),
	}
	if na.Status == grouping.StatusFiring {
		na.EndsAt = time.Time{}
	}
	if !na.Fingerprint.Valid() {
		na.Fingerprint = na.Labels.Fingerprint()
	}
	return na
}

// unquoteMeta undoes regexp.QuoteMeta, in which Alertmanager sends the
// receiver's name.
func unquoteMeta(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && regexp.QuoteMeta(s[i+1:i+2]) != s[i+1:i+2] {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// maxQuoted keeps what a client sent from filling an answer, which Alertmanager
// writes into its log whole. It is in bytes of that answer.
const maxQuoted = 40

func quoted(s string) string {
	size := 0
	for i := 0; i < len(s); {
		_, width := utf8.DecodeRuneInString(s[i:])
		if size += jsonSize(strconv.QuoteToGraphic(s[i:i+width])) - jsonSize(`""`); size > maxQuoted {
			return strconv.QuoteToGraphic(s[:i] + "…")
		}
		i += width
	}
	return strconv.QuoteToGraphic(s)
}

// wireSize is how many bytes a text takes in an answer: in JSON, in which gin
// escapes what would be HTML, too.
func jsonSize(s string) (size int) {
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			size += 2
		case r < ' ' || strings.ContainsRune("<>&\u2028\u2029", r):
			size += len(`\u003c`)
		default:
			size += utf8.RuneLen(r)
		}
	}
	return size
}

// describe says what a decoder's error means, and where.
func describeError(err error, body []byte) error {
	var (
		syntax   *jsontext.SyntacticError
		semantic *json.SemanticError
		alert    *messageError
	)
	switch {
	case errors.As(err, &alert):
		return alert
	case errors.As(err, &syntax):
		what := "is not JSON"
		switch {
		case len(body) == 0:
			return messageErrorf("", "the body is empty")
		case errors.Is(syntax.Err, jsontext.ErrDuplicateName):
			what = "is there twice"
		case strings.Contains(syntax.Error(), "invalid UTF-8"):
			what = "is not valid UTF-8"
		case strings.Contains(syntax.Error(), "exceeded max depth"):
			what = "is nested too deeply"
		case strings.Contains(syntax.Error(), "unexpected EOF"):
			what = "ends too early"
		case strings.Contains(syntax.Error(), "after top-level value"):
			return messageErrorf("", "more follows the JSON value at byte %d", syntax.ByteOffset)
		}
		if where := fieldPath(syntax.JSONPointer); where != "" {
			return messageErrorf(where, "%s at byte %d", what, syntax.ByteOffset)
		}
		return messageErrorf("", "the body %s at byte %d", what, syntax.ByteOffset)
	case errors.As(err, &semantic):
		where := fieldPath(semantic.JSONPointer)
		var parse *time.ParseError
		switch {
		case errors.As(err, &parse) || semantic.GoType != nil && semantic.GoType == timeType:
			return messageErrorf(where, "is not an RFC 3339 time")
		case where == "":
			return messageErrorf("", "the body is a JSON %s, not an object", jsonKind(semantic.JSONKind))
		case len(semantic.JSONValue) > 0 && semantic.JSONKind == jsontext.KindNumber:
			return messageErrorf(where, "the number %s is not allowed here", quoted(string(semantic.JSONValue)))
		default:
			return messageErrorf(where, "a JSON %s is not allowed here", jsonKind(semantic.JSONKind))
		}
	default:
		return messageErrorf("", "the body cannot be read")
	}
}

// maxPlace bounds the name of a place: the inside of what is nested deeply helps
// nobody.
const maxFieldPath = 60

// place translates a JSON pointer: /alerts/3/startsAt to alerts[3].startsAt.
func fieldPath(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		if jsonSize(b.String()) > maxFieldPath {
			b.WriteString("…")
			break
		}
		if _, err := strconv.Atoi(token); err == nil && b.Len() > 0 {
			fmt.Fprintf(&b, "[%s]", token)
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		if simpleName.MatchString(token) {
			b.WriteString(token)
		} else {
			b.WriteString(quoted(token))
		}
	}
	return b.String()
}

var timeType = reflect.TypeFor[time.Time]()

var simpleName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

func jsonKind(k jsontext.Kind) string {
	switch k {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "boolean"
	case jsontext.KindString:
		return "string"
	case jsontext.KindNumber:
		return "number"
	case jsontext.KindBeginArray:
		return "array"
	case jsontext.KindBeginObject:
		return "object"
	default:
		return "value"
	}
}
