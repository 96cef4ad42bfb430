package grouping

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Bucket holds all alerts that have the same values of some labels.
type Bucket struct {
	Values []string // in the order of the label names
	// Alerts are in the order of their groups. An alert that is in several groups of a
	// source counts once.
	Alerts  []*Alert
	Groups  int            // number of groups with one of the alerts
	Sources map[string]int // number of these groups by source
	// Severity is the most urgent severity of the alerts. NewestAt is the start of the
	// newest alert with that severity.
	Severity Severity
	NewestAt time.Time

	last *AlertGroup // the last group that was counted
}

// ByLabels sorts the alerts of the groups into buckets by their values of the named
// labels. It takes the alerts that the query matches, and ignores the rest of the query
// except for the sort order of the buckets.
func ByLabels(groups []*AlertGroup, q ListQuery, names []string) []*Bucket {
	b := bucketer{names: names, buckets: map[string]*Bucket{}, seen: map[bucketEntry]struct{}{}}
	selector := newSelector(&q)
	for _, g := range groups {
		for _, a := range g.Alerts {
			if selector.matchesAlert(a) {
				b.add(g, a)
			}
		}
	}
	out := slices.Collect(maps.Values(b.buckets))
	slices.SortFunc(out, func(x, y *Bucket) int { return x.compare(y, q.Sort) })
	return out
}

// bucketer sorts alerts into buckets.
type bucketer struct {
	names   []string
	buckets map[string]*Bucket // by the joined values
	seen    map[bucketEntry]struct{}
}

// bucketEntry is an alert of a source in a bucket.
type bucketEntry struct {
	bucket, source string
	alert          Fingerprint
}

func (b *bucketer) add(g *AlertGroup, a *Alert) {
	values := make([]string, len(b.names))
	for i, name := range b.names {
		values[i] = a.Labels.Get(name)
	}
	key := strings.Join(values, "\xff")
	bucket := b.buckets[key]
	if bucket == nil {
		bucket = &Bucket{Values: values, Severity: SeverityNone, Sources: map[string]int{}}
		b.buckets[key] = bucket
	}
	if bucket.last != g {
		bucket.last = g
		bucket.Groups++
		bucket.Sources[g.Source]++
	}
	entry := bucketEntry{key, g.Source, a.Fingerprint}
	if _, known := b.seen[entry]; known {
		return
	}
	b.seen[entry] = struct{}{}
	bucket.Alerts = append(bucket.Alerts, a)
	if c := a.Severity().Compare(bucket.Severity); c < 0 || c == 0 && a.Began().After(bucket.NewestAt) {
		bucket.Severity, bucket.NewestAt = a.Severity(), a.Began()
	}
}

// compare orders two buckets like groups in the sort order. Buckets do not know when
// they changed, so SortUpdated is the same as SortNewest.
func (b *Bucket) compare(o *Bucket, s Sort) int {
	byValues, byAge := slices.Compare(b.Values, o.Values), o.NewestAt.Compare(b.NewestAt)
	switch s {
	case SortName:
		return byValues
	case SortCount:
		return cmp.Or(cmp.Compare(len(o.Alerts), len(b.Alerts)), byValues)
	case SortNewest, SortUpdated:
		return cmp.Or(byAge, byValues)
	default:
		return cmp.Or(b.Severity.Compare(o.Severity), byAge, byValues)
	}
}
