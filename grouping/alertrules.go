package grouping

import (
	"slices"
	"time"
)

// applyListed applies one alert that the message lists.
func (tr *transition) applyListed(na NotifiedAlert) {
	if na.Status != StatusFiring {
		na.Status = StatusResolved
	}
	i, known := tr.find(na.Fingerprint)
	if !known {
		tr.alerts = slices.Insert(tr.alerts, i, tr.addAlert(na))
		return
	}
	a := tr.alerts[i]
	if tr.outdated || tr.stamp.precedes(a.Stamp) {
		return
	}
	na.StartsAt = tr.startOf(a, na)
	if na.Status == StatusFiring {
		tr.alerts[i] = tr.fire(a, na)
		tr.unmuteListed(a.Fingerprint)
	} else {
		tr.alerts[i] = tr.resolve(a, na)
		if ended := tr.alerts[i]; ended.Status == StatusResolved {
			tr.unmute(ended.Fingerprint, ended.EndsAt, anyMute)
		}
	}
}

// unmuteListed applies that a notification lists an alert as firing, so that nothing mutes
// it. The notification can be older than a mute that was seen shortly before it arrived.
func (tr *transition) unmuteListed(fp Fingerprint) {
	m := findMutes(tr.mutes, fp)
	if m.muted() && !tr.isRecent(m.Stamp.Time()) {
		tr.unmute(fp, tr.at, anyMute)
	}
}

// startOf returns the start of the episode that na reports. If the reported start
// lies inside a known ended episode, a second Prometheus reported that episode.
// Alertmanager merges such overlapping episodes and keeps the earliest start, so
// startOf does too.
func (tr *transition) startOf(a *Alert, na NotifiedAlert) time.Time {
	switch ended := a.Status == StatusResolved; {
	case na.StartsAt.IsZero() && ended && na.Status == StatusFiring:
		return tr.at // the sender sends no times
	case na.StartsAt.IsZero(),
		// The API of Alertmanager has milliseconds only.
		sameMillisecond(na.StartsAt, a.StartsAt),
		ended && na.StartsAt.After(a.StartsAt) && na.StartsAt.Before(a.EndsAt):
		return a.StartsAt
	default:
		return na.StartsAt
	}
}

func sameMillisecond(a, b time.Time) bool {
	return a.Truncate(time.Millisecond).Equal(b.Truncate(time.Millisecond))
}

// addAlert records an alert that is seen for the first time. It may already be
// resolved.
func (tr *transition) addAlert(na NotifiedAlert) *Alert {
	a := &Alert{
		Fingerprint: na.Fingerprint, Status: na.Status, StartsAt: na.StartsAt,
		FirstSeenAt: tr.at, ChangedAt: tr.at,
	}
	if na.Status == StatusResolved {
		a.EndsAt = tr.endOf(na)
	}
	if na.StartsAt.IsZero() {
		a.StartsAt = tr.at // but never later than the end
		if na.Status == StatusResolved {
			a.StartsAt = earliest(tr.at, a.EndsAt)
		}
	}
	// If the alert was removed before, its new record must be newer than the
	// removal.
	a.RemovalStamp = tr.removed[na.Fingerprint]
	a.Stamp = max(a.RemovalStamp, tr.deleted)
	delete(tr.removed, na.Fingerprint)
	a = tr.recordAlert(a, na)
	if na.Status == StatusFiring {
		tr.log.addForAlert(EventFired, nil, a)
	} else {
		tr.log.addForAlert(EventResolved, nil, a)
	}
	return a
}

// fire applies "firing" to a known alert.
func (tr *transition) fire(a *Alert, na NotifiedAlert) *Alert {
	if a.Status == StatusFiring && na.StartsAt.Equal(a.StartsAt) && tr.isUnchanged(a, na) {
		return a // true for most alerts of a large group: avoid the copy below
	}
	seenAt, _ := tr.lastSeen(a)
	next := *a
	next.Status, next.EndsAt = StatusFiring, time.Time{}
	if a.Status != StatusFiring {
		next.ChangedAt = tr.at
	}
	switch {
	case a.Status != StatusResolved && na.StartsAt.After(a.StartsAt) && (tr.observed || na.StartsAt.After(seenAt)):
		// The alert ended and fired again between two notifications: the new start
		// is after the last report of the old episode. An observation has the start that
		// Alertmanager merged from all its senders.
		next.StartsAt, next.Disputed, next.ChangedAt, next.RecordedAt = na.StartsAt, false, tr.at, tr.at
		next.Recorded = putEpisode(next.Recorded, Episode{StartsAt: a.StartsAt, Stamp: tr.stamp.supersedes(a.Stamp)})
		tr.log.addForAlert(EventRefired, a, &next)

	case a.Status != StatusResolved && na.StartsAt.Before(a.StartsAt) && a.Unnotified && tr.wasJustObserved(a):
		// The notification is older than the observed start of a new episode.
		return a

	case a.Status != StatusResolved:
		// The same episode. Its start can move back. A later start comes from a
		// second Prometheus and changes nothing.
		next.StartsAt = earliest(a.StartsAt, na.StartsAt)
		if a.Status == StatusUnreported {
			tr.log.addForAlert(EventReturned, a, &next)
		}

	case na.StartsAt.After(a.StartsAt):
		next.StartsAt, next.Disputed, next.RecordedAt = na.StartsAt, false, tr.at
		tr.log.addForAlert(EventRefired, a, &next)

	case tr.isOtherSender(a.ReportedBy) && tr.isRecent(a.ChangedAt), tr.wasJustObserved(a):
		// This is the older view of another replica, sent after its peer timeout, or a
		// notification that is older than the observed end.
		return a

	default:
		// The alert fires with the same start after a resolution. This becomes a
		// dispute only when the resolution is repeated. Until then, the
		// Alertmanager that sent the resolution may have been replaced by a pod
		// with another name. The page shows a dispute. The history gets no event
		// each time the reported status changes.
		next.StartsAt = earliest(a.StartsAt, na.StartsAt)
		if tr.inDispute = tr.inDispute || a.Disputed; !a.Disputed {
			tr.log.addForAlert(EventReopened, a, &next)
		}
	}
	return tr.recordIfChanged(a, &next, na)
}

// wasJustObserved reports whether a notification that arrives now can be older than what was
// observed of the alert.
func (tr *transition) wasJustObserved(a *Alert) bool {
	return tr.at.Sub(a.ObservedAt) < tr.settle && !tr.isAhead(a.ObservedAt)
}

// isAhead reports whether the clock of the Alertmanager that observed something at the time is
// wrong. Otherwise such a time would hold notifications back until it comes.
func (tr *transition) isAhead(observedAt time.Time) bool {
	return observedAt.Sub(tr.at) > maxClockDifference
}

// resolve applies "resolved" to a known alert.
func (tr *transition) resolve(a *Alert, na NotifiedAlert) *Alert {
	if na.StartsAt.Before(a.StartsAt) && !na.EndsAt.After(a.StartsAt) {
		return a // an older episode is listed again
	}
	seenAt, _ := tr.lastSeen(a)
	next := *a
	next.Status, next.EndsAt = StatusResolved, tr.endOf(na)
	if a.Status == StatusResolved {
		if !na.StartsAt.After(a.StartsAt) {
			// Prometheus re-posts a resolution, so it is listed again. Another
			// replica may report a later end of the same episode.
			if !na.EndsAt.After(a.EndsAt) {
				return a
			}
			next.StartsAt = earliest(a.StartsAt, na.StartsAt)
			if a.Disputed {
				next.Disputed, tr.disputeEnded = false, true // both sides now report it resolved
				tr.logResolved(a, &next)
			}
			return tr.recordIfChanged(a, &next, na)
		}
		next.StartsAt, next.Disputed, next.ChangedAt, next.RecordedAt = na.StartsAt, false, tr.at, tr.at
		tr.logResolved(a, &next)
		return tr.recordIfChanged(a, &next, na)
	}
	next.ChangedAt = tr.at
	if na.StartsAt.After(a.StartsAt) && (tr.observed || na.StartsAt.After(seenAt)) {
		// The end of an episode whose start was never reported.
		next.StartsAt, next.RecordedAt = na.StartsAt, tr.at
		next.Recorded = putEpisode(next.Recorded, Episode{StartsAt: a.StartsAt, Stamp: tr.stamp.supersedes(a.Stamp)})
	} else {
		next.StartsAt = earliest(a.StartsAt, na.StartsAt)
	}
	if next.Disputed = a.Status == StatusFiring && endIsRecorded(a, na); next.Disputed {
		// This end was already reported before the alert fired again. So there are
		// two views of one episode, even if both have the same external URL.
		tr.inDispute = true
	} else {
		tr.logResolved(a, &next)
	}
	return tr.recordIfChanged(a, &next, na)
}

// logResolved adds the event of a resolution. It says what muted the alert, if something
// did: then Alertmanager sends no notification about the end.
func (tr *transition) logResolved(before, a *Alert) {
	e := alertEvent(EventResolved, before, a)
	if m := findMutes(tr.mutes, a.Fingerprint); m.muted() {
		mute := m.firstActive()
		e.Mute = &mute
	}
	tr.log.add(e)
}

// endIsRecorded reports whether the alert's newest episode has the same recorded
// end as na.
func endIsRecorded(a *Alert, na NotifiedAlert) bool {
	return !na.EndsAt.IsZero() && na.EndsAt.Equal(recordedEnd(a))
}

// recordedEnd returns the last reported end of the alert's newest episode, or
// zero. The alert may have fired again since.
func recordedEnd(a *Alert) time.Time {
	for _, e := range a.Recorded {
		if e.StartsAt.Equal(a.StartsAt) {
			return e.EndsAt
		}
	}
	return time.Time{}
}

// endOf returns the end in a resolution. If the resolution has no end, it returns
// the time of arrival.
func (tr *transition) endOf(na NotifiedAlert) time.Time {
	if na.EndsAt.IsZero() {
		return tr.at
	}
	return na.EndsAt
}

// applyOmitted applies that a complete message does not list an alert. A firing
// alert becomes unreported. A dispute about a resolved alert ends. An alert that
// was written after the message arrived does not change.
func (tr *transition) applyOmitted(a *Alert) *Alert {
	if a.Status != StatusFiring && !a.Disputed || tr.stamp.precedes(a.Stamp) {
		return a
	}
	if a.Unnotified && tr.isRecent(a.LastSeenAt) {
		return a // the notification can be older than the observation that made the alert
	}
	next := *a
	next.Stamp, next.Disputed = tr.stamp.supersedes(a.Stamp), false
	if a.Status != StatusFiring {
		tr.disputeEnded = true
		return &next
	}
	next.Status, next.ChangedAt, next.FirstSeenAt = StatusUnreported, tr.at, tr.correctFuture(a.FirstSeenAt)
	next.LastSeenAt, next.ReportedBy = tr.lastSeen(a)
	next.LastSeenAt = tr.correctFuture(next.LastSeenAt)
	tr.log.addForAlert(EventUnreported, a, &next)
	return &next
}

// recordIfChanged records next and returns it. If only the last-seen time changed,
// it returns before: after a complete notification, the group has that time.
func (tr *transition) recordIfChanged(before, next *Alert, na NotifiedAlert) *Alert {
	if next.Status == before.Status && next.Disputed == before.Disputed &&
		next.StartsAt.Equal(before.StartsAt) && next.EndsAt.Equal(before.EndsAt) && tr.isUnchanged(before, na) {
		return before
	}
	return tr.recordAlert(next, na)
}

// isUnchanged reports whether the alert's recorded content equals that of the
// message, without status, start and end. It returns false if the last-seen time
// must be written to the alert.
func (tr *transition) isUnchanged(a *Alert, na NotifiedAlert) bool {
	return !tr.partial && !tr.fromFuture(a.LastSeenAt) && !a.Unnotified && a.GoneFrom.IsZero() &&
		na.GeneratorURL == a.GeneratorURL && na.Grafana.Equal(a.Grafana) &&
		na.Labels.Equal(a.Labels) && na.Annotations.Equal(a.Annotations)
}

// recordAlert fills a with the content of the message and stamps it. It changes a.
func (tr *transition) recordAlert(a *Alert, na NotifiedAlert) *Alert {
	a.Labels, a.Annotations, a.GeneratorURL, a.Grafana = na.Labels, na.Annotations, na.GeneratorURL, na.Grafana
	a.LastSeenAt = tr.at
	if !tr.observed {
		a.ReportedBy = tr.sender
		a.Unnotified, a.GoneFrom, a.GoneBy, a.ObservedAt = false, time.Time{}, time.Time{}, time.Time{}
	}
	a.FirstSeenAt, a.ChangedAt, a.RecordedAt = tr.correctFuture(a.FirstSeenAt), tr.correctFuture(a.ChangedAt), tr.correctFuture(a.RecordedAt)
	a.Stamp = tr.stamp.supersedes(a.Stamp)
	e := Episode{StartsAt: a.StartsAt, EndsAt: a.EndsAt, Stamp: a.Stamp}
	if a.EndsAt.IsZero() {
		// The alert was resolved and fires again. Keep the old end: if it is
		// reported once more, this is a dispute and not a second resolution.
		e.EndsAt = recordedEnd(a)
	}
	a.Recorded = putEpisode(a.Recorded, e)
	return a
}
