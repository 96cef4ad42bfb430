package grouping

import (
	"cmp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// Merge merges two states of one group. Either may be nil. For each alert, and for
// the group's own fields, the newest write wins by a total order. Episodes of both
// states are kept. A record that was written at or before a deletion or removal is
// not restored. Merge is commutative, associative and idempotent. So replicas that
// saw the same writes agree, even if they saw them in different orders.
func Merge(a, b *AlertGroup) *AlertGroup {
	switch {
	case a == nil || a == b:
		return b
	case b == nil:
		return a
	}
	g := AlertGroup{
		ID: a.ID, Meta: a.Meta, Deleted: max(a.Deleted, b.Deleted),
		Version: max(a.Version, b.Version), Notifications: max(a.Notifications, b.Notifications),
	}
	if compareMeta(&a.Meta, &b.Meta) < 0 {
		g.Meta = b.Meta
	}
	for _, kind := range groupKinds {
		kind.merge(&g, a, b)
	}
	// A group's own fields are never older than its alerts. If the fields are
	// deleted, the whole group is.
	if len(g.Alerts) == 0 && g.Stamp <= g.Deleted {
		g.Meta = Meta{}
		return &g // a tombstone: it has no derived fields
	}
	if len(a.Mutes)+len(b.Mutes) > 0 {
		linkMutes(g.Alerts, g.Mutes)
	}
	replaced := replacedAlerts(a.Alerts, g.Alerts)
	g.deriveFrom(a, replaced)
	if a.shared != nil {
		g.share(a, replaced)
	}
	return &g
}

// lastRemoval returns the stamp of the alert's last removal from the group, or "".
// alert is the group's alert with the fingerprint, or nil.
func (g *AlertGroup) lastRemoval(fp Fingerprint, alert *Alert) Stamp {
	if alert != nil {
		return alert.RemovalStamp
	}
	return g.Removed[fp]
}

// mergeAlerts merges two records of one alert. Either may be nil. It discards what
// was written at or before the stamps of the alert's removal and the group's
// deletion. It returns nil if nothing remains.
func mergeAlerts(x, y *Alert, removal, deletion Stamp) *Alert {
	discarded := max(removal, deletion)
	if x != nil && x.Stamp <= discarded {
		x = nil
	}
	if y != nil && y.Stamp <= discarded {
		y = nil
	}
	winner := x
	if x == nil || y != nil && compareAlerts(x, y) < 0 {
		winner = y
	}
	if winner == nil {
		return nil
	}
	var recorded []Episode
	switch {
	case x != nil && y != nil && x != y:
		recorded = mergeEpisodes(x.Recorded, y.Recorded, discarded)
	case winner.RemovalStamp == removal && !slices.ContainsFunc(winner.Recorded, func(e Episode) bool { return e.Stamp <= discarded }):
		return winner // true for most alerts of two copies of a large group
	default:
		recorded = mergeEpisodes(winner.Recorded, nil, discarded)
	}
	if winner.RemovalStamp == removal && slices.EqualFunc(winner.Recorded, recorded, equalEpisode) {
		return winner
	}
	merged := *winner
	merged.RemovalStamp, merged.Recorded = removal, recorded
	return &merged
}

// compareAlerts orders two records of one alert: the newer write is greater. Stamps
// are unique, so equal stamps occur only in damaged or foreign data. Replicas must
// agree there too. Then the later end is greater, so that resolved wins over firing.
// Equal ends are ordered by content.
func compareAlerts(a, b *Alert) int {
	if c := strings.Compare(string(a.Stamp), string(b.Stamp)); c != 0 || a.Equal(b) {
		return c
	}
	if c := a.EndsAt.Compare(b.EndsAt); c != 0 {
		return c
	}
	// Episodes and removals are merged separately, so they do not count here.
	x, y := *a, *b
	x.Recorded, y.Recorded, x.RemovalStamp, y.RemovalStamp = nil, nil, "", ""
	return cmp.Or(compareContent(&x, &y), strings.Compare(a.Unknown, b.Unknown))
}

// compareMeta orders the own fields of two states of one group, like compareAlerts.
func compareMeta(a, b *Meta) int {
	if c := strings.Compare(string(a.Stamp), string(b.Stamp)); c != 0 || equalMeta(a, b) {
		return c
	}
	return cmp.Or(compareContent(a, b), strings.Compare(a.Unknown, b.Unknown))
}

// compareContent orders two values by their JSON text.
func compareContent(a, b any) int {
	x, _ := json.Marshal(a, json.Deterministic(true))
	y, _ := json.Marshal(b, json.Deterministic(true))
	return slices.Compare(x, y)
}

// walkAlertPairs walks two lists of alerts that are sorted by fingerprint. It calls
// fn once for every fingerprint, with the alert of each list. An alert is nil if its
// list does not hold the fingerprint.
func walkAlertPairs(a, b []*Alert, fn func(x, y *Alert)) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Fingerprint < b[0].Fingerprint:
			fn(a[0], nil)
			a = a[1:]
		case len(a) == 0 || b[0].Fingerprint < a[0].Fingerprint:
			fn(nil, b[0])
			b = b[1:]
		default:
			fn(a[0], b[0])
			a, b = a[1:], b[1:]
		}
	}
}

// alertPair is one alert in two states of a group. It is nil in the state that does not
// hold it.
type alertPair struct{ before, after *Alert }

func (p alertPair) fingerprint() Fingerprint { return cmp.Or(p.after, p.before).Fingerprint }

// replacedAlerts returns the alerts that are not the same value in both lists. The lists
// must be sorted by fingerprint. Two states of one group share most alerts, so the cost
// of a pair that did not change is the comparison of two pointers.
func replacedAlerts(before, after []*Alert) (replaced []alertPair) {
	i, j := 0, 0
	for i < len(before) && j < len(after) {
		switch b, a := before[i], after[j]; {
		case b == a:
			i, j = i+1, j+1
		case b.Fingerprint < a.Fingerprint:
			replaced = append(replaced, alertPair{before: b})
			i++
		case a.Fingerprint < b.Fingerprint:
			replaced = append(replaced, alertPair{after: a})
			j++
		default:
			replaced = append(replaced, alertPair{b, a})
			i, j = i+1, j+1
		}
	}
	replaced = slices.Grow(replaced, len(before)-i+len(after)-j)
	for _, b := range before[i:] {
		replaced = append(replaced, alertPair{before: b})
	}
	for _, a := range after[j:] {
		replaced = append(replaced, alertPair{after: a})
	}
	return replaced
}
