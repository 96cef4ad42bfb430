package templates

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/grouping"
)

// GroupRow is a group in a list.
type GroupRow struct {
	Key     string // for the live swap: which row
	Version string // changes with anything that the row shows
	Change  string // changes with what is worth a second look

	Href     string
	Severity Severity
	Title    string
	Chips    []Chip
	Marks    []Mark
	Says     string // the second line: a sentence
	Values   string // and what differs
	Names    bool   // the values are names of alerts

	Count   string // 6
	Counted string // firing
	Mix     string // 2 resolved, 3 critical · 4 warning
	Matched string // 2 of 6 match
	Spark   string // path of a 120 × 16 picture of the last hours
	Since   Moment
	Verb    Verb // what happened at Since, where the row does not fire
}

// Mark is a word of warning about a row. It links to what the word means, since
// a title needs a mouse.
type Mark struct {
	Text, Title, Href string
	Loud              bool
}

// hoist is what all listed groups share and the page says once.
type pageLabels map[string]string

func (h pageLabels) has(name, value string) bool {
	v, ok := h[name]
	return ok && v == value
}

// hoistLabels returns the labels that all the groups share and that some row
// would show. One group alone shares nothing; alertname and severity are in
// every row's head.
func sharedLabels(groups []*grouping.AlertGroup) pageLabels {
	if len(groups) < 2 {
		return nil
	}
	shared := sharedByAll(len(groups), func(i int) grouping.Labels {
		g := groups[i]
		if len(g.CommonLabels) == 0 {
			return g.GroupLabels
		}
		return g.CommonLabels
	})
	for name := range shared {
		grouped := slices.ContainsFunc(groups, func(g *grouping.AlertGroup) bool { _, ok := g.GroupLabels[name]; return ok })
		if name == "alertname" || name == grouping.SeverityLabel() || !grouped {
			delete(shared, name)
		}
	}
	return pageLabels(shared)
}

// title is what a group is called: its alertname; else the values of its group
// labels under their names, without those that the whole list shares; else its
// receiver.
func title(g *grouping.AlertGroup, shared pageLabels) string {
	if name := g.GroupLabels["alertname"]; name != "" {
		return name
	}
	if len(g.GroupLabels) == 0 {
		return "receiver: " + g.Receiver
	}
	var own, all []string
	for _, name := range g.GroupLabels.Names() {
		part := name + " " + g.GroupLabels[name]
		if all = append(all, part); !shared.has(name, g.GroupLabels[name]) {
			own = append(own, part)
		}
	}
	if len(own) > 0 {
		all = own
	}
	return strings.Join(all, ", ")
}

// shownValues is how many values the second line lists before it counts.
const maxShownValues = 3

// secondLine says what a group is about. The summary only if all of its alerts
// agree on it: the first one's lies for the others.
func secondLine(g *grouping.AlertGroup) (says, values string) {
	alerts := firingAlerts(g.Alerts)
	if len(alerts) == 0 {
		alerts = g.Alerts
	}
	if len(alerts) == 0 {
		return "", ""
	}
	if g.GroupLabels["alertname"] == "" {
		return "", listNames(countNames(alerts))
	}
	if len(alerts) == 1 {
		for _, name := range []string{"description", "message", "summary"} {
			if text := alerts[0].Annotations[name]; text != "" {
				return truncateText(text), ""
			}
		}
		return "", ""
	}
	says = annotationOfAll(alerts, "summary")
	if says == "" {
		says = annotationOfAll(alerts, "message")
	}
	if label := distinguishingLabel(alerts); label != "" {
		values = listValues(distinctValues(alerts, label))
	}
	return truncateText(says), values
}

// clip bounds a text on a list: the whole of it is on the group's page.
func truncateText(s string) string {
	const most = 240 // three lines on a wide screen
	if len(s) <= most {
		return s
	}
	end := most
	for end > 0 && s[end]&0xc0 == 0x80 { // not inside of a character
		end--
	}
	return s[:end] + "…"
}

// listValues lists the first values. What they begin with alike is written once:
// the pods of a deployment differ in their last part, which else were cut off.
func listValues(values []string) string {
	rest := ""
	if len(values) > maxShownValues+1 { // "+1" would not be shorter
		rest = ", +" + formatCount(len(values)-maxShownValues)
		values = values[:maxShownValues]
	}
	const room = 40
	plain := strings.Join(values, ", ")
	shared := len(sharedPrefix(values))
	if shared == 0 || len(plain) <= room {
		return plain + rest
	}
	var b strings.Builder
	b.WriteString(values[0])
	for _, value := range values[1:] {
		b.WriteString(", …" + value[shared:])
	}
	return b.String() + rest
}

// sharedHead is what all the values begin with, up to the end of a part, if it
// is long enough to be worth leaving out.
func sharedPrefix(values []string) string {
	if len(values) < 2 {
		return ""
	}
	head := values[0]
	for _, value := range values[1:] {
		for !strings.HasPrefix(value, head) {
			head = head[:len(head)-1]
		}
	}
	const least = 10
	head = head[:strings.LastIndexAny(head, "-./:_")+1]
	if len(head) < least {
		return ""
	}
	return head
}

func listNames(names []nameCount) string {
	var parts []string
	for i, c := range names {
		if i == maxShownValues+1 {
			parts = append(parts, "+"+formatCount(len(names)-i))
			break
		}
		if c.n > 1 {
			c.name += " ×" + formatCount(c.n)
		}
		parts = append(parts, c.name)
	}
	return strings.Join(parts, ", ")
}

// severityMix tells the severities of firing alerts apart, if there are several.
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

// NewGroupRow makes the row of a group as the view lists it.
func NewGroupRow(g *grouping.AlertGroup, v View, s *Site, shared pageLabels) GroupRow {
	r := GroupRow{
		Key: string(g.ID), Href: s.Links.Group(g.ID), Severity: groupLook(g), Title: title(g, shared),
		Marks: groupMarks(g, s), Spark: spark(g.Alerts, s.Now),
	}
	if g.GroupLabels["alertname"] != "" {
		r.Chips = labelChips(g.GroupLabels, v, s.Links, func(name string) bool {
			return name == "alertname" || shared.has(name, g.GroupLabels[name])
		})
	}
	r.Chips = append(s.originChips(g.Source, g.Receiver, v), r.Chips...)
	r.Says, r.Values = secondLine(g)
	r.Names = g.GroupLabels["alertname"] == ""
	r.Count, r.Counted, r.Mix = groupCounts(g)
	r.Since, r.Verb = groupSince(g, s.Now)
	if len(v.Matchers) > 0 {
		r.Matched = matchedCount(g, v)
	}
	r.setVersions()
	return r
}

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

// Verb is what stands before an age.
type Verb string

const (
	verbUnreported Verb = "not reported for"
	verbResolved   Verb = "resolved"
)

// Ago reports whether the age counts from a past event, not over a state.
func (v Verb) Ago() bool { return v == verbResolved }

// since is the moment that a row's age counts from: for a firing group the
// start of the newest alert of the worst severity, not of its oldest member.
func groupSince(g *grouping.AlertGroup, now time.Time) (Moment, Verb) {
	switch {
	case g.Counts.Firing > 0:
		return newMoment(g.NewestAt, now), ""
	case g.State == grouping.StateUnreported:
		return newMoment(lastChange(g), now), verbUnreported
	default:
		return newMoment(g.ResolvedAt(), now), verbResolved
	}
}

func lastChange(g *grouping.AlertGroup) time.Time {
	var at time.Time
	for _, a := range g.Alerts {
		if a.ChangedAt.After(at) {
			at = a.ChangedAt
		}
	}
	return at
}

// matched says how many alerts match, of those that are in the view's state.
func matchedCount(g *grouping.AlertGroup, v View) string {
	q := v.ListQuery()
	n, of := 0, 0
	for _, a := range g.Alerts {
		if q.Wants(a.Status) {
			of++
		}
		if q.MatchesAlert(a) {
			n++
		}
	}
	if n == 0 || n == of {
		return ""
	}
	return formatCount(n) + " of " + formatCount(of) + " match"
}

// flapsPerHour is from how many new episodes of one alert in an hour it flaps.
const flapsPerHour = 4

// restartMarked is for how long after a start groups without a new
// notification are marked.
const restartMarkDuration = time.Hour

func groupMarks(g *grouping.AlertGroup, s *Site) []Mark {
	var out []Mark
	add := func(loud bool, word, text, title string) {
		out = append(out, Mark{Text: text, Title: title, Href: s.Links.Word(word), Loud: loud})
	}
	if g.Stale {
		add(true, "stale", "stale", "Firing, but Alertmanager has not mentioned this group since "+formatClock(g.LastNotifiedAt, s.Now)+" UTC")
	}
	if g.Truncated > 0 {
		add(true, "truncated", "truncated +"+formatCount(truncatedCount(g.Truncated)), "This many alerts were cut from the last notification, by Alertmanager's max_alerts or by a limit of Muster: counts are lower bounds")
	}
	if n := disputedCount(g.Alerts); n > 0 {
		add(true, "disagree", "Alertmanagers disagree", "On "+plural(n, "alert", "alerts")+" one Alertmanager reports firing and another resolved")
	}
	if m, ok := futureMark(s, g.Alerts); ok {
		out = append(out, m)
	}
	if n := flaps(g.Alerts, s.Now); n >= flapsPerHour {
		add(false, "flapping", fmt.Sprintf("flapping ×%d/h", n), "An alert fired again this often within the last hour")
	}
	if g.Settling {
		add(false, "settling", "settling", "New: its first notification arrived moments ago. An alert that joins is reported after group_interval")
	}
	if beforeRestart(g, s) {
		add(false, "before-restart", "before restart", "Known from before Muster's restart; no notification since")
	}
	return out
}

// beforeRestart reports whether what is shown of the group is from before
// Muster's recent restart.
func beforeRestart(g *grouping.AlertGroup, s *Site) bool {
	return s.restored() && g.LastNotifiedAt.Before(s.StartedAt) && s.Now.Sub(s.StartedAt) < restartMarkDuration
}

func disputedCount(alerts []*grouping.Alert) int {
	n := 0
	for _, a := range alerts {
		if a.Disputed {
			n++
		}
	}
	return n
}

// aheadShown is how far a start has to lie ahead to be said: clocks differ.
const maxHiddenSkew = time.Minute

// futureMark says that an alert has a start in the future.
func futureMark(s *Site, alerts []*grouping.Alert) (Mark, bool) {
	var at time.Time
	for _, a := range alerts {
		if a.Status != grouping.StatusResolved && a.StartsAt.After(at) {
			at = a.StartsAt
		}
	}
	if at.Sub(s.Now) <= maxHiddenSkew {
		return Mark{}, false
	}
	return Mark{
		Text: "starts in the future", Href: s.Links.Word("future"), Loud: true,
		Title: "The sender gave " + formatClock(at, s.Now) + " UTC as its start. Its age counts from when it was reported",
	}, true
}

// flaps is how often the busiest alert began to fire within the last hour.
func flaps(alerts []*grouping.Alert, now time.Time) int {
	most := 0
	for _, a := range alerts {
		if len(a.Recorded) < flapsPerHour {
			continue
		}
		n := 0
		for _, e := range a.Episodes() {
			if now.Sub(e.StartsAt) <= time.Hour {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// version sums up what the row shows, times apart: those go on by themselves.
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

// The spark: bars of a half hour each, aligned to the clock so that a row's
// picture does not move with every look.
const (
	sparkBars = 12
	sparkStep = 30 * time.Minute
	// sparkAlerts bounds the work for a huge group; its shape shows earlier.
	maxSparkAlerts = 1000
)

// spark draws how many alerts fired in each half hour, as the path of filled
// bars in a box of 120 × 16; empty if none did.
func spark(alerts []*grouping.Alert, now time.Time) string {
	end := now.Truncate(sparkStep).Add(sparkStep)
	start := end.Add(-sparkBars * sparkStep)
	var bars [sparkBars]int
	mark := func(from, to time.Time) {
		if to.IsZero() || to.After(now) {
			to = now
		}
		if !to.After(start) || from.After(now) {
			return
		}
		first := max(0, int(from.Sub(start)/sparkStep))
		for i := first; i < sparkBars && start.Add(time.Duration(i)*sparkStep).Before(to); i++ {
			bars[i]++
		}
	}
	for _, a := range alerts[:min(len(alerts), maxSparkAlerts)] {
		if len(a.Recorded) <= 1 {
			mark(a.StartsAt, knownEnd(a))
			continue
		}
		eps := a.Episodes()
		for i, e := range eps {
			if i == len(eps)-1 {
				e.EndsAt = knownEnd(a)
			}
			mark(e.StartsAt, e.EndsAt)
		}
	}
	most := slices.Max(bars[:])
	if most == 0 {
		return ""
	}
	var path []byte
	const height = 16
	for i, n := range bars {
		if n > 0 {
			h := int64(max(2, n*height/most))
			path = strconv.AppendInt(append(path, 'M'), int64(i*10+1), 10)
			path = strconv.AppendInt(append(path, " 16v-"...), h, 10)
			path = strconv.AppendInt(append(path, "h8v"...), h, 10)
			path = append(path, 'z')
		}
	}
	return string(path)
}

// endOf is when an alert's newest episode ended, as far as is known: an
// unreported alert is known to fire until it was left out. Zero: it goes on.
func knownEnd(a *grouping.Alert) time.Time {
	if a.Status == grouping.StatusUnreported && a.EndsAt.IsZero() {
		return a.ChangedAt
	}
	return a.EndsAt
}
