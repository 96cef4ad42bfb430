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

// Mark is a warning about a row. It links to its explanation, because the title of
// an element needs a mouse.
type Mark struct {
	Text, Title, Href string
	Loud              bool
}

// pageLabels are the labels that all rows share, and that the page shows once.
type pageLabels map[string]string

func (h pageLabels) has(name, value string) bool {
	v, ok := h[name]
	return ok && v == value
}

// sharedLabels returns the labels that all groups share and that a row would show.
// It is empty for one group. It omits alertname and severity, because the head of
// each row shows them.
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

// title returns the name of a group: its alertname, or else the names and values
// of its group labels without shared, or else its receiver.
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

// maxShownValues is the maximum number of values in the second line of a row.
const maxShownValues = 3

// secondLine returns what a group is about. It returns a summary only if all of
// its alerts have the same, because the summary of one alert is wrong for others.
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

// truncateText limits the length of a text in a list. The group's page has the
// whole text.
func truncateText(s string) string {
	const maximum = 240 // bytes; three lines on a wide screen
	if len(s) <= maximum {
		return s
	}
	end := maximum
	for end > 0 && s[end]&0xc0 == 0x80 { // do not split a character
		end--
	}
	return s[:end] + "…"
}

// listValues lists the first values and the number of the others. It writes a
// common prefix once, because names of pods differ in their last part, and a small
// screen cuts that part off.
func listValues(values []string) string {
	rest := ""
	if len(values) > maxShownValues+1 { // ", +1" is not shorter than the value
		rest = ", +" + formatCount(len(values)-maxShownValues)
		values = values[:maxShownValues]
	}
	const lineLength = 40
	plain := strings.Join(values, ", ")
	shared := len(sharedPrefix(values))
	if shared == 0 || len(plain) <= lineLength {
		return plain + rest
	}
	var b strings.Builder
	b.WriteString(values[0])
	for _, value := range values[1:] {
		b.WriteString(", …" + value[shared:])
	}
	return b.String() + rest
}

// sharedPrefix returns the common prefix of all values up to a separator. It is
// empty if the prefix is too short to be worth omitting.
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
	const minimum = 10
	head = head[:strings.LastIndexAny(head, "-./:_")+1]
	if len(head) < minimum {
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

// matchedCount returns how many of the alerts in the view's state match: "2 of 6
// match". It is empty if all match.
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

// flapsPerHour is the minimum number of episodes of one alert within an hour that
// makes it flap.
const flapsPerHour = 4

// restartMarkDuration is how long after a start a group without a new notification
// has a mark.
const restartMarkDuration = time.Hour

func groupMarks(g *grouping.AlertGroup, s *Site) []Mark {
	var out []Mark
	add := func(loud bool, word, text, title string) {
		out = append(out, Mark{Text: text, Title: title, Href: s.Links.Word(word), Loud: loud})
	}
	if g.Stale {
		add(true, "stale", "stale", "Firing, but no notification about this group since "+formatClock(g.LastNotifiedAt, s.Now)+" UTC")
	}
	if g.Truncated > 0 {
		add(true, "truncated", "truncated +"+formatCount(truncatedCount(g.Truncated)),
			"Number of alerts truncated from the last notification. The counts are minimums")
	}
	if n := disputedCount(g.Alerts); n > 0 {
		add(true, "disagree", "Alertmanagers disagree",
			plural(n, "alert", "alerts")+": one Alertmanager reports firing, another reports resolved")
	}
	if m, ok := futureMark(s, g.Alerts); ok {
		out = append(out, m)
	}
	if n := flaps(g.Alerts, s.Now); n >= flapsPerHour {
		add(false, "flapping", fmt.Sprintf("flapping ×%d/h", n), "Number of times that an alert started firing within the last hour")
	}
	if g.Settling {
		add(false, "settling", "settling", "New group. Alertmanager reports further alerts after group_interval")
	}
	if beforeRestart(g, s) {
		add(false, "before-restart", "before restart", "Restored from the storage. No notification since Muster started")
	}
	return out
}

// beforeRestart reports whether Muster restarted recently and has received no
// notification about the group since.
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

// maxHiddenSkew is the maximum time by which a start can be in the future without a
// mark. Clocks of different machines always differ a little.
const maxHiddenSkew = time.Minute

// futureMark returns a mark if a start is in the future.
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
		Title: "The start is " + formatClock(at, s.Now) + " UTC. The age counts from the time of the report",
	}, true
}

// flaps returns the maximum number of times that one of the alerts started firing
// within the last hour.
func flaps(alerts []*grouping.Alert, now time.Time) int {
	maximum := 0
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
		maximum = max(maximum, n)
	}
	return maximum
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

// The spark has one bar per half hour. The bars are aligned to the clock, so that
// the picture changes only every half hour.
const (
	sparkBars = 12
	sparkStep = 30 * time.Minute
	// maxSparkAlerts limits the work for a large group. The first alerts are enough
	// to show the shape.
	maxSparkAlerts = 1000
)

// spark draws how many alerts fired in each half hour. It returns an SVG path of
// bars in a box of 120 × 16, or "" if no alert fired.
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
	maximum := slices.Max(bars[:])
	if maximum == 0 {
		return ""
	}
	var path []byte
	const height = 16
	for i, n := range bars {
		if n > 0 {
			h := int64(max(2, n*height/maximum))
			path = strconv.AppendInt(append(path, 'M'), int64(i*10+1), 10)
			path = strconv.AppendInt(append(path, " 16v-"...), h, 10)
			path = strconv.AppendInt(append(path, "h8v"...), h, 10)
			path = append(path, 'z')
		}
	}
	return string(path)
}

// knownEnd returns the end of an alert's newest episode, as far as it is known. For
// an unreported alert it is the time of the notification that omitted it. Zero
// means that the episode has not ended.
func knownEnd(a *grouping.Alert) time.Time {
	if a.Status == grouping.StatusUnreported && a.EndsAt.IsZero() {
		return a.ChangedAt
	}
	return a.EndsAt
}
