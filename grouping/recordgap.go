package grouping

// gapRecords are the times in which no Muster was running. The key of a record is the begin of
// its gap. So if several processes find a gap at once, only one of them writes it.
var gapRecords = sourceRecords[RecordedGap, *RecordedGap]{
	"g:", func(d *SourceDocument) *map[string]*RecordedGap { return &d.Gaps },
}

// RecordedGap is the record of a gap. It is immutable.
type RecordedGap struct {
	Key string `json:"key"`
	Gap Gap    `json:"gap,omitzero"`

	// Stamp is the stamp of the write that last changed the record.
	Stamp Stamp `json:"-"`
	// Unknown holds unknown stored fields, as in an Alert.
	Unknown string `json:"-"`
}

func (g *RecordedGap) stampedFields() stampedFields {
	return stampedFields{&g.Key, &g.Stamp, &g.Unknown}
}

// Equal reports whether both records are equal in every field, including stamps.
func (g *RecordedGap) Equal(o *RecordedGap) bool {
	return g.Key == o.Key && g.Stamp == o.Stamp && g.Unknown == o.Unknown && g.Gap.equal(o.Gap)
}
