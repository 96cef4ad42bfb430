package templates

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// GroupRow is a group in a list.
type GroupRow struct {
	Key     string // identifies the row in a live update
	Version string // changes with everything that the row shows
	Change  string // changes with what a reader should notice

	Href     string
	Severity Severity
	Title    string
	Chips    []Chip
	Marks    []Mark
	Says     string // text of the second line
	Values   string // values that distinguish the alerts, in the second line
	Names    bool   // Values are names of alerts

	Count   string // 6
	Counted string // firing
	Mix     string // 2 resolved, 3 critical · 4 warning
	Matched string // 2 of 6 match
	Spark   string // SVG path of 120 × 16 with the activity of the last hours
	Since   Moment
	Verb    Verb // what happened at Since, if the group is not firing
}

// sharedLabels returns the labels that all groups share and that a row would show.
// It is empty for one group. It omits alertname and severity, because the head of
// each row shows them.
func sharedLabels(groups []*grouping.AlertGroup) grouping.Labels {
	if len(groups) < 2 {
		return nil
	}
	shared := grouping.SharedLabels(len(groups), func(i int) grouping.Labels {
		g := groups[i]
		if len(g.CommonLabels) == 0 {
			return g.GroupLabels
		}
		return g.CommonLabels
	})
	return slices.DeleteFunc(slices.Clone(shared), func(l grouping.Label) bool {
		grouped := slices.ContainsFunc(groups, func(g *grouping.AlertGroup) bool { _, ok := g.GroupLabels.Lookup(l.Name); return ok })
		return l.Name == "alertname" || l.Name == grouping.SeverityLabel() || !grouped
	})
}

// title returns the name of a group: its alertname, or else the names and values
// of its group labels without shared, or else its receiver.
func title(g *grouping.AlertGroup, shared grouping.Labels) string {
	if name := g.GroupLabels.Get("alertname"); name != "" {
		return name
	}
	if len(g.GroupLabels) == 0 {
		return "receiver: " + g.Receiver
	}
	var own, all []string
	for _, name := range g.GroupLabels.Names() {
		part := name + " " + g.GroupLabels.Get(name)
		if all = append(all, part); !shared.Has(name, g.GroupLabels.Get(name)) {
			own = append(own, part)
		}
	}
	if len(own) > 0 {
		all = own
	}
	return strings.Join(all, ", ")
}

// severityMix counts the firing alerts by severity. It is empty if all have the
// same severity.
func severityMix(alerts []*grouping.Alert) string {
	var n [grouping.SeverityNone + 1]int
	kinds := 0
	for _, a := range alerts {
		if a.Status == grouping.StatusFiring {
			if n[a.Severity()]++; n[a.Severity()] == 1 {
				kinds++
			}
		}
	}
	if kinds < 2 {
		return ""
	}
	var parts []string
	for rank, n := range n {
		if n > 0 {
			parts = append(parts, formatCount(n)+" "+severities[rank].Word)
		}
	}
	return strings.Join(parts, " · ")
}

// NewGroupRow makes the row of a group in the view. The row omits the labels in
// shared.
func NewGroupRow(g *grouping.AlertGroup, v View, s *Site, shared grouping.Labels) GroupRow {
	r := GroupRow{
		Key: string(g.ID), Href: s.Links.Group(g.ID), Severity: groupLook(g), Title: title(g, shared),
		Marks: groupMarks(g, s), Spark: spark(g.Alerts, s.Now),
	}
	if g.GroupLabels.Get("alertname") != "" {
		r.Chips = labelChips(g.GroupLabels, v, s.Links, func(name string) bool {
			return name == "alertname" || shared.Has(name, g.GroupLabels.Get(name))
		})
	}
	r.Chips = append(s.originChips(g.Source, g.Receiver, v), r.Chips...)
	r.Says, r.Values = secondLine(g)
	r.Names = g.GroupLabels.Get("alertname") == ""
	r.Count, r.Counted, r.Mix = groupCounts(g)
	r.Since, r.Verb = groupSince(g, s.Now)
	if len(v.Matchers) > 0 {
		r.Matched = matchedCount(g, v)
	}
	r.setVersions()
	return r
}

// groupCounts returns the number of alerts in the most urgent status, the word for
// that status, and the numbers of the other alerts.
func groupCounts(g *grouping.AlertGroup) (n, word, mix string) {
	c := g.Counts
	var rest []string
	switch {
	case c.Firing > 0:
		n, word = formatCount(c.Firing), "firing"
		if m := severityMix(g.Alerts); m != "" {
			rest = append(rest, m)
		}
		if c.Unreported > 0 {
			rest = append(rest, formatCount(c.Unreported)+" unreported")
		}
		if c.Resolved > 0 {
			rest = append(rest, formatCount(c.Resolved)+" resolved")
		}
	case c.Unreported > 0:
		n, word = formatCount(c.Unreported), "unreported"
		if c.Resolved > 0 {
			rest = append(rest, formatCount(c.Resolved)+" resolved")
		}
	default:
		n, word = formatCount(c.Resolved), "resolved"
	}
	return n, word, strings.Join(rest, " · ")
}

// Verb is the text before an age.
type Verb string

const (
	verbUnreported Verb = "not reported for"
	verbResolved   Verb = "resolved"
)

// Ago reports whether the age counts from a past event. Otherwise it is the
// duration of a state.
func (v Verb) Ago() bool { return v == verbResolved }

// groupSince returns the moment that a row's age counts from. For a firing group it
// is the start of the newest alert of the worst severity.
func groupSince(g *grouping.AlertGroup, now time.Time) (Moment, Verb) {
	switch {
	case g.Counts.Firing > 0:
		return newMoment(g.NewestAt, now), ""
	case g.State == grouping.StateUnreported:
		return newMoment(g.ChangedAt(), now), verbUnreported
	default:
		return newMoment(g.ResolvedAt(), now), verbResolved
	}
}

// matchedCount returns how many of the alerts in the view's state match: "2 of 6
// match". It is empty if all match.
func matchedCount(g *grouping.AlertGroup, v View) string {
	q := v.ListQuery()
	n, of := q.CountMatches(g)
	if n == 0 || n == of {
		return ""
	}
	return formatCount(n) + " of " + formatCount(of) + " match"
}

// setVersions sets Version and Change to hashes of what the row shows. They do not
// contain ages, because the script updates these by itself.
func (r *GroupRow) setVersions() {
	h := fnv.New32a()
	say := func(parts ...string) {
		for _, p := range parts {
			_, _ = h.Write([]byte(p))
			_, _ = h.Write([]byte{0xff})
		}
	}
	say(r.Title, r.Severity.Word, r.Says, r.Values, r.Count, r.Counted, r.Since.ISO)
	for _, m := range r.Marks {
		say(m.Text)
	}
	r.Change = fmt.Sprintf("%08x", h.Sum32())
	say(r.Mix, r.Matched, r.Spark, r.Href, string(r.Verb))
	for _, c := range r.Chips {
		say(c.Text, c.Href)
	}
	r.Version = fmt.Sprintf("%08x", h.Sum32())
}
