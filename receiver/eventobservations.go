package receiver

import (
	"fmt"
	"time"

	"muster/grouping"
	"muster/internal/wire"
)

const (
	// maxInstance is the maximum size of the name of a host in bytes, see gethostname(2).
	maxInstance = 255
	// maxAhead is how far the clock of an Alertmanager may be ahead of ours. A time that is
	// far ahead would be newer than everything that comes later.
	maxAhead = 24 * time.Hour
)

// eventRules are the limits on what one event says.
type eventRules struct {
	maxAlerts, maxLabels int
}

// observations converts an event to observations. An event that says no more than that its
// Alertmanager lives has none. An event beyond the limits is an error: nothing of it is kept.
func (r eventRules) observations(e *wire.Event, now time.Time) ([]grouping.Observation, *eventError) {
	if err := checkOrigin(e.At, len(e.Instance), now); err != nil {
		return nil, err
	}
	said, err := r.said(&e.Data)
	if err != nil {
		return nil, err
	}
	for i := range said {
		said[i].Origin, said[i].Instance, said[i].At = grouping.OriginEvent, e.Instance, e.At.UTC()
	}
	return said, nil
}

// checkOrigin checks when an event was recorded, and the size of the name of its host.
func checkOrigin(at time.Time, instance int, now time.Time) *eventError {
	if instance > maxInstance {
		return refuseEvent(eventRefusedSize, "instance", "has more than %d bytes", maxInstance)
	}
	if err := checkTime("@timestamp", at); err != nil {
		return err
	}
	if at.Sub(now) > maxAhead {
		return refuseEvent(eventRefusedTime, "@timestamp", "is more than %s ahead of the clock of Muster", maxAhead)
	}
	return nil
}

// said returns what the data of an event say, without their origin.
func (r eventRules) said(data *wire.EventData) ([]grouping.Observation, *eventError) {
	switch {
	case data.AlertGrouped != nil:
		return r.alert("alertGrouped", data.AlertGrouped, false)
	case data.AlertResolved != nil:
		return r.alert("alertResolved", data.AlertResolved, true)
	case data.AlertCreated != nil:
		return nil, nil // it names no group, and alertGrouped says the rest
	case data.Notification != nil:
		return r.delivery(data.Notification)
	case data.SilenceCreated != nil:
		return r.silence("silenceCreated", &data.SilenceCreated.Silence)
	case data.SilenceUpdated != nil:
		return r.silence("silenceUpdated", &data.SilenceUpdated.Silence)
	case data.SilenceMutedAlert != nil:
		return r.silenced(data.SilenceMutedAlert)
	case data.InhibitionMutedAlert != nil:
		return r.inhibited(data.InhibitionMutedAlert)
	case data.Startup != nil:
		return []grouping.Observation{{Started: &grouping.ObservedStart{Version: data.Startup.Version}}}, nil
	case data.Shutdown != nil:
		return []grouping.Observation{{Started: &grouping.ObservedStart{}}}, nil
	default:
		return nil, unknownType(data.Type())
	}
}

// alert converts an alert of a group. A final one was dropped after its end.
func (r eventRules) alert(where string, e *wire.GroupedEvent, final bool) ([]grouping.Observation, *eventError) {
	details := e.Alert.Details
	if details == nil {
		return nil, refuseEvent(eventRefusedMalformed, where+".alert.details", "is missing")
	}
	group, err := r.group(where, &e.Group)
	if err != nil {
		return nil, err
	}
	if err := r.checkLabels(where+".alert.details", details.Labels, details.Annotations); err != nil {
		return nil, err
	}
	if err := checkTime(where+".alert.details.startsAt", details.StartsAt); err != nil {
		return nil, err
	}
	alert := grouping.NotifiedAlert{
		Fingerprint: fingerprintOf(details.Fingerprint, details.Labels), Status: grouping.StatusFiring,
		Labels: details.Labels.Labels, Annotations: details.Annotations.Labels, StartsAt: details.StartsAt.UTC(),
	}
	if details.Resolved || final {
		if err := checkTime(where+".alert.details.endsAt", details.EndsAt); err != nil {
			return nil, err
		}
		alert.Status, alert.EndsAt = grouping.StatusResolved, details.EndsAt.UTC()
	}
	return []grouping.Observation{{Alert: &grouping.ObservedAlert{Group: group, Alert: alert, Final: final}}}, nil
}

// group converts the group of an event.
func (r eventRules) group(where string, g *wire.EventGroup) (grouping.ObservedGroup, *eventError) {
	group := grouping.ObservedGroup{Receiver: g.Receiver, GroupKey: g.GroupKey, GroupLabels: g.GroupLabels.Labels}
	switch {
	case g.GroupKey == "":
		return group, refuseEvent(eventRefusedMalformed, where+".groupInfo.groupKey", "is missing")
	case g.Receiver == "":
		return group, refuseEvent(eventRefusedMalformed, where+".groupInfo.receiverName", "is missing")
	}
	return group, r.checkLabels(where+".groupInfo.groupLabels", g.GroupLabels, wire.EventLabels{})
}

// reasons are the words of notifications for the reasons of notification events.
var reasons = map[string]string{
	"NOTIFY_REASON_FIRST_NOTIFICATION":      "first notification",
	"NOTIFY_REASON_NEW_ALERTS_IN_GROUP":     "new alerts added",
	"NOTIFY_REASON_NEW_RESOLVED_ALERTS":     "some alerts resolved",
	"NOTIFY_REASON_ALL_ALERTS_RESOLVED":     "all alerts resolved",
	"NOTIFY_REASON_REPEAT_INTERVAL_ELAPSED": "repeat interval elapsed",
}

// delivery converts a notification of an integration. What it said are its firing and
// resolved alerts. Its list of all alerts has others too.
func (r eventRules) delivery(e *wire.NotificationEvent) ([]grouping.Observation, *eventError) {
	const where = "notification"
	group, err := r.group(where, &e.Group)
	if err != nil {
		return nil, err
	}
	if n := max(len(e.Firing)+len(e.Resolved), len(e.Muted), len(e.Alerts)); n > r.maxAlerts {
		return nil, refuseEvent(eventRefusedSize, where, "has %d alerts, the limit is %d", n, r.maxAlerts)
	}
	d := &grouping.ObservedDelivery{
		Group: group, Firing: fingerprintsOf(e.Firing), Resolved: fingerprintsOf(e.Resolved), Muted: fingerprintsOf(e.Muted),
		Delivery: grouping.Delivery{
			Receiver: e.Group.Receiver, Integration: e.Integration.Name, Index: e.Integration.Index, Reason: reasons[e.Reason],
			Flush: flushOf(e),
		},
	}
	d.Delivery.Firing, d.Delivery.Resolved = len(d.Firing), len(d.Resolved)
	return []grouping.Observation{{Delivery: d}}, nil
}

// flushOf identifies the flush of a notification, or returns "".
func flushOf(e *wire.NotificationEvent) string {
	if e.Group.UUID == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d", e.Group.UUID, e.FlushID)
}

// checkLabels returns an error for too many labels or annotations.
func (r eventRules) checkLabels(where string, labels, annotations wire.EventLabels) *eventError {
	if n, m := labels.Len(), annotations.Len(); n > r.maxLabels || m > r.maxLabels {
		return refuseEvent(eventRefusedLabels, where, "has %d labels and %d annotations, the limit of each is %d", n, m, r.maxLabels)
	}
	return nil
}

// checkTime returns an error for a time that is missing or cannot be encoded.
func checkTime(where string, at time.Time) *eventError {
	if at.IsZero() {
		return refuseEvent(eventRefusedTime, where, "is missing")
	}
	if y := at.UTC().Year(); y < 0 || y > 9999 {
		return refuseEvent(eventRefusedTime, where, "must be between the years 0 and 9999 in UTC")
	}
	return nil
}

// fingerprintOf returns the fingerprint of an alert, which its labels determine if it is
// missing.
func fingerprintOf(given wire.EventFingerprint, labels wire.EventLabels) grouping.Fingerprint {
	if fp := grouping.Fingerprint(given); fp.Valid() {
		return fp
	}
	return labels.Fingerprint()
}

// fingerprintsOf returns the fingerprints of a list of alerts. An alert without one was not
// part of the notification, and the event does not describe it.
func fingerprintsOf(alerts []wire.EventAlert) []grouping.Fingerprint {
	list := make([]grouping.Fingerprint, 0, len(alerts))
	for _, a := range alerts {
		if fp := grouping.Fingerprint(a.Fingerprint); fp.Valid() {
			list = append(list, fp)
		}
	}
	return list
}
