package grouping

import (
	"cmp"
	"maps"

	"github.com/go-json-experiment/json/jsontext"
)

// SourceDocument has what Muster knows about one source, beside its groups: what the
// Alertmanagers of the source said about silences and about themselves. Every source has
// at most one. It is stored by the same means as a group. It is immutable. Use
// NewSourceDocument and its methods to make one.
//
// The source without a name is Muster itself. No Alertmanager can have it. Its document says
// when Muster was running.
type SourceDocument struct {
	ID     ID
	Source string

	// Silences are the silences by their IDs. Alertmanagers are the Alertmanagers of the
	// source by their external URLs.
	Silences      map[string]*Silence
	Alertmanagers map[string]*Alertmanager
	// Leases say which Muster does what only one may do at a time, by their names.
	Leases map[string]*Lease
	// Lives are the processes of Muster by their writer IDs, and Gaps the times without one by
	// their begins. Only the document of Muster itself has them.
	Lives map[string]*Life
	Gaps  map[string]*RecordedGap

	// Removed holds the removal stamps of removed records for a while, by the names of
	// the records. So an older copy of the document does not restore them.
	Removed map[string]Stamp

	// Stamp is the stamp of the last write.
	Stamp Stamp
	// Unknown holds unknown stored fields, as in an Alert.
	Unknown string
	// Version is a counter for display only, as in an AlertGroup.
	Version int64
}

// NewSourceDocument returns the document of a source about which nothing is known.
func NewSourceDocument(source string) *SourceDocument {
	d := newSourceDocument(SourceID(source))
	d.Source = source
	return d
}

func newSourceDocument(id ID) *SourceDocument {
	return &SourceDocument{
		ID: id, Silences: map[string]*Silence{}, Alertmanagers: map[string]*Alertmanager{}, Leases: map[string]*Lease{},
		Lives: map[string]*Life{}, Gaps: map[string]*RecordedGap{}, Removed: map[string]Stamp{},
	}
}

// SourceChange is one write to the document of one source.
type SourceChange struct {
	// Source is the new state of the document. Base is the state that the writer started
	// from, or nil if there was no document.
	Source, Base *SourceDocument
	// Stamp is the stamp of the write.
	Stamp Stamp
	// Events are added to the history together with the write. They are events of the
	// source and of no group.
	Events []Event
	// Deferred is that of a Change.
	Deferred bool
	// DurableOnly is that of a Write.
	DurableOnly bool
}

// Write returns the change as a storage gets it. It removes old tombstones of records.
func (c *SourceChange) Write() Write {
	w := Write{Next: c.Source.Prune(), Stamp: c.Stamp, Events: c.Events, Deferred: c.Deferred, DurableOnly: c.DurableOnly}
	if c.Base != nil {
		w.Base = c.Base
	}
	return w
}

// WithSilences returns the document with new or changed silences, which are written at
// the stamp. It sets their Stamp.
func (d *SourceDocument) WithSilences(s Stamp, silences ...Silence) *SourceDocument {
	return silenceRecords.put(d, s, silences...)
}

// WithoutSilences returns the document without the silences with the IDs.
func (d *SourceDocument) WithoutSilences(s Stamp, ids ...string) *SourceDocument {
	return silenceRecords.remove(d, s, ids...)
}

// WithAlertmanagers returns the document with new or changed Alertmanagers, which are
// written at the stamp. It sets their Stamp.
func (d *SourceDocument) WithAlertmanagers(s Stamp, all ...Alertmanager) *SourceDocument {
	return alertmanagerRecords.put(d, s, all...)
}

// writtenAt returns a copy for a write at the stamp. The copy has its own map of
// removals.
func (d *SourceDocument) writtenAt(s Stamp) *SourceDocument {
	next := *d
	next.Stamp = s.supersedes(d.Stamp)
	next.Removed = maps.Clone(d.Removed)
	return &next
}

// MergeSources merges two states of the document of one source. Either may be nil. For
// each record, and for the document's own fields, the newest write wins by a total order.
// A record that was written at or before its removal is not restored. MergeSources is
// commutative, associative and idempotent, like Merge.
func MergeSources(a, b *SourceDocument) *SourceDocument {
	switch {
	case a == nil || a == b:
		return b
	case b == nil:
		return a
	}
	d := newSourceDocument(a.ID)
	d.Source, d.Stamp, d.Unknown = a.Source, a.Stamp, a.Unknown
	d.Version = max(a.Version, b.Version)
	if cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Unknown, b.Unknown)) < 0 {
		d.Source, d.Stamp, d.Unknown = b.Source, b.Stamp, b.Unknown
	}
	for _, kind := range sourceKinds {
		kind.merge(d, a, b)
	}
	return d
}

// Equal reports whether both documents have equal records, including stamps. It ignores
// the counter for display. Either document may be nil.
func (d *SourceDocument) Equal(o *SourceDocument) bool {
	if d == o {
		return true
	}
	if d == nil || o == nil || d.ID != o.ID || d.Source != o.Source || d.Stamp != o.Stamp || d.Unknown != o.Unknown ||
		!maps.Equal(d.Removed, o.Removed) {
		return false
	}
	for _, kind := range sourceKinds {
		if !kind.equal(d, o) {
			return false
		}
	}
	return true
}

// DocumentID implements Document.
func (d *SourceDocument) DocumentID() ID { return d.ID }

// Header implements Document.
func (d *SourceDocument) Header() Header { return Header{Stamp: d.Stamp, Version: d.Version} }

// IsTombstone implements Document. The document of a source is never deleted.
func (d *SourceDocument) IsTombstone() bool { return d.Stamp == "" }

// Ends implements Document.
func (d *SourceDocument) Ends() bool { return false }

// storedSource is the stored form of the document's own fields.
type storedSource struct {
	Source string `json:"source"`

	Unknown jsontext.Value `json:",embed"`
}

// AppendHead implements Document.
func (d *SourceDocument) AppendHead(buffer []byte) ([]byte, error) {
	return appendRecord(buffer, d.Stamp, storedSource{d.Source, jsontext.Value(d.Unknown)})
}

func decodeSourceHead(d *SourceDocument, text []byte) (err error) {
	var s storedSource
	d.Stamp, err = decodeText(text, &s)
	d.Source, d.Unknown = s.Source, string(s.Unknown)
	return err
}

// WithCounters implements Document.
func (d *SourceDocument) WithCounters(version, _ int64) Document {
	next := *d
	next.Version = version
	return &next
}

// Prune implements Document.
func (d *SourceDocument) Prune() Document {
	removed := pruneRemovals(d.Removed, d.Stamp)
	if len(removed) == len(d.Removed) {
		return d
	}
	next := *d
	next.Removed = removed
	return &next
}
