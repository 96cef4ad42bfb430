package grouping

import (
	"maps"
	"time"
)

// alertmanagerRecords are the Alertmanagers of a source. The key of a record is the
// external URL of its Alertmanager.
var alertmanagerRecords = sourceRecords[Alertmanager, *Alertmanager]{
	"am:", func(d *SourceDocument) *map[string]*Alertmanager { return &d.Alertmanagers },
}

// Alertmanager is one Alertmanager of a source, as its API reported it. It is immutable.
type Alertmanager struct {
	ExternalURL string `json:"externalURL"` // or the URL at which it is polled

	// Version is its version, and StartedAt the time of its last start.
	Version   string    `json:"version,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`

	// PolledAt is the time of the last successful poll.
	PolledAt time.Time `json:"polledAt,omitzero"`

	// Failed is the number of failed notifications since its start, by integration.
	Failed map[string]uint64 `json:"failed,omitempty"`

	// Stamp is the stamp of the write that last changed the record.
	Stamp Stamp `json:"-"`
	// Unknown holds unknown stored fields, as in an Alert.
	Unknown string `json:"-"`
}

func (a *Alertmanager) stampedFields() stampedFields {
	return stampedFields{&a.ExternalURL, &a.Stamp, &a.Unknown}
}

// Equal reports whether both records are equal in every field, including stamps.
func (a *Alertmanager) Equal(o *Alertmanager) bool {
	return a.ExternalURL == o.ExternalURL && a.Stamp == o.Stamp && a.Unknown == o.Unknown && a.Version == o.Version &&
		a.StartedAt.Equal(o.StartedAt) && a.PolledAt.Equal(o.PolledAt) && maps.Equal(a.Failed, o.Failed)
}
