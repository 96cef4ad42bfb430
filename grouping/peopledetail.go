package grouping

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The maximum sizes of what people write.
const (
	// MaxTextLen is the maximum number of bytes of a note, also of that of an
	// acknowledgement.
	MaxTextLen = 4 << 10
	// MaxNotes is the maximum number of notes that people can add to a group.
	MaxNotes = 200
	// maxAcks is the maximum number of acknowledgements that a group keeps.
	maxAcks = 16
	// maxNoteID is the maximum length of the ID of a note, which a client chooses.
	maxNoteID = 64
)

// validate returns an *InvalidError if the person has no proper name.
func (p *Person) validate() error {
	if err := ValidateName(p.Name); err != nil {
		return &InvalidError{"by", err.Error()}
	}
	return nil
}

// validateText returns an *InvalidError if the text is too long, or is not text.
func validateText(field, text string) error {
	switch n := len(text); {
	case n > MaxTextLen:
		return &InvalidError{field, fmt.Sprintf("the text has %d bytes, the limit is %d", n, MaxTextLen)}
	case !utf8.ValidString(text):
		return &InvalidError{field, "the text is not valid UTF-8"}
	}
	return nil
}

// Closing says who closed a group, and when.
type Closing struct {
	Person

	At time.Time `json:"at"`
}

func equalClosing(x, y *Closing) bool {
	return x == y || x != nil && y != nil && x.Person == y.Person && x.At.Equal(y.At)
}

// PeopleDetail says what a person wrote: the detail of an acknowledged, an unacknowledged or
// a noted event, and of a closed event if a person closed the group.
type PeopleDetail struct {
	Person

	// Ack is the ID of the acknowledgement that is new or undone. Note is that of a new note.
	Ack  string `json:"ack,omitempty"`
	Note string `json:"note,omitempty"`
	// Text is that of the note, also of the acknowledgement's.
	Text  string    `json:"text,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// At is when the person wrote it, if that was before the event: another group had it.
	At time.Time `json:"at,omitzero"`
}

func (d *PeopleDetail) mentions(word string) bool {
	return strings.Contains(strings.ToLower(d.Name), word) || strings.Contains(strings.ToLower(d.Text), word)
}
