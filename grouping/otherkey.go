package grouping

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// If a route is edited, its groups get new keys, and Alertmanager never reports the
// old keys again. So a resolution that arrives under one key also resolves the alert
// under the other keys of the same source and receiver.

// alertUnderOtherKey returns the alert of g with the fingerprint, if g is another
// group with the same source and receiver as o. Otherwise it returns nil.
func (g *AlertGroup) alertUnderOtherKey(o *AlertGroup, fp Fingerprint) *Alert {
	if g.ID == o.ID || g.Source != o.Source || g.Receiver != o.Receiver {
		return nil
	}
	return g.Alert(fp)
}

// endedBy reports whether other, the same alert under another key, shows that the
// alert ended. For that, other was resolved after the last report of a, in the episode
// of a or a later one. No other replica may still report it as firing.
func (g *AlertGroup) endedBy(a, other *Alert) bool {
	seenAt, _ := g.LastSeen(a)
	endedAt := other.LastSeenAt
	if other.ObservedAt.Sub(endedAt) <= maxClockDifference {
		endedAt = latest(endedAt, other.ObservedAt)
	}
	return a.Status != StatusResolved && other.Status == StatusResolved && !other.Disputed &&
		endedAt.After(seenAt) && (!other.StartsAt.Before(a.StartsAt) || other.EndsAt.After(a.StartsAt)) &&
		a.Labels.Equal(other.Labels) // senders choose their fingerprints, so compare labels too
}

// resolutionsUnderOtherKeys returns the resolutions under other keys that end some alerts
// of the group. For each alert, it returns the newest one.
func (x *index) resolutionsUnderOtherKeys(g *AlertGroup, alerts []*Alert) map[Fingerprint]*Alert {
	if g.Counts.Resolved == len(g.Alerts) {
		return nil
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	var ends map[Fingerprint]*Alert
	for _, a := range alerts {
		for id := range x.alerts.of(x.alertKey(a.Fingerprint)) {
			other := x.groups[id].alertUnderOtherKey(g, a.Fingerprint)
			if other == nil || !g.endedBy(a, other) || ends[a.Fingerprint] != nil && ends[a.Fingerprint].Stamp >= other.Stamp {
				continue
			}
			if ends == nil {
				ends = map[Fingerprint]*Alert{}
			}
			ends[a.Fingerprint] = other
		}
	}
	return ends
}

// openUnderOtherKeys returns the groups under other keys that hold not yet resolved
// alerts which the events resolve, and these alerts. A group whose alert only has the same
// fingerprint, and other labels, is not among them: see endedBy.
func (x *index) openUnderOtherKeys(g *AlertGroup, events []Event) map[ID][]Fingerprint {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var open map[ID][]Fingerprint
	for i := range events {
		e := &events[i]
		if e.Kind != EventResolved {
			continue
		}
		for id := range x.alerts.of(x.alertKey(e.Fingerprint)) {
			other := x.groups[id].alertUnderOtherKey(g, e.Fingerprint)
			if other != nil && other.Status != StatusResolved && other.Labels.Equal(e.Labels) {
				if open == nil {
					open = map[ID][]Fingerprint{}
				}
				open[id] = append(open[id], e.Fingerprint)
			}
		}
	}
	return open
}

// applyResolutions returns the change that the resolutions of alerts under other keys
// make to the group. The alerts keep their own labels and annotations.
func applyResolutions(g *AlertGroup, ends map[Fingerprint]*Alert, stamp Stamp, r rules) Change {
	tr := newTransition(g, g.Key, stamp)
	tr.rules, tr.partial, tr.setShared = r, true, true
	for _, fp := range slices.Sorted(maps.Keys(ends)) {
		i, known := tr.find(fp)
		if !known {
			continue
		}
		a, other := tr.alerts[i], ends[fp]
		tr.sender = other.ReportedBy
		ended := tr.resolve(a, NotifiedAlert{
			Fingerprint: a.Fingerprint, Status: StatusResolved, Labels: a.Labels, Annotations: a.Annotations,
			GeneratorURL: a.GeneratorURL, StartsAt: other.StartsAt, EndsAt: other.EndsAt,
		})
		if ended != a {
			ended.ObservedAt = other.ObservedAt // resolve made a copy
		}
		tr.alerts[i] = ended
		tr.unmute(ended.Fingerprint, ended.EndsAt, anyMute)
	}
	return tr.finish()
}

// resolveUnderOtherKeys resolves the alerts under other keys that the events of a
// write resolve. If this fails, the next flush of the other group does it.
func (m *Manager) resolveUnderOtherKeys(ctx context.Context, g *AlertGroup, events []Event) {
	for id, fps := range m.index.openUnderOtherKeys(g, events) {
		_, err := m.write(ctx, id, func(base *AlertGroup) (Change, error) {
			if base == nil || base.IsTombstone() {
				return Change{}, &GroupNotFoundError{ID: id}
			}
			var alerts []*Alert
			for _, fp := range fps {
				if a := base.Alert(fp); a != nil {
					alerts = append(alerts, a)
				}
			}
			c, ok := m.planResolutions(base, alerts)
			if !ok {
				return c, errNoChange
			}
			return c, nil
		})
		if err != nil && !errors.Is(err, ErrGroupNotFound) {
			m.logger.Info("Failed to resolve an alert under another group key, the next flush of the group will retry",
				"group", id, "err", err)
		}
	}
}

// planResolutions returns the change that applies the resolutions under other keys to
// some alerts of the group. It returns false if there is nothing to change.
func (m *Manager) planResolutions(g *AlertGroup, alerts []*Alert) (c Change, changes bool) {
	ends := m.index.resolutionsUnderOtherKeys(g, alerts)
	if len(ends) == 0 {
		return c, false
	}
	return applyResolutions(g, ends, m.clock.Stamp(), m.rules()), true
}
