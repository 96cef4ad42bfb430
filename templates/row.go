package templates

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"muster/grouping"
	"muster/internal/query"
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
	Says     string  // text of the second line
	Why      Phrases // what mutes the alerts, in place of Says and Values
	Values   string  // values that distinguish the alerts, in the second line
	Names    bool    // Values are names of alerts

	Count                  string // 6
	Counted                string // firing
	Mix                    string // 2 resolved, 3 critical · 4 warning
	Inhibits, InhibitsHref string // inhibits 12 alerts
	Matched                string // 2 of 6 match
	Spark                  string // SVG path of 120 × 16 with the activity of the last hours
	Ack                    *RowAck
	Since                  Moment
	Verb                   Verb   // what happened at Since, if the group is not firing
	Ago                    string // after an age that counts from a past event
}

// sharedLabels returns the labels that all groups share and that a row would show.
// It is empty for one group. It omits alertname and severity, because the head of
// each row shows them.
func sharedLabels(groups []*grouping.AlertGroup) grouping.Labels {
	if len(groups) < 2 {
		return grouping.Labels{}
	}
	shared := grouping.SharedLabels(len(groups), func(i int) grouping.Labels {
		g := groups[i]
		if g.CommonLabels.IsZero() {
			return g.GroupLabels
		}
		return g.CommonLabels
	})
	return shared.Filter(func(name, _ string) bool {
		grouped := slices.ContainsFunc(groups, func(g *grouping.AlertGroup) bool { _, ok := g.GroupLabels.Lookup(name); return ok })
		return name != "alertname" && name != grouping.SeverityLabel() && grouped
	})
}

// title returns the name of a group: its alertname, or else the names and values
// of its group labels without shared, or else its receiver.
func title(g *grouping.AlertGroup, shared grouping.Labels) string {
	if name := g.GroupLabels.Get("alertname"); name != "" {
		return visible(name)
	}
	if g.GroupLabels.IsZero() {
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

// severityMix counts the alerts with a status by severity. It is empty if all have the
// same severity.
func severityMix(alerts []*grouping.Alert, status grouping.Status) string {
	var n [grouping.SeverityNone + 1]int
	kinds := 0
	for _, a := range alerts {
		if a.ShownStatus() == status {
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
			parts = append(parts, formatCount(n)+"\u00a0"+severities[rank].Word) // a line ends between the parts only
		}
	}
	return strings.Join(parts, " · ")
}

// NewGroupRow makes the row of a group in the view. The row omits the labels in
// shared.
func NewGroupRow(g *grouping.AlertGroup, v View, s *Site, shared grouping.Labels) GroupRow {
	firing := g.Counts.Firing
	if v.State == query.StateSuppressed {
		g = suppressedPart(g)
	}
	all := s.groupCauses(g)
	r := GroupRow{
		Key: string(g.ID), Href: s.Links.Group(g.ID), Severity: groupLook(g), Title: title(g, shared),
		Marks: groupMarks(g, s, all), Spark: spark(g.Alerts, s.Now),
	}
	if g.GroupLabels.Get("alertname") != "" {
		r.Chips = labelChips(g.GroupLabels, v, s.Links, func(name string) bool {
			return name == "alertname" || shared.Has(name, g.GroupLabels.Get(name))
		})
	}
	r.Chips = append(s.originChips(g.Source, g.Receiver, v), r.Chips...)
	if g.Counts.Firing == 0 {
		r.Why = s.groupWhy(g, all)
	}
	if len(r.Why) == 0 {
		r.Says, r.Values = secondLine(g)
		r.Names = g.GroupLabels.Get("alertname") == ""
	}
	r.Count, r.Counted, r.Mix = groupCounts(g, false)
	if firing > g.Counts.Firing {
		r.Mix = joinCounts(r.Mix, formatCount(firing)+" firing")
	}
	if n := s.inhibits(g); n > 0 {
		r.Inhibits = "inhibits " + plural(n, "alert", "alerts")
		r.InhibitsHref = s.Links.Groups(causeView(grouping.MuteInhibition))
	}
	r.Marks = s.withBeforeMarks(g, r.Marks)
	r.Since, r.Verb = groupSince(g, s.Now)
	r.Ago = s.ago()
	if len(v.Matchers) > 0 {
		r.Matched = matchedCount(g, v)
	}
	if m, ok := s.ackMark(g); ok {
		r.Marks = append([]Mark{m}, r.Marks...)
	}
	if !v.Wall {
		r.Ack = s.rowAck(g, r.Title)
	}
	r.setVersions()
	return r
}

// suppressedPart returns the group with its suppressed alerts only, if other ones fire.
func suppressedPart(g *grouping.AlertGroup) *grouping.AlertGroup {
	if g.Counts.Firing == 0 || g.Counts.Suppressed == 0 {
		return g
	}
	part := *g
	part.Alerts = slices.DeleteFunc(slices.Clone(g.Alerts), func(a *grouping.Alert) bool {
		return a.ShownStatus() != grouping.StatusSuppressed
	})
	return grouping.NewAlertGroup(part)
}

// inhibits returns the number of alerts that the firing alerts of a group inhibit.
func (s *Site) inhibits(g *grouping.AlertGroup) int {
	if len(s.Mutes.Inhibits) == 0 {
		return 0
	}
	n := 0
	for _, a := range g.Alerts {
		if a.ShownStatus() == grouping.StatusFiring {
			n += s.Mutes.Inhibits[grouping.SourceAlert{Source: g.Source, Fingerprint: a.Fingerprint}]
		}
	}
	return n
}

// groupCounts returns the number of alerts in the most urgent status, the word for
// that status, and the numbers of the other alerts. A row has room for two of these, so
// it has the resolved ones only if all is set or if there are fewer.
func groupCounts(g *grouping.AlertGroup, all bool) (n, word, mix string) {
	c := g.Counts
	counts := []struct {
		n      int
		status grouping.Status
	}{
		{c.Firing, grouping.StatusFiring},
		{c.Suppressed, grouping.StatusSuppressed},
		{c.Unreported, grouping.StatusUnreported},
		{c.Resolved, grouping.StatusResolved},
	}
	var rest []string
	for _, of := range counts {
		switch {
		case of.n == 0:
		case n == "":
			n, word = formatCount(of.n), string(of.status)
			if of.status == grouping.StatusFiring || of.status == grouping.StatusSuppressed {
				if m := severityMix(g.Alerts, of.status); m != "" {
					rest = append(rest, m)
				}
			}
		case of.status != grouping.StatusResolved || all || len(rest) < 2:
			rest = append(rest, formatCount(of.n)+"\u00a0"+string(of.status))
		}
	}
	if n == "" {
		n, word = "0", string(grouping.StatusResolved)
	}
	return n, word, strings.Join(rest, " · ")
}

// joinCounts joins the numbers of alerts, which may be empty.
func joinCounts(counts ...string) string {
	return strings.Join(slices.DeleteFunc(counts, func(s string) bool { return s == "" }), " · ")
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
// is the start of the newest alert of the worst severity, and for a suppressed group too.
func groupSince(g *grouping.AlertGroup, now time.Time) (Moment, Verb) {
	switch {
	case g.Counts.Firing > 0, g.Counts.Suppressed > 0:
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
	say(r.Title, r.Severity.Word, r.Says, r.Values, r.Why.identity(), r.Count, r.Counted, r.Since.ISO)
	for _, m := range r.Marks {
		say(m.Text + m.Says.identity())
	}
	r.Change = fmt.Sprintf("%08x", h.Sum32())
	if r.Ack != nil {
		say(r.Ack.Episode)
	}
	say(r.Mix, r.Inhibits, r.Matched, r.Spark, r.Href, string(r.Verb), r.Severity.Shape)
	for _, c := range r.Chips {
		say(c.Text, c.Href)
	}
	r.Version = fmt.Sprintf("%08x", h.Sum32())
}
