package templates

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"muster/grouping"
	"muster/internal/query"
)

func joinBy(by []string) string { return strings.Join(by, ",") }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// formatDuration writes a duration of the configuration: 7d, 36h, 90m.
func formatDuration(d time.Duration) string {
	switch {
	case d <= 0:
		return "a while"
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	default:
		return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
	}
}

// ByRow is a row of a list that is grouped by labels. It holds all alerts that
// have the same values of these labels.
type ByRow struct {
	Key, Version, Change string
	Href                 string
	Severity             Severity
	Title                string
	Values               string // HTTPErrorBudgetBurn, KubePodCrashLooping ×6
	Count, Counted, Mix  string
	Groups               string // in 3 groups
	Since                Moment
}

// maxByRows is the maximum number of rows of such a list. During an alert storm,
// by=pod would give too many rows to read.
const maxByRows = 200

// bucket holds the alerts of one row.
type bucket struct {
	values []string
	alerts []*grouping.Alert
	groups int
	worst  grouping.Severity
	newest time.Time
	last   *grouping.AlertGroup // the last group that was counted
	source map[string]int       // number of groups by source
}

// NewByPage makes the list grouped by the labels v.By. groups are all groups that
// the view selects, in any order.
func NewByPage(s *Site, v View, groups []*grouping.AlertGroup) *GroupsPage {
	p := groupsPageWithoutRows(s, v)
	rows := regroup(s, groups, v)
	total := len(rows)
	for _, b := range rows[:min(total, maxByRows)] {
		p.ByRows = append(p.ByRows, newByRow(b, v, s))
	}
	if total == 0 {
		p.setEmpty(s, v)
	}
	if total > maxByRows {
		p.Pager = &Pager{Text: fmt.Sprintf("1–%d of %s. Narrow the filter or group by fewer labels.", maxByRows, formatCount(total))}
	}
	return p
}

// regroup sorts the alerts into buckets by the values of the view's labels. An
// alert that is in several groups of a source counts once.
func regroup(s *Site, groups []*grouping.AlertGroup, v View) []*bucket {
	q := v.ListQuery()
	type entry struct{ bucket, alert string }
	seen := map[entry]struct{}{}
	buckets := map[string]*bucket{}
	for _, g := range groups {
		if !v.Filtered() && s.hides(g) {
			continue
		}
		for _, a := range g.Alerts {
			if !q.MatchesAlert(a) {
				continue
			}
			values := make([]string, len(v.By))
			for i, name := range v.By {
				values[i] = a.Labels[name]
			}
			key := strings.Join(values, "\xff")
			b := buckets[key]
			if b == nil {
				b = &bucket{values: values, worst: grouping.SeverityNone, source: map[string]int{}}
				buckets[key] = b
			}
			if b.last != g {
				b.last = g
				b.groups++
				b.source[g.Source]++
			}
			at := entry{key, g.Source + "\xff" + string(a.Fingerprint)}
			if _, dup := seen[at]; dup {
				continue
			}
			seen[at] = struct{}{}
			b.alerts = append(b.alerts, a)
			if c := a.Severity().Compare(b.worst); c < 0 || c == 0 && a.Began().After(b.newest) {
				b.worst, b.newest = a.Severity(), a.Began()
			}
		}
	}
	out := slices.Collect(maps.Values(buckets))
	slices.SortFunc(out, func(x, y *bucket) int {
		c := slices.Compare(x.values, y.values)
		switch v.Sort {
		case grouping.SortName:
		case grouping.SortCount:
			c = cmp.Or(cmp.Compare(len(y.alerts), len(x.alerts)), c)
		case grouping.SortNewest, grouping.SortUpdated:
			c = cmp.Or(y.newest.Compare(x.newest), c)
		default:
			c = cmp.Or(x.worst.Compare(y.worst), y.newest.Compare(x.newest), c)
		}
		return c
	})
	return out
}

// sourcesOf lists the sources of a row. It is empty if Muster knows one source
// only.
func sourcesOf(b *bucket, s *Site) string {
	if !s.manySources() {
		return ""
	}
	return " in " + listValues(sortedKeys(b.source))
}

func newByRow(b *bucket, v View, s *Site) ByRow {
	to := v.ungrouped()
	parts := make([]string, len(b.values))
	for i, value := range b.values {
		to = to.with(equals(v.By[i], value))
		if value == "" {
			parts[i] = "no " + v.By[i]
		} else {
			parts[i] = v.By[i] + " " + value
		}
	}
	href := s.Links.Groups(to)
	if len(href) > maxLinkLength {
		href = s.Links.Groups(v.ungrouped())
	}
	r := ByRow{
		Href: href, Severity: severities[b.worst], Title: strings.Join(parts, ", "),
		Values: listNames(countNames(b.alerts)), Count: formatCount(len(b.alerts)), Counted: "firing", Mix: severityMix(b.alerts),
		Groups: "in " + plural(b.groups, "group", "groups") + sourcesOf(b, s), Since: newMoment(b.newest, s.Now),
	}
	switch v.State {
	case query.StateFiring:
	case query.StateUnreported:
		r.Counted, r.Severity = "unreported", lookUnreported
	case query.StateResolved:
		r.Counted, r.Severity = "resolved", lookResolved
	default:
		r.Counted = "alerts"
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%q", r.Title)
	r.Key = fmt.Sprintf("by-%08x", h.Sum32())
	fmt.Fprintf(h, "%q %s %q %s", r.Values, r.Count, r.Severity.Word, r.Since.ISO)
	r.Change = fmt.Sprintf("%08x", h.Sum32())
	fmt.Fprintf(h, "%q %q %q", r.Groups, r.Mix, r.Href)
	r.Version = fmt.Sprintf("%08x", h.Sum32())
	return r
}
