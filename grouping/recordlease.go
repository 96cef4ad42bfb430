package grouping

import "time"

// leaseRecords are the leases of a source. The key of a record is the name of its lease.
var leaseRecords = sourceRecords[Lease, *Lease]{
	"l:", func(d *SourceDocument) *map[string]*Lease { return &d.Leases },
}

// pollingLease is the name of the lease of the Muster that polls the Alertmanagers.
const pollingLease = "poll"

// Lease says which of several Musters does something for a source. It is immutable.
type Lease struct {
	Name string `json:"name"`

	// Holder is the writer ID of the Muster, and RenewedAt the time of its last renewal.
	Holder    string    `json:"holder"`
	RenewedAt time.Time `json:"renewedAt,omitzero"`

	// Stamp is the stamp of the write that last changed the record.
	Stamp Stamp `json:"-"`
	// Unknown holds unknown stored fields, as in an Alert.
	Unknown string `json:"-"`
}

func (l *Lease) stampedFields() stampedFields { return stampedFields{&l.Name, &l.Stamp, &l.Unknown} }

// Equal reports whether both records are equal in every field, including stamps.
func (l *Lease) Equal(o *Lease) bool {
	return l.Name == o.Name && l.Stamp == o.Stamp && l.Unknown == o.Unknown && l.Holder == o.Holder && l.RenewedAt.Equal(o.RenewedAt)
}
