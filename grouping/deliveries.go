package grouping

import (
	"cmp"
	"slices"
	"time"
)

// Flush is what one flush of an aggregation group sent: a notification to Muster, and
// deliveries to receivers. Several Alertmanagers can send copies of each.
type Flush struct {
	At     time.Time // the first arrival
	Reason string
	// Notification is what Muster was notified of, or nil.
	Notification *NotificationSummary
	// Deliveries are the events of the deliveries, one for each integration, sorted by
	// receiver and integration.
	Deliveries []*Event
	// Missing has the receivers that should be notified too, but for which no delivery was
	// seen. That is not a failure: events can be lost.
	Missing []string

	firing, resolved int
}

// Flushes returns the newest flushes of one group among its events, at most maximum. The
// events are newest first. A receiver is expected if it was notified before, and if new
// alerts were not delivered to it within the time. The time covers the delays of its route.
func Flushes(events []Event, maximum int, within time.Duration, now time.Time) []Flush {
	var all []*Flush
	for _, n := range Notifications(events, len(events)) {
		detail := n.Newest.Notification()
		all = append(all, &Flush{
			At: n.Oldest.Time, Reason: detail.Reason, Notification: &n, firing: detail.Firing, resolved: detail.Resolved,
		})
	}
	byID := map[string]*Flush{}
	for i := range events {
		if e := &events[i]; e.Kind == EventDelivered && e.Delivery != nil {
			all = addDelivery(all, byID, e)
		}
	}
	slices.SortStableFunc(all, func(x, y *Flush) int { return y.At.Compare(x.At) })
	findMissing(all, within, now)
	out := make([]Flush, 0, min(len(all), maximum))
	for _, f := range all[:min(len(all), maximum)] {
		out = append(out, *f)
	}
	return out
}

// addDelivery adds a delivery to its flush, or to a new one.
func addDelivery(all []*Flush, byID map[string]*Flush, e *Event) []*Flush {
	d := e.Delivery
	f := byID[d.Flush]
	if f == nil {
		i := slices.IndexFunc(all, func(f *Flush) bool { return f.sent(e) })
		if i < 0 {
			i, all = len(all), append(all, &Flush{At: e.Time, Reason: d.Reason, firing: d.Firing, resolved: d.Resolved})
		}
		f = all[i]
		if d.Flush != "" {
			byID[d.Flush] = f
		}
	}
	if e.Time.Before(f.At) {
		f.At = e.Time
	}
	at, known := slices.BinarySearchFunc(f.Deliveries, e, func(x, y *Event) int { return x.Delivery.compareTarget(y.Delivery) })
	if !known {
		f.Deliveries = slices.Insert(f.Deliveries, at, e)
	}
	return all
}

// sent reports whether a delivery belongs to the flush, as far as that can be told without
// the ID of the flush.
func (f *Flush) sent(e *Event) bool {
	d := e.Delivery
	return e.Time.Sub(f.At).Abs() < maxCopyInterval && d.Firing == f.firing && d.Resolved == f.resolved &&
		(d.Reason == f.Reason || d.Reason == "" || f.Reason == "")
}

// findMissing sets the missing receivers of the flushes, which are newest first.
func findMissing(all []*Flush, within time.Duration, now time.Time) {
	before := map[string]bool{} // receivers of older flushes
	for i, f := range slices.Backward(all) {
		if saysNewAlerts(f.Reason) && len(f.Deliveries) > 0 && now.Sub(f.At) > within {
			for receiver := range before {
				if !deliveredSoon(all[:i+1], receiver, f.At.Add(within)) && !deliveredLately(all[i+1:], receiver, f.At.Add(-within)) {
					f.Missing = append(f.Missing, receiver)
				}
			}
			slices.Sort(f.Missing)
		}
		for _, e := range f.Deliveries {
			before[e.Delivery.Receiver] = true
		}
	}
}

// saysNewAlerts reports whether every receiver of the alerts is notified for this reason.
// Receivers can leave out what is resolved, and have their own interval for repeats.
func saysNewAlerts(reason string) bool {
	return reason == "first notification" || reason == "new alerts added"
}

// deliveredSoon reports whether one of the flushes until a time notified the receiver. The
// last one is the oldest.
func deliveredSoon(newer []*Flush, receiver string, until time.Time) bool {
	for _, f := range slices.Backward(newer) {
		if f.At.After(until) {
			return false
		}
		if f.notified(receiver) {
			return true
		}
	}
	return false
}

// deliveredLately reports whether one of the flushes since a time notified the receiver. The
// first one is the newest.
func deliveredLately(older []*Flush, receiver string, since time.Time) bool {
	for _, f := range older {
		if f.At.Before(since) {
			return false
		}
		if f.notified(receiver) {
			return true
		}
	}
	return false
}

func (f *Flush) notified(receiver string) bool {
	return slices.ContainsFunc(f.Deliveries, func(e *Event) bool { return e.Delivery.Receiver == receiver })
}

// compareTarget orders deliveries by what was notified.
func (d *Delivery) compareTarget(o *Delivery) int {
	return cmp.Or(cmp.Compare(d.Receiver, o.Receiver), cmp.Compare(d.Integration, o.Integration), cmp.Compare(d.Index, o.Index))
}
