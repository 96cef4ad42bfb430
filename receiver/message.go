package receiver

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/grouping"
	"muster/internal/reply"
	"muster/internal/wire"
)

// Supported versions of the webhook message.
const (
	versionAlertmanager = "4"
	versionGrafana      = "1"
)

// messageError describes an invalid body and the field that is wrong. A retry
// cannot help.
type messageError struct {
	where    string // "alerts[3].startsAt"; "": the whole body
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

// decoder decodes messages with at most maxAlerts alerts. An alert has at most
// maxLabels labels and at most maxLabels annotations.
type decoder struct {
	maxAlerts, maxLabels int

	strict *json.Unmarshalers
}

func newDecoder(maxAlerts, maxLabels int) *decoder {
	d := &decoder{maxAlerts: maxAlerts, maxLabels: maxLabels}
	d.strict = json.UnmarshalFromFunc(d.decodeAlert)
	return d
}

// decode decodes a body. Field names are case-sensitive, duplicate names are an
// error and unknown names are ignored. Invalid alerts are rejected one by one
// if the body also has valid alerts.
func (d *decoder) decode(body []byte) (*wire.Message, rejectedAlerts, error) {
	if m, ok := d.decodeUsual(body); ok {
		return m, rejectedAlerts{}, nil
	}
	return d.decodeAny(body)
}

// decodeUsual decodes a valid body in the form that Alertmanager sends. It needs less
// than half the time of decodeAny.
func (d *decoder) decodeUsual(body []byte) (*wire.Message, bool) {
	m, ok := wire.Parse(body, d.maxAlerts)
	if !ok || validateMessage(m) != nil {
		return nil, false
	}
	for i := range m.Alerts {
		if validateAlert(&m.Alerts[i]) != nil {
			return nil, false
		}
	}
	return m, true
}

// decodeAny decodes a body of any form, and says what is wrong with it.
func (d *decoder) decodeAny(body []byte) (*wire.Message, rejectedAlerts, error) {
	var m wire.Message
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

// validateMessage checks the fields of the message itself, not those of its
// alerts.
func validateMessage(m *wire.Message) error {
	switch {
	case m.Data == nil:
		return messageErrorf("", "the body is not a notification")
	case m.Version != versionAlertmanager && m.Version != versionGrafana:
		return messageErrorf("version", "is %s, must be %q (Alertmanager) or %q (Grafana)",
			reply.Quoted(m.Version), versionAlertmanager, versionGrafana)
	case m.GroupKey == "":
		return messageErrorf("groupKey", "is missing")
	case len(m.Alerts) == 0:
		return messageErrorf("alerts", "is empty, must have at least one alert")
	}
	return nil
}

// decodeAlert decodes and validates one alert, and stops at the first invalid
// one. A body that only repeats {} would otherwise use forty times its size for
// alerts before they are validated.
func (d *decoder) decodeAlert(dec *jsontext.Decoder, a *wire.Alert) error {
	type plain wire.Alert
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
	return &messageError{where: "alerts", what: fmt.Sprintf("exceeds the limit of %d alerts", d.maxAlerts), tooLarge: true}
}

// notifiedAlerts are lists of alerts whose memory is used again.
var notifiedAlerts sync.Pool

// maxPooledAlerts is the maximum number of alerts of such a list.
const maxPooledAlerts = 256

// recycleAlerts makes the memory of the list available to later notifications.
func recycleAlerts(alerts []grouping.NotifiedAlert) {
	if cap(alerts) <= maxPooledAlerts {
		clear(alerts)
		notifiedAlerts.Put(&alerts)
	}
}

// newAlerts returns an empty list with room for n alerts.
func newAlerts(n int) []grouping.NotifiedAlert {
	if alerts, ok := notifiedAlerts.Get().(*[]grouping.NotifiedAlert); ok && cap(*alerts) >= n {
		return (*alerts)[:0]
	}
	return make([]grouping.NotifiedAlert, 0, n)
}

// notification converts a message to the domain type. Alerts with too many
// labels are rejected and added to out.
func (d *decoder) notification(m *wire.Message, source string, out *rejectedAlerts) grouping.Notification {
	n := grouping.Notification{
		Key:    grouping.Key{Source: source, Receiver: grouping.UnquoteReceiver(m.Receiver), GroupKey: m.GroupKey},
		Alerts: newAlerts(len(m.Alerts)), GroupLabels: m.GroupLabels,
		CommonLabels: m.CommonLabels, CommonAnnotations: m.CommonAnnotations, RouteLabels: m.RouteLabels,
		ExternalURL: m.ExternalURL, Reason: m.NotificationReason, Truncated: m.TruncatedAlerts,
	}
	for i := range m.Alerts {
		a := &m.Alerts[i]
		if a.Labels.Len() > d.maxLabels || a.Annotations.Len() > d.maxLabels {
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

// validateAlert checks the status and the times of an alert.
func validateAlert(a *wire.Alert) *messageError {
	if a.Status != grouping.StatusFiring && a.Status != grouping.StatusResolved {
		return &messageError{where: "status", what: fmt.Sprintf("is %s, must be %q or %q",
			reply.Quoted(string(a.Status)), grouping.StatusFiring, grouping.StatusResolved)}
	}
	if a.StartsAt.IsZero() {
		return &messageError{where: "startsAt", what: "is missing"}
	}
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"startsAt", a.StartsAt}, {"endsAt", a.EndsAt}} {
		if t.name == "endsAt" && a.Status == grouping.StatusFiring {
			continue // the end of a firing alert is ignored
		}
		// The time offset can move a valid year out of the range that can be
		// encoded.
		if y := t.at.UTC().Year(); y < 0 || y > 9999 {
			return &messageError{where: t.name, what: "must be between the years 0 and 9999 in UTC"}
		}
	}
	return nil
}

// notifiedAlert converts an alert to the domain type. It converts times to UTC,
// because senders use the offset of their own zone.
func notifiedAlert(a *wire.Alert) grouping.NotifiedAlert {
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

// describeError converts an error of the decoder to a messageError.
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
			what = "is a duplicate name"
		case strings.Contains(syntax.Error(), "invalid UTF-8"):
			what = "is not valid UTF-8"
		case strings.Contains(syntax.Error(), "exceeded max depth"):
			what = "is nested too deeply"
		case strings.Contains(syntax.Error(), "unexpected EOF"):
			what = "is incomplete"
		case strings.Contains(syntax.Error(), "after top-level value"):
			return messageErrorf("", "the body has more data after the JSON value at byte %d", syntax.ByteOffset)
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
			return messageErrorf("", "the body must be a JSON object, not a JSON %s", jsonKind(semantic.JSONKind))
		case len(semantic.JSONValue) > 0 && semantic.JSONKind == jsontext.KindNumber:
			return messageErrorf(where, "must not be the number %s", reply.Quoted(string(semantic.JSONValue)))
		default:
			return messageErrorf(where, "must not be a JSON %s", jsonKind(semantic.JSONKind))
		}
	default:
		return messageErrorf("", "the body is invalid")
	}
}

// maxFieldPath is the maximum size of a field path in bytes. The inner part of
// a deeply nested path does not help.
const maxFieldPath = 60

// fieldPath converts a JSON pointer: /alerts/3/startsAt becomes
// alerts[3].startsAt.
func fieldPath(p jsontext.Pointer) string {
	var b strings.Builder
	for part := range p.Tokens() {
		if reply.JSONSize(b.String()) > maxFieldPath {
			b.WriteString("…")
			break
		}
		if _, err := strconv.Atoi(part); err == nil && b.Len() > 0 {
			fmt.Fprintf(&b, "[%s]", part)
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		if len(part) <= maxSimpleName && simpleName.MatchString(part) {
			b.WriteString(part)
		} else {
			b.WriteString(reply.Quoted(part))
		}
	}
	return b.String()
}

var timeType = reflect.TypeFor[time.Time]()

var simpleName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

const maxSimpleName = 64

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
