package grouping

import "time"

// lifeRecords are the processes of Muster. The key of a record is the writer ID of its
// process.
var lifeRecords = sourceRecords[Life, *Life]{
	"li:", func(d *SourceDocument) *map[string]*Life { return &d.Lives },
}

// Life says when one process of Muster lived. It is immutable.
type Life struct {
	Writer string `json:"writer"`

	// StartedAt is the time of its start, and LastAt that of its last sign of life.
	StartedAt time.Time `json:"startedAt,omitzero"`
	LastAt    time.Time `json:"lastAt,omitzero"`

	// Stamp is the stamp of the write that last changed the record.
	Stamp Stamp `json:"-"`
	// Unknown holds unknown stored fields, as in an Alert.
	Unknown string `json:"-"`
}

func (l *Life) stampedFields() stampedFields { return stampedFields{&l.Writer, &l.Stamp, &l.Unknown} }

// Equal reports whether both records are equal in every field, including stamps.
func (l *Life) Equal(o *Life) bool {
	return l.Writer == o.Writer && l.Stamp == o.Stamp && l.Unknown == o.Unknown &&
		l.StartedAt.Equal(o.StartedAt) && l.LastAt.Equal(o.LastAt)
}
