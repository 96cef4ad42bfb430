package grouping

import (
	"math"
	"time"
)

// Notification is one delivery of one message about one group. The same
// message may be delivered again, and by several HA replicas.
type Notification struct {
	Key

	Alerts            []NotifiedAlert
	GroupLabels       Labels
	CommonLabels      Labels
	CommonAnnotations Labels
	RouteLabels       Labels
	ExternalURL       string // of the Alertmanager that sent it
	Reason            string // as sent; "" before Alertmanager 0.32
	Truncated         uint64 // number of alerts truncated from the message; 0: the message is complete

	// Stamp is the time of arrival. It is taken when the request is accepted,
	// before its body is read.
	Stamp Stamp
}

// Truncate adds to the number of alerts truncated from the message. The number
// comes from the wire, so the sum saturates instead of overflowing.
func (n *Notification) Truncate(alerts uint64) {
	if n.Truncated += alerts; n.Truncated < alerts {
		n.Truncated = math.MaxUint64
	}
}

// NotifiedAlert is an alert as a notification lists it.
type NotifiedAlert struct {
	Fingerprint      Fingerprint
	Status           Status // firing or resolved
	Labels           Labels
	Annotations      Labels
	GeneratorURL     string
	Grafana          *Grafana // nil unless Grafana sent it
	StartsAt, EndsAt time.Time
}
