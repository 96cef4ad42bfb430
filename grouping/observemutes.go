package grouping

import (
	"slices"
	"time"
)

// setMutes sets the mutes of an alert, and writes what changed in the history: an alert that
// did not end and gets its first mute, or loses its last one, has an event.
func (tr *transition) setMutes(fp Fingerprint, mutes []Mute) {
	old := findMutes(tr.mutes, fp)
	next := AlertMutes{Fingerprint: fp, Mutes: boundedMutes(mutes), Stamp: tr.stamp}
	if old != nil {
		next.Stamp, next.Unknown = tr.stamp.supersedes(old.Stamp), old.Unknown
	}
	next.Stamp = tr.supersedesRemoval(fp, next.Stamp)
	tr.mutes = withMutes(tr.mutes, &next)
	i, known := tr.find(fp)
	if !known {
		return
	}
	before := tr.alerts[i].withMutes(old)
	tr.alerts[i] = before.withMutes(&next)
	was, is := before.ShownStatus() == StatusSuppressed, tr.alerts[i].ShownStatus() == StatusSuppressed
	switch {
	case is && !was:
		tr.log.addForMute(EventSuppressed, before, tr.alerts[i], next.firstActive())
	case was && !is && before.Status != StatusResolved:
		tr.log.addForMute(EventUnsuppressed, before, tr.alerts[i], old.firstActive())
	}
}

// supersedesRemoval returns a stamp that is not older than the last removal of the alert and
// the deletion of the group.
func (tr *transition) supersedesRemoval(fp Fingerprint, s Stamp) Stamp {
	removal := tr.removed[fp]
	if i, known := tr.find(fp); known {
		removal = tr.alerts[i].RemovalStamp
	}
	return s.supersedes(max(removal, tr.deleted))
}

// firstActive returns the first mute that is active, or a zero value.
func (m *AlertMutes) firstActive() Mute {
	if m != nil {
		if i := slices.IndexFunc(m.Mutes, Mute.Active); i >= 0 {
			return m.Mutes[i]
		}
	}
	return Mute{}
}

// boundedMutes returns the mutes without the oldest ones beyond the maximum numbers of active
// and of ended ones.
func boundedMutes(mutes []Mute) []Mute {
	excess := map[bool]int{true: -maxActiveMutes, false: -maxEndedMutes} // by whether they are active
	for _, m := range mutes {
		excess[m.Active()]++
	}
	return slices.DeleteFunc(mutes, func(m Mute) bool {
		excess[m.Active()]--
		return excess[m.Active()] >= 0
	})
}

// mute adds mutes to an alert. A known mute keeps its start. A mute that ended begins again if
// it is seen after its end.
func (tr *transition) mute(fp Fingerprint, at time.Time, mutes ...Mute) {
	old := findMutes(tr.mutes, fp)
	var next []Mute
	if old != nil {
		next = slices.Clone(old.Mutes)
	}
	changed := false
	for _, m := range mutes {
		m.Since, m.Ended = at, time.Time{}
		i := slices.IndexFunc(next, m.same)
		switch {
		case i < 0:
			next, changed = append(next, m), true
		case next[i].Active():
			if at.Before(next[i].Since) || next[i].Rule == "" && m.Rule != "" {
				next[i].Since, changed = earliest(next[i].Since, at), true
				next[i].Rule = m.Rule
			}
		case at.After(next[i].Ended):
			next, changed = append(slices.Delete(next, i, i+1), m), true
		}
	}
	if changed {
		tr.setMutes(fp, next)
	}
}

// unmute ends the active mutes of an alert that the function selects, at the time.
func (tr *transition) unmute(fp Fingerprint, at time.Time, ends func(Mute) bool) {
	old := findMutes(tr.mutes, fp)
	if !old.muted() {
		return
	}
	next, changed := slices.Clone(old.Mutes), false
	for i := range next {
		if m := &next[i]; m.Active() && ends(*m) {
			// A clock that steps back must not make a mute that ends before it began.
			m.Ended, changed = latest(at, m.Since), true
		}
	}
	if changed {
		tr.setMutes(fp, next)
	}
}

// addEnded records a mute that is already over. The state of the alert stays.
func (tr *transition) addEnded(fp Fingerprint, m Mute, since, end time.Time) {
	old := findMutes(tr.mutes, fp)
	if old.find(m) != nil {
		return
	}
	var next []Mute
	if old != nil {
		next = slices.Clone(old.Mutes)
	}
	m.Since, m.Ended = since, latest(since, end)
	tr.setMutes(fp, append(next, m))
}

// endMutesQuietly ends all mutes of an alert without an event.
func (tr *transition) endMutesQuietly(fp Fingerprint, at time.Time) {
	events := len(tr.log.events)
	tr.unmute(fp, at, anyMute)
	tr.log.events = tr.log.events[:events]
}

func anyMute(Mute) bool { return true }
