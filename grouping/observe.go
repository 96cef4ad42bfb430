package grouping

import (
	"cmp"
	"slices"
	"time"
)

// observe returns the change that observations make to a group, and whether they change
// anything. Each one is about an alert of the group, what mutes one, a delivery or a gone
// alert. observe is a pure function, like apply. What is older than what is recorded only
// fills the history.
//
// silenceEnd returns the end of a silence that ended, or zero. g may be nil or a tombstone.
func observe(g *AlertGroup, key Key, all []Observation, stamp Stamp, r rules, silenceEnd func(id string) time.Time) (Change, bool) {
	tr := newTransition(g, key, stamp)
	tr.rules, tr.partial, tr.observed, tr.silenceEnd = r, true, true, silenceEnd
	base := cmp.Or(tr.before, noGroup)
	var early []int // mutes that were told before their alerts
	for i := range all {
		if m := all[i].Muted; m != nil {
			if _, known := tr.find(m.Fingerprint); !known {
				early = append(early, i)
				continue
			}
		}
		tr.observe(&all[i])
	}
	for _, i := range early {
		tr.observe(&all[i])
	}
	changesAlerts := !slices.Equal(base.Alerts, tr.alerts)
	if !changesAlerts && len(tr.log.events) == 0 && slices.Equal(base.Mutes, tr.mutes) {
		return Change{}, false
	}
	tr.log.observedAt, tr.setShared = time.Time{}, changesAlerts
	return tr.finish(), true
}

func (tr *transition) observe(o *Observation) {
	tr.log.observedAt = o.At
	switch {
	case o.Alert != nil:
		tr.observeAlert(o, o.Alert)
	case o.Muted != nil:
		m := o.Muted.Mute
		m.From = o.Origin
		tr.observeMutes(o.Muted.Fingerprint, o.At, m)
	case o.Delivery != nil:
		tr.deliver(o, o.Delivery)
	case o.Gone != nil:
		tr.observeGone(o.Gone)
	case o.NotSeen != nil:
		tr.unmute(o.NotSeen.Fingerprint, o.At, o.NotSeen.Mute.same)
	case o.Unmuted != nil:
		tr.unmuteAll(*o.Unmuted, o.At)
	}
}

// observeAlert applies that an alert is in the group, and what mutes it.
func (tr *transition) observeAlert(o *Observation, oa *ObservedAlert) {
	na := oa.Alert
	if tr.before == nil && tr.meta.GroupLabels.IsZero() {
		tr.meta.GroupLabels = oa.Group.GroupLabels
	}
	i, known := tr.find(na.Fingerprint)
	switch {
	case !known:
		if !tr.addObserved(o, na) {
			return
		}
	case na.Status == StatusFiring:
		tr.alerts[i] = tr.observeFiring(o, tr.alerts[i], na)
	default:
		tr.alerts[i] = tr.observeEnd(o, tr.alerts[i], na)
	}
	i, _ = tr.find(na.Fingerprint)
	if a := tr.alerts[i]; a.Status == StatusResolved {
		tr.unmute(a.Fingerprint, a.EndsAt, anyMute)
	} else if oa.Listed && na.Status == StatusFiring {
		tr.setListedMutes(a.Fingerprint, o.At, oa.Mutes)
	}
}

// addObserved adds an alert that no notification listed yet. It returns false if the group
// has no room for it.
func (tr *transition) addObserved(o *Observation, na NotifiedAlert) bool {
	if listed, _ := tr.enforceLimit([]*NotifiedAlert{&na}); len(listed) == 0 {
		return false
	}
	a := tr.addAlert(na)
	a.Unnotified, a.ObservedAt = true, o.At
	i, _ := tr.find(na.Fingerprint)
	tr.alerts = slices.Insert(tr.alerts, i, a)
	return true
}

// observeFiring applies that a known alert fires.
func (tr *transition) observeFiring(o *Observation, a *Alert, na NotifiedAlert) *Alert {
	start := tr.startOf(a, na)
	stays, opens := tr.afterClosing(o, a, start)
	switch {
	case stays:
		return a
	case start.Before(a.StartsAt) && !o.At.After(a.StartsAt):
		return tr.fillEpisode(a, Episode{StartsAt: start}) // it is reported late
	case start.Before(a.StartsAt):
		return tr.moveStart(a, start)
	case start.After(a.StartsAt):
		na.StartsAt = start
		if na.GeneratorURL == "" {
			na.GeneratorURL = a.GeneratorURL
		}
		fired := tr.fire(a, na)
		if fired == a {
			return a
		}
		next := *fired
		next.Unnotified, next.ObservedAt, next.GoneFrom, next.GoneBy = true, o.At, time.Time{}, time.Time{}
		return &next
	case a.Status == StatusResolved && !tr.undoesEnd(o, a):
		return a
	case a.Status == StatusResolved, opens, !a.GoneFrom.IsZero() && o.At.After(a.GoneBy), a.Unnotified && tr.saysMore(o, a, na):
	default:
		return a
	}
	next := *a
	next.GoneFrom, next.GoneBy = time.Time{}, time.Time{}
	if a.Status == StatusResolved || a.Unnotified || opens {
		// Otherwise the alert stays unreported: no notification lists it.
		next.Status, next.EndsAt, next.ObservedAt = StatusFiring, time.Time{}, o.At
	}
	if next.Status != a.Status {
		next.ChangedAt = tr.at
		switch {
		case a.Status != StatusResolved:
			tr.log.addForAlert(EventReturned, a, &next)
		case a.Disputed:
			tr.inDispute = true // as in fire: the history does not get every turn
		default:
			tr.log.addForAlert(EventReopened, a, &next)
		}
	}
	content := a.notified()
	if a.Unnotified {
		content.Annotations = na.Annotations
	}
	return tr.recordAlert(&next, content)
}

// afterClosing reports what the observation of a firing alert means in a group that a person
// closed: the alert stays as it is, or it fires and opens the group again. A poll lists what
// Alertmanager still knows, so only a new episode counts there. The event recorder says that a
// client sent the alert again.
func (tr *transition) afterClosing(o *Observation, a *Alert, start time.Time) (stays, opens bool) {
	closing := tr.meta.ClosedBy
	if closing == nil || a.Status != StatusUnreported {
		return false, false
	}
	opens = o.Origin == OriginEvent && o.At.After(closing.At)
	return !opens && !start.After(closing.At), opens
}

// saysMore reports whether the observation of an alert that no notification listed has other
// annotations, and is the newer one.
func (tr *transition) saysMore(o *Observation, a *Alert, na NotifiedAlert) bool {
	return o.At.After(a.ObservedAt) && !na.Annotations.Equal(a.Annotations)
}

// undoesEnd reports whether an alert fires again that was resolved, with the same start. The
// clocks of two Alertmanagers can differ, so their order counts only from the settle time on. If
// only one of the two clocks is far ahead, the order of the two times says nothing.
func (tr *transition) undoesEnd(o *Observation, a *Alert) bool {
	end := a.EndsAt
	if !tr.isAhead(a.ObservedAt) || tr.isAhead(o.At) {
		end = latest(end, a.ObservedAt)
	}
	return o.At.Sub(end) > tr.settle
}

// observeEnd applies that a known alert ended.
func (tr *transition) observeEnd(o *Observation, a *Alert, na NotifiedAlert) *Alert {
	na.StartsAt = tr.startOf(a, na)
	if na.StartsAt.Before(a.StartsAt) {
		return tr.fillEpisode(a, Episode{StartsAt: na.StartsAt, EndsAt: na.EndsAt}) // it is reported late
	}
	if a.Status != StatusResolved && !na.StartsAt.After(a.StartsAt) && endIsRecorded(a, na) {
		return a // it fired again since
	}
	na.Labels, na.GeneratorURL, na.Grafana = a.Labels, a.GeneratorURL, a.Grafana
	if !na.StartsAt.After(a.StartsAt) {
		na.Annotations = a.Annotations
	}
	resolved := tr.resolve(a, na)
	if resolved == a {
		return a
	}
	next := *resolved
	next.ObservedAt, next.GoneFrom, next.GoneBy = o.At, time.Time{}, time.Time{}
	return &next
}

// fillEpisode records an older episode of an alert, or its end. The alert itself stays as it
// is.
func (tr *transition) fillEpisode(a *Alert, e Episode) *Alert {
	e.Stamp = a.Stamp
	if i := slices.IndexFunc(a.Recorded, func(known Episode) bool { return sameMillisecond(known.StartsAt, e.StartsAt) }); i >= 0 {
		// Of two records with one stamp, the one with the later end wins everywhere.
		known := a.Recorded[i]
		if !e.EndsAt.After(known.EndsAt) {
			return a
		}
		known.EndsAt = e.EndsAt
		e = known
	}
	next := *a
	next.Recorded = putEpisode(a.Recorded, e)
	if slices.EqualFunc(next.Recorded, a.Recorded, equalEpisode) {
		return a // there are newer ones up to the maximum
	}
	next.Stamp = tr.stamp.supersedes(a.Stamp)
	return &next
}

// moveStart applies that the start of an episode is earlier: another sender reported it since
// then.
func (tr *transition) moveStart(a *Alert, start time.Time) *Alert {
	if a.Status == StatusResolved {
		return a
	}
	next := *a
	next.StartsAt = start
	return tr.recordAlert(&next, a.notified())
}

// notified returns the alert as a notification would list it.
func (a *Alert) notified() NotifiedAlert {
	return NotifiedAlert{
		Fingerprint: a.Fingerprint, Status: a.reportedStatus(), Labels: a.Labels, Annotations: a.Annotations,
		GeneratorURL: a.GeneratorURL, Grafana: a.Grafana, StartsAt: a.StartsAt, EndsAt: a.EndsAt,
	}
}

// observeMutes applies that a flush found an alert muted.
func (tr *transition) observeMutes(fp Fingerprint, at time.Time, m Mute) {
	i, known := tr.find(fp)
	if !known {
		return
	}
	a := tr.alerts[i]
	notifiedAt, isLate := tr.notifiedAfter(a, at)
	end := tr.endOfSilence(m)
	switch {
	case a.Status == StatusResolved:
		tr.addEnded(fp, m, earliest(at, a.EndsAt), a.EndsAt)
	case isLate:
		tr.addEnded(fp, m, at, notifiedAt)
	case !end.IsZero():
		tr.addEnded(fp, m, at, end)
	default:
		tr.mute(fp, at, m)
	}
}

// notifiedAfter returns when a notification last listed the alert, and whether that was after the
// time. Then nothing that was seen at that time mutes the alert any more.
func (tr *transition) notifiedAfter(a *Alert, at time.Time) (notifiedAt time.Time, after bool) {
	notifiedAt, _ = tr.lastSeen(a)
	return notifiedAt, at.Before(notifiedAt) && !a.Unnotified
}

// endOfSilence returns the end of the silence that the mute names, if it ended, or zero.
func (tr *transition) endOfSilence(m Mute) time.Time {
	if m.Kind != MuteSilence || tr.silenceEnd == nil {
		return time.Time{}
	}
	return tr.silenceEnd(m.ID)
}

// setListedMutes applies that the mutes are all of an alert.
func (tr *transition) setListedMutes(fp Fingerprint, at time.Time, mutes []Mute) {
	i, _ := tr.find(fp)
	if notifiedAt, isLate := tr.notifiedAfter(tr.alerts[i], at); isLate {
		for _, m := range mutes {
			tr.addEnded(fp, m, at, notifiedAt)
		}
		return
	}
	listed := slices.DeleteFunc(slices.Clone(mutes), func(m Mute) bool { return !tr.endOfSilence(m).IsZero() })
	tr.mute(fp, at, listed...)
	tr.unmute(fp, at, func(m Mute) bool { return at.After(m.Since) && !slices.ContainsFunc(listed, m.same) })
}

// unmuteAll ends a mute of all alerts of the group.
func (tr *transition) unmuteAll(m Mute, at time.Time) {
	for _, muted := range slices.Clone(tr.mutes) {
		tr.unmute(muted.Fingerprint, at, m.same)
	}
}

// deliver records a notification that an integration accepted. The alerts that it said fire
// are neither silenced nor inhibited. A time interval mutes the groups of one route only.
func (tr *transition) deliver(o *Observation, od *ObservedDelivery) {
	if tr.before == nil {
		return
	}
	d, isOwn := od.Delivery, od.Group.Receiver == tr.meta.Receiver && od.Group.GroupKey == tr.meta.GroupKey
	d.Firing, d.Resolved = 0, 0
	for _, fp := range od.Firing {
		i, known := tr.find(fp)
		if !known {
			continue
		}
		d.Firing++
		tr.unmute(fp, o.At, func(m Mute) bool { return o.At.After(m.Since) && (isOwn || m.Kind != MuteInterval) })
		if a := tr.alerts[i]; a.Unnotified {
			next := *a
			next.Unnotified, next.Stamp = false, tr.stamp.supersedes(a.Stamp)
			tr.alerts[i] = &next
		}
	}
	for _, fp := range od.Resolved {
		if _, known := tr.find(fp); known {
			d.Resolved++
		}
	}
	if d.Of = len(od.Firing) + len(od.Resolved); d.Of == d.Firing+d.Resolved {
		d.Of = 0
	}
	tr.log.add(Event{Kind: EventDelivered, Labels: tr.meta.GroupLabels, ObservedAt: o.At, Delivery: &d})
}

// observeGone applies that Alertmanager no longer lists an alert whose end nobody reported.
// An alert that fires and was notified waits for its next notification.
func (tr *transition) observeGone(gone *ObservedGone) {
	i, known := tr.find(gone.Fingerprint)
	if !known {
		return
	}
	a := tr.alerts[i]
	muted := findMutes(tr.mutes, a.Fingerprint).muted()
	if a.Status == StatusResolved || !a.GoneFrom.IsZero() || a.Status == StatusFiring && !a.Unnotified && !muted {
		return
	}
	next := *a
	next.GoneFrom, next.GoneBy, next.Stamp = gone.From, gone.By, tr.stamp.supersedes(a.Stamp)
	if next.Status = StatusUnreported; a.Status != StatusUnreported {
		next.ChangedAt = tr.at
		next.LastSeenAt, next.ReportedBy = tr.lastSeen(a)
		tr.log.addForAlert(EventUnreported, a, &next)
	}
	tr.alerts[i] = &next
	// It is no longer suppressed, but it does not fire either.
	tr.endMutesQuietly(a.Fingerprint, gone.By)
}
