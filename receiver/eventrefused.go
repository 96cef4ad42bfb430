package receiver

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/internal/reply"
	"muster/internal/wire"
)

// The reasons to refuse a single event: values of a metric label.
const (
	eventRefusedType      = "type"      // this version does not know it
	eventRefusedMalformed = "malformed" // a field is missing or has the wrong type
	eventRefusedLabels    = "labels"    // too many labels or annotations
	eventRefusedTime      = "time"      // missing, impossible, or far ahead
	eventRefusedSize      = "size"      // a text or a list is too long
)

func eventRefusalReasons() []string {
	return []string{eventRefusedType, eventRefusedMalformed, eventRefusedLabels, eventRefusedTime, eventRefusedSize}
}

// eventError describes an event that is refused. It repeats nothing that the event says but
// names of types, fields and labels.
type eventError struct {
	reason string
	where  string // "silenceCreated.silence.comment"; "": the whole event
	what   string
}

func refuseEvent(reason, where, format string, args ...any) *eventError {
	return &eventError{reason, where, fmt.Sprintf(format, args...)}
}

func (e *eventError) text() string {
	if e.where == "" {
		return e.what
	}
	return e.where + ": " + e.what
}

// describeEventError converts the error of an event that cannot be decoded.
func describeEventError(err error) *eventError {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		what := "is not JSON"
		switch {
		case errors.Is(syntax.Err, jsontext.ErrDuplicateName):
			what = "is a duplicate name"
		case strings.Contains(syntax.Error(), "invalid UTF-8"):
			what = "is not valid UTF-8"
		}
		return &eventError{eventRefusedMalformed, eventField(syntax.JSONPointer), what}
	}
	shape, isShape := errors.AsType[*wire.ShapeError](err)
	semantic, isSemantic := errors.AsType[*json.SemanticError](err)
	switch {
	case isShape && !isSemantic:
		return &eventError{eventRefusedMalformed, "", shape.What}
	case !isSemantic:
		return &eventError{eventRefusedMalformed, "", "is invalid"}
	}
	_, isTime := errors.AsType[*time.ParseError](err)
	where := eventField(semantic.JSONPointer)
	switch {
	case isShape:
		return &eventError{eventRefusedMalformed, where, shape.What}
	case isTime || semantic.GoType == timeType:
		return &eventError{eventRefusedTime, where, "is not an RFC 3339 time"}
	default:
		return &eventError{eventRefusedMalformed, where, "must not be a JSON " + jsonKind(semantic.JSONKind)}
	}
}

// eventField converts a JSON pointer into an event to the path of a field. Every event has
// its type in "data", so the path begins with the type.
func eventField(p jsontext.Pointer) string {
	if p == "/@timestamp" {
		return "@timestamp"
	}
	return strings.TrimPrefix(fieldPath(p), "data.")
}

// unknownType describes an event of a type that this version does not know.
func unknownType(name string) *eventError {
	return refuseEvent(eventRefusedType, "", "the type %s is not known to this version", reply.Quoted(name))
}

// refusedEvents collects the refused events of one body. The others are kept.
type refusedEvents struct {
	count    int
	byReason map[string]int
	details  []string // where and what of the first ones, for the answer
	texts    []string // the same without their places in the body, for the status page
}

func (r *refusedEvents) add(index int, err *eventError) {
	if r.byReason == nil {
		r.byReason = map[string]int{}
	}
	r.count++
	r.byReason[err.reason]++
	if len(r.details) < maxRejectedDetails {
		r.details = append(r.details, fmt.Sprintf("events[%d]: %s", index, err.text()))
		r.texts = append(r.texts, err.text())
	}
}
