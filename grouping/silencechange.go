package grouping

import (
	"errors"
	"fmt"
)

// ErrSilencing is for errors.Is: an Alertmanager did not do what a person asked for. The types
// below say why.
var ErrSilencing = errors.New("the silence was not changed")

// SilenceAnswer is an answer of an Alertmanager to a change of a silence, as it came.
type SilenceAnswer struct {
	Alertmanager string // its host, which says nothing secret
	Status       int
	ContentType  string
	Body         []byte
}

// SilenceRefusedError means that an Alertmanager answered that it does not do it.
type SilenceRefusedError struct {
	SilenceAnswer

	Text string // what it said, as text
}

func (e *SilenceRefusedError) Error() string {
	return fmt.Sprintf("%s answered %d: %s", e.Alertmanager, e.Status, e.Text)
}

// Is makes errors.Is(err, ErrSilencing) true.
func (*SilenceRefusedError) Is(target error) bool { return target == ErrSilencing }

// SilenceFailedError means that no Alertmanager answered. Its text is a sentence for the person.
type SilenceFailedError struct {
	Text string
	// Unknown is true if an Alertmanager may have done it nevertheless.
	Unknown bool
	Err     error
}

func (e *SilenceFailedError) Error() string { return e.Text }

// Unwrap returns the cause.
func (e *SilenceFailedError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrSilencing) true.
func (*SilenceFailedError) Is(target error) bool { return target == ErrSilencing }
