package grouping

import (
	"cmp"
	"fmt"
	"slices"
)

// Document is what a storage keeps under one ID: an *AlertGroup or a *SourceDocument. A
// storage that has nothing under an ID has a nil Document. A storage uses these methods
// and the functions below only. So it moves records, and does not know what they say.
type Document interface {
	// DocumentID returns the ID.
	DocumentID() ID

	// Header returns what a storage needs to know about a document.
	Header() Header

	// AppendHead adds the text of its HeadRecord to a buffer.
	AppendHead(buffer []byte) ([]byte, error)

	// IsTombstone reports whether the document has no records of its own, because it
	// was deleted or never stored.
	IsTombstone() bool

	// Ends reports whether the document is deleted if nobody writes to it for a while.
	Ends() bool

	// WithCounters returns the document with other counters for display.
	WithCounters(version, notifications int64) Document

	// Prune returns the document without old tombstones of records: those that exceeded
	// their retention at the last write, and the oldest if there are too many.
	Prune() Document
}

// Header has the parts of a document that are not records, and the stamp of its head.
type Header struct {
	Stamp, Deleted         Stamp
	Version, Notifications int64
}

// DocumentID implements Document.
func (g *AlertGroup) DocumentID() ID { return g.ID }

// Header implements Document.
func (g *AlertGroup) Header() Header { return Header{g.Stamp, g.Deleted, g.Version, g.Notifications} }

// Ends implements Document. Only a resolved group exceeds its retention.
func (g *AlertGroup) Ends() bool { return g.State == StateResolved }

// WithCounters implements Document.
func (g *AlertGroup) WithCounters(version, notifications int64) Document {
	next := *g
	next.Version, next.Notifications = version, notifications
	return &next
}

// Prune implements Document.
func (g *AlertGroup) Prune() Document { return g.PruneRemovals() }

// AsGroup returns a document as a group, or nil if it is not a group.
func AsGroup(d Document) *AlertGroup { g, _ := d.(*AlertGroup); return g }

// AsSource returns a document as that of a source, or nil if it is not one.
func AsSource(d Document) *SourceDocument { s, _ := d.(*SourceDocument); return s }

// EmptyDocument returns the document with the ID as it is if nothing is stored.
func EmptyDocument(id ID) Document {
	if id.IsSource() {
		return newSourceDocument(id)
	}
	return &AlertGroup{ID: id}
}

// MergeDocuments merges two states of one document, like Merge and MergeSources. Either may
// be nil.
func MergeDocuments(a, b Document) Document {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.DocumentID().IsSource():
		return MergeSources(AsSource(a), AsSource(b))
	}
	return Merge(AsGroup(a), AsGroup(b))
}

// EqualDocuments reports whether both documents have equal records, including stamps.
// It ignores the counters for display. Either may be nil.
func EqualDocuments(a, b Document) bool {
	switch {
	case a == nil || b == nil:
		return a == b
	case a.DocumentID().IsSource():
		return AsSource(a).Equal(AsSource(b))
	}
	return AsGroup(a).Equal(AsGroup(b))
}

// StoredDocument is a document as a storage keeps it.
type StoredDocument struct {
	ID ID
	Header
	// Records are its records: all of them, or some.
	Records []StoredRecord
}

// StoredRecord is a record as a storage keeps it. The domain does not keep the text, so the
// storage may use its memory again after the record was decoded.
type StoredRecord struct {
	Name string
	Text []byte
}

// Decode returns the document. It ignores records of unknown kinds, which a later
// version may add. An error is a *DamagedGroupError.
func (s StoredDocument) Decode() (Document, error) {
	if s.ID.IsSource() {
		return s.decodeSource()
	}
	g, err := s.decodeGroup(nil)
	if err != nil {
		return nil, err
	}
	return g, nil
}

// decodeGroup returns a group. It has the known alerts besides those of the records.
func (s StoredDocument) decodeGroup(known []*Alert) (*AlertGroup, error) {
	g := &AlertGroup{
		ID: s.ID, Deleted: s.Deleted, Version: s.Version, Notifications: s.Notifications,
		Alerts: slices.Grow(known, max(0, len(s.Records)-1)), Removed: map[Fingerprint]Stamp{},
	}
	if err := decodeDocument(groupKinds, g, s.Records, decodeHead); err != nil {
		return nil, &DamagedGroupError{ID: s.ID, Err: err}
	}
	for _, kind := range groupKinds {
		kind.dropDeleted(g)
	}
	if !g.IsTombstone() { // a tombstone has no derived fields
		g.derive()
	}
	return g, nil
}

func (s StoredDocument) decodeSource() (Document, error) {
	d := newSourceDocument(s.ID)
	d.Version = s.Version
	if err := decodeDocument(sourceKinds, d, s.Records, decodeSourceHead); err != nil {
		return nil, &DamagedGroupError{ID: s.ID, Err: err}
	}
	return d, nil
}

// decodeDocument adds the records to a document.
func decodeDocument[T any, K recordKind[T]](kinds []K, d *T, records []StoredRecord, head func(d *T, text []byte) error) (err error) {
	for _, r := range records {
		if r.Name == HeadRecord {
			err = head(d, r.Text)
		} else {
			err = decodeRecord(kinds, d, r.Name, r.Text)
		}
		if err != nil {
			return fmt.Errorf("field %s: %w", r.Name, err)
		}
	}
	return nil
}

// Write is one write to one document, as a storage gets it: a Change or a SourceChange.
type Write struct {
	// Next is the new state of the document, or nil to delete it. Base is the state that
	// the writer started from, or nil if there was no document.
	Next, Base Document

	// The other fields are those of a Change.
	Stamp               Stamp
	Events, Changed     []Event
	Contents            ContentTexts
	Notified            int
	Exclusive, Deferred bool
	// DurableOnly is true if the write is of no use unless it survives this process. A storage
	// with a working copy and a backend then fails if the backend fails. Other storages ignore
	// it.
	DurableOnly bool
}

// ID returns the ID of the document that is written.
func (w *Write) ID() ID {
	if w.Next != nil {
		return w.Next.DocumentID()
	}
	return w.Base.DocumentID()
}

// AllEvents returns the events of the write, including the changed ones.
func (w *Write) AllEvents() []Event {
	if len(w.Changed) == 0 {
		return w.Events
	}
	return slices.Concat(w.Events, w.Changed)
}

// OtherStamps returns the stamps of the events that are not that of the write, each one
// once.
func (w *Write) OtherStamps() (stamps []Stamp) {
	for _, events := range [][]Event{w.Events, w.Changed} {
		last := w.Stamp
		for i := range events {
			s := events[i].Stamp()
			if s != last && s != w.Stamp && !slices.Contains(stamps, s) {
				stamps = append(stamps, s)
			}
			last = s
		}
	}
	return stamps
}

// AppendRecords adds the records that the write changes if the stored ones have the
// expected stamps. The head is not one of them.
func (w *Write) AppendRecords(to *RecordWrites) error {
	if w.ID().IsSource() {
		return recordWrites(sourceKinds, cmp.Or(AsSource(w.Base), noSource), AsSource(w.Next), to)
	}
	return recordWrites(groupKinds, cmp.Or(AsGroup(w.Base), noGroup), AsGroup(w.Next), to)
}

// Conflicts reports whether the stored state of what the write changes differs from the
// base of the write. stored is nil if nothing is stored. It compares stamps and encodes
// nothing.
func (w *Write) Conflicts(stored Document) bool {
	if w.ID().IsSource() {
		return conflicts(w, sourceKinds, cmp.Or(AsSource(w.Base), noSource), AsSource(w.Next), cmp.Or(AsSource(stored), noSource))
	}
	base, next, held := cmp.Or(AsGroup(w.Base), noGroup), AsGroup(w.Next), cmp.Or(AsGroup(stored), noGroup)
	if conflicts(w, groupKinds, base, next, held) {
		return true
	}
	return next == nil && slices.ContainsFunc(groupKinds, func(kind groupRecordKind) bool { return !kind.sameStamps(base, held) })
}

// Stored returns the document as stored by the write: with counters, and with the head
// that was kept because it is newer. keptHead is "" if the head was written.
func (w *Write) Stored(version, notifications int64, keptHead string) (Document, error) {
	next := w.Next.WithCounters(version, notifications)
	if keptHead == "" {
		return next, nil
	}
	kept, err := StoredDocument{ID: w.ID(), Records: []StoredRecord{{HeadRecord, []byte(keptHead)}}}.Decode()
	if err != nil {
		return nil, err
	}
	return MergeDocuments(next, kept), nil
}
