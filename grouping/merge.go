package grouping

import (
	"cmp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// Merge joins two states of one group, either of which may be nil: per alert,
// and for the group's own fields, the newest write wins by a total order;
// episodes unite; what was deleted or removed later than it was written stays
// away. It is commutative, associative and idempotent, so replicas that have
// seen the same writes agree, in whatever order they saw them.
func Merge(a, b *AlertGroup) *AlertGroup {
	switch {
	case a == nil || a == b:
		return b
	case b == nil:
		return a
	}
	g := AlertGroup{
		ID: a.ID, Meta: a.Meta, Removed: make(map[Fingerprint]Stamp, max(len(a.Removed), len(b.Removed))), Deleted: max(a.Deleted, b.Deleted),
		Version: max(a.Version, b.Version), Notifications: max(a.Notifications, b.Notifications),
	}
	if compareMeta(&a.Meta, &b.Meta) < 0 {
		g.Meta = b.Meta
	}
	mergeOne := func(fp Fingerprint, x, y *Alert) {
		since := max(a.lastRemoval(fp, x), b.lastRemoval(fp, y))
		if since <= g.Deleted {
			since = ""
		}
		if alert := mergeAlerts(x, y, since, g.Deleted); alert != nil {
			g.Alerts = append(g.Alerts, alert)
		} else if since != "" {
			g.Removed[fp] = since
		}
	}
	walkAlertPairs(a.Alerts, b.Alerts, func(x, y *Alert) {
		if x != nil {
			mergeOne(x.Fingerprint, x, y)
		} else {
			mergeOne(y.Fingerprint, x, y)
		}
	})
	for fp := range a.Removed {
		if a.Alert(fp) == nil && b.Alert(fp) == nil {
			mergeOne(fp, nil, nil)
		}
	}
	for fp := range b.Removed {
		if _, done := a.Removed[fp]; !done && a.Alert(fp) == nil && b.Alert(fp) == nil {
			mergeOne(fp, nil, nil)
		}
	}
	// A group's own fields are never older than its alerts: if they are gone,
	// all is.
	if len(g.Alerts) == 0 && g.Stamp <= g.Deleted {
		g.Meta = Meta{}
		return &g // as Tombstone makes it: nothing follows from nothing
	}
	return NewAlertGroup(g)
}

// since returns the stamp of the removal that the group knows of the alert,
// which it holds as alert, or not at all.
func (g *AlertGroup) lastRemoval(fp Fingerprint, alert *Alert) Stamp {
	if alert != nil {
		return alert.RemovalStamp
	}
	return g.Removed[fp]
}

// mergeAlerts joins two records of one alert, either of which may be nil. The
// result is nil if neither was written after since and deleted.
func mergeAlerts(x, y *Alert, since, deleted Stamp) *Alert {
	gone := max(since, deleted)
	if x != nil && x.Stamp <= gone {
		x = nil
	}
	if y != nil && y.Stamp <= gone {
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
		recorded = mergeEpisodes(x.Recorded, y.Recorded, gone)
	case winner.RemovalStamp == since && !slices.ContainsFunc(winner.Recorded, func(e Episode) bool { return e.Stamp <= gone }):
		return winner // as most are, of two copies of a large group
	default:
		recorded = mergeEpisodes(winner.Recorded, nil, gone)
	}
	if winner.RemovalStamp == since && slices.EqualFunc(winner.Recorded, recorded, equalEpisode) {
		return winner
	}
	merged := *winner
	merged.RemovalStamp, merged.Recorded = since, recorded
	return &merged
}

// compareAlerts orders two records of one alert: the newer write is greater.
// Stamps are unique, so the rest only serves damaged or foreign data, where
// replicas must agree all the same: the later end, so that resolved wins over
// firing, and at last the content.
func compareAlerts(a, b *Alert) int {
	if c := strings.Compare(string(a.Stamp), string(b.Stamp)); c != 0 || a == b {
		return c
	}
	if c := a.EndsAt.Compare(b.EndsAt); c != 0 {
		return c
	}
	// Episodes are united whoever wins.
	x, y := *a, *b
	x.Recorded, y.Recorded, x.RemovalStamp, y.RemovalStamp = nil, nil, "", ""
	return cmp.Or(compareContent(&x, &y), strings.Compare(a.Unknown, b.Unknown))
}

func compareMeta(a, b *Meta) int {
	if c := strings.Compare(string(a.Stamp), string(b.Stamp)); c != 0 || equalMeta(a, b) {
		return c
	}
	return cmp.Or(compareContent(a, b), strings.Compare(a.Unknown, b.Unknown))
}

func compareContent(a, b any) int {
	x, _ := json.Marshal(a, json.Deterministic(true))
	y, _ := json.Marshal(b, json.Deterministic(true))
	return slices.Compare(x, y)
}

// zip calls fn for every fingerprint of two sorted lists with the alerts that
// carry it, nil where one list has none.
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
