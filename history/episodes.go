package history

import "muster/grouping"

// startTolerance is the maximum difference of the starts that two groups report of one episode.
// Several Prometheus servers evaluate a rule at different times.
const startTolerance = 5 * minute

// maxRecent is the number of an alert's newest episodes that an event can be about.
const maxRecent = 16

// addKnown adds an alert of a group as it was at the beginning of the digest.
func (d *Digest) addKnown(g *grouping.AlertGroup, a *grouping.Alert) {
	at := millisOf(d.since)
	e := grouping.Event{
		Kind: grouping.EventFired, GroupID: g.ID, Source: g.Source, Receiver: g.Receiver, Fingerprint: a.Fingerprint, Labels: a.Labels,
		StartsAt: a.StartsAt, EndsAt: a.EndsAt, Time: a.Began(),
	}
	if e.Time.IsZero() || e.Time.After(d.since) {
		e.Time = d.since
	}
	group, alert := d.group(g.ID, g.Receiver), d.alert(g.Source, a.Fingerprint, a.Labels)
	m := d.follow(group, alert, &e)
	ep := &d.alerts[alert].episodes[m.episode]
	ep.seenAt = min(ep.seenAt, millisOf(e.Time))
	for _, mute := range a.EndedMutes() {
		ep.suppressed = ep.suppressed || mute.Ended.After(a.StartsAt)
	}
	switch {
	case a.Status == grouping.StatusResolved:
		ep.endAt(min(millisOf(a.EndsAt), at), false)
	case !a.GoneFrom.IsZero():
		ep.endAt(millisOf(a.GoneFrom), true)
	case a.ShownStatus() == grouping.StatusSuppressed:
		d.mute(&m, ep)
	}
	if a.Status == grouping.StatusFiring {
		d.list(group, alert, &m, ep, min(millisOf(a.ChangedAt), at))
	} else if end := a.KnownEnd(); ep.firing == 0 && ep.muted == 0 && ep.endsAt == 0 {
		ep.lostAt = min(millisOf(end), at)
	}
	d.groups[group].members[alert] = m
}

// addOfAlert adds an event about an alert.
func (d *Digest) addOfAlert(e *grouping.Event) {
	g, a := d.group(e.GroupID, e.Receiver), d.alert(e.Source, e.Fingerprint, e.Labels)
	now := millisOf(e.Time)
	if e.Kind == grouping.EventExpired {
		d.leave(g, a, now)
		return
	}
	m := d.follow(g, a, e)
	ep := &d.alerts[a].episodes[m.episode]
	switch e.Kind {
	case grouping.EventFired, grouping.EventRefired, grouping.EventReopened, grouping.EventReturned:
		// A group can list an alert for the first time after another one reported its end.
		if e.Kind == grouping.EventReopened || ep.gone || ep.endsAt != 0 && now-ep.endsAt > startTolerance {
			ep.endsAt, ep.gone = 0, false
		}
		d.list(g, a, &m, ep, now)
	case grouping.EventResolved:
		ep.suppressed = ep.suppressed || e.Mute != nil
		d.resolve(g, &m, ep, e)
	case grouping.EventUnreported:
		d.unlist(g, &m, ep, now)
	case grouping.EventSuppressed:
		d.mute(&m, ep)
	case grouping.EventUnsuppressed:
		d.unmute(&m, ep)
	default: // its start can have moved
	}
	if e.Alert != nil {
		d.applyDetail(g, a, &m, ep, e)
	}
	ep.noteLoss(now)
	d.groups[g].members[a] = m
}

// applyDetail applies what only the detail of an event says: that the alert is gone from the
// API, which side of a dispute was heard last, or what mutes it.
func (d *Digest) applyDetail(group, alert int32, m *member, ep *episode, e *grouping.Event) {
	now := millisOf(e.Time)
	switch status := e.Alert.Status; {
	case !e.Alert.GoneFrom.IsZero():
		ep.endAt(min(millisOf(e.Alert.GoneFrom), now), true)
		d.unlist(group, m, ep, now)
		d.unmute(m, ep)
	case status == grouping.StatusFiring:
		ep.endsAt = 0
		d.list(group, alert, m, ep, now)
	case status == grouping.StatusResolved && e.Kind != grouping.EventResolved:
		d.resolve(group, m, ep, e)
	case status == grouping.StatusUnreported:
		d.unlist(group, m, ep, now)
	}
	if len(e.Alert.Mutes) == 0 {
		return
	}
	muted := false
	for _, mute := range e.Alert.Mutes {
		muted = muted || mute.Active()
		ep.suppressed = ep.suppressed || mute.Active() || millisOf(mute.Ended) > ep.begin()
	}
	if muted && ep.endsAt == 0 {
		d.mute(m, ep)
	} else {
		d.unmute(m, ep)
	}
}

// endAt notes an end that was reported, or when the API listed the alert last.
func (e *episode) endAt(at millis, gone bool) {
	if e.endsAt == 0 || e.gone || !gone {
		e.endsAt, e.gone = max(e.endsAt, at), gone
	}
}

// resolve applies that the group reports the end of an episode.
func (d *Digest) resolve(group int32, m *member, ep *episode, e *grouping.Event) {
	now := millisOf(e.Time)
	end := now
	if !e.EndsAt.IsZero() {
		end = min(millisOf(e.EndsAt), now)
	}
	ep.endAt(end, false)
	d.unlist(group, m, ep, now)
	d.unmute(m, ep)
}

// noteLoss notes that no group lists an episode any more, and nobody reported its end.
func (e *episode) noteLoss(at millis) {
	if e.firing == 0 && e.muted == 0 && e.endsAt == 0 && e.lostAt == 0 {
		e.lostAt = at
	}
}

// list notes that the group lists the alert as firing.
func (d *Digest) list(group, alert int32, m *member, ep *episode, at millis) {
	ep.lostAt = 0
	if !m.firing {
		m.firing = true
		ep.firing++
	}
	if g := &d.groups[group]; m.span < 0 {
		m.span = int32(len(g.spans)) //nolint:gosec // G115: memory ends before
		g.spans = append(g.spans, span{alert: alert, from: at, to: endless})
		d.spans++
	}
}

// unlist notes that the group no longer lists the alert as firing.
func (d *Digest) unlist(group int32, m *member, ep *episode, at millis) {
	if m.firing {
		m.firing = false
		ep.firing--
	}
	if m.span >= 0 {
		d.groups[group].spans[m.span].to = at
		m.span = -1
	}
}

func (d *Digest) mute(m *member, ep *episode) {
	ep.suppressed, ep.lostAt = true, 0
	if !m.muted {
		m.muted = true
		ep.muted++
	}
}

func (d *Digest) unmute(m *member, ep *episode) {
	if m.muted {
		m.muted = false
		ep.muted--
	}
}

// leave removes an alert from a group.
func (d *Digest) leave(group, alert int32, at millis) {
	m, known := d.groups[group].members[alert]
	if !known {
		return
	}
	ep := &d.alerts[alert].episodes[m.episode]
	d.unlist(group, &m, ep, at)
	d.unmute(&m, ep)
	ep.noteLoss(at)
	delete(d.groups[group].members, alert)
}

// follow returns the alert's member of the group after an event, with the episode that the
// event is about. The caller stores the member.
func (d *Digest) follow(group, alert int32, e *grouping.Event) member {
	start := millisOf(e.StartsAt)
	if start == 0 {
		start = millisOf(e.Time)
	}
	a := &d.alerts[alert]
	m, held := d.groups[group].members[alert]
	if held {
		// Only a new episode starts later than the one before.
		if ep := &a.episodes[m.episode]; start <= ep.startsAt {
			ep.startsAt = start
			return m
		}
	}
	other := int32(-1)
	if held {
		other = m.episode
	}
	i := a.find(start, e, other)
	if i < 0 {
		i = int32(len(a.episodes)) //nolint:gosec // G115: memory ends before
		a.episodes = append(a.episodes, episode{startsAt: start, seenAt: millisOf(e.Time)})
		d.episodes++
	}
	ep := &a.episodes[i]
	ep.startsAt = min(ep.startsAt, start)
	ep.receivers = d.receivers.add(ep.receivers, d.groups[group].receiver)
	if held {
		// Nobody reported the end of the old episode in this group.
		old, at := &a.episodes[m.episode], min(start, millisOf(e.Time))
		d.unlist(group, &m, old, millisOf(e.Time))
		muted := m.muted
		d.unmute(&m, old)
		old.noteLoss(at)
		if muted && e.Kind != grouping.EventResolved {
			d.mute(&m, ep)
		}
	} else {
		m.span = -1
	}
	m.episode = i
	return m
}

// find returns the episode with the start, or -1. Groups can report different starts of one
// episode, but not the group that has another episode of the alert.
func (a *alertLine) find(start millis, e *grouping.Event, other int32) int32 {
	last := len(a.episodes) - 1
	for i := last; i >= 0 && i > last-maxRecent; i-- {
		if a.episodes[i].startsAt == start {
			return int32(i) //nolint:gosec // G115: memory ends before
		}
	}
	ends := endless
	if e.Kind == grouping.EventResolved && !e.EndsAt.IsZero() {
		ends = millisOf(e.EndsAt)
	}
	for i := last; i >= 0 && i > last-maxRecent; i-- {
		ep := &a.episodes[i]
		first, second := min(ep.startsAt, start), max(ep.startsAt, start)
		number := int32(i) //nolint:gosec // G115: memory ends before
		if number != other && second-first <= startTolerance && second < min(ep.end(), ends) {
			return number
		}
	}
	return -1
}
