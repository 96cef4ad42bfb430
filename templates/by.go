package templates

import (
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
	case d%time.Hour == 0:
		return strings.TrimSuffix(d.String(), "0m0s")
	case d%time.Minute == 0:
		return strings.TrimSuffix(d.String(), "0s")
	default:
		return d.String()
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

// NewByPage makes the list grouped by the labels v.By. groups are all groups that
// the view selects, in any order.
func NewByPage(s *Site, v View, groups []*grouping.AlertGroup) *GroupsPage {
	p := groupsPageWithoutRows(s, v)
	if !v.Filtered() {
		groups = slices.DeleteFunc(slices.Clone(groups), s.hides)
	}
	rows := grouping.ByLabels(groups, v.ListQuery(), v.By)
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

// sourcesOf lists the sources of a row. It is empty if Muster knows one source
// only.
func sourcesOf(b *grouping.Bucket, s *Site) string {
	if !s.manySources() {
		return ""
	}
	return " in " + listValues(sortedKeys(b.Sources))
}

func newByRow(b *grouping.Bucket, v View, s *Site) ByRow {
	to := v.ungrouped()
	parts := make([]string, len(b.Values))
	for i, value := range b.Values {
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
		Href: href, Severity: severities[b.Severity], Title: strings.Join(parts, ", "),
		Values: listNames(countNames(b.Alerts)), Count: formatCount(len(b.Alerts)), Counted: "firing",
		Mix:    severityMix(b.Alerts, b.Alerts[0].ShownStatus()),
		Groups: "in " + plural(b.Groups, "group", "groups") + sourcesOf(b, s), Since: newMoment(b.NewestAt, s.Now),
	}
	switch v.State {
	case query.StateFiring:
	case query.StateSuppressed:
		r.Counted, r.Severity.Mute, r.Severity.Shape = "suppressed", true, hollow[b.Severity]
	case query.StateUnreported:
		r.Counted, r.Severity = "unreported", lookUnreported
	case query.StateResolved:
		r.Counted, r.Severity = "resolved", lookResolved
	default:
		r.Counted = plainly(len(b.Alerts), "alert", "alerts")
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
