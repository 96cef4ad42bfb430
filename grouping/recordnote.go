package grouping

import (
	"cmp"
	"time"
)

// noteRecords are the notes of a group. The key of a record is the ID of its note. They are
// never changed, so two replicas that wrote at once keep all of them.
var noteRecords = groupRecords[Note, *Note]{"n:", func(g *AlertGroup) *[]*Note { return &g.Notes }, 0}

// Note is what a person wrote down about a group. It is immutable.
type Note struct {
	// ID is chosen by the client, so that a note that is sent twice is one note.
	ID string `json:"-"`
	Person

	At   time.Time `json:"at"`
	Text string    `json:"text"`

	// Stamp is the stamp of the record, like that of an Ack.
	Stamp Stamp `json:"-"`
	// Unknown holds unknown stored fields, as in an Alert.
	Unknown string `json:"-"`
}

func (n *Note) stampedFields() stampedFields { return stampedFields{&n.ID, &n.Stamp, &n.Unknown} }

func (n *Note) compare(o *Note) int { return cmp.Or(n.At.Compare(o.At), cmp.Compare(n.ID, o.ID)) }

// Equal reports whether both notes are equal in every field, including stamps.
func (n *Note) Equal(o *Note) bool {
	return n.ID == o.ID && n.Stamp == o.Stamp && n.Unknown == o.Unknown && n.Person == o.Person && n.At.Equal(o.At) && n.Text == o.Text
}
