package templates

import (
	"strconv"
	"time"

	"muster/grouping"
	"muster/history"
)

// BeforeLine says how often a group or an alert fired before.
type BeforeLine struct {
	Source string // empty if there is one source only
	Times  string
	Usual  string
	Lead   string // of Last
	Last   Moment // start of the last episode, or zero
	Href   string // leads to the state at the end of the last episode
	Lasted string
}

// minForUsual is the minimum number of resolved episodes that say how long one usually takes.
const minForUsual = 3

// newBeforeLine returns what b says. page is the URL of the page. It returns false if b says
// nothing.
func newBeforeLine(s *Site, b *history.Before, page func(Links) string) (l BeforeLine, ok bool) {
	if b.Firings == 0 {
		return l, false
	}
	l.Times, l.Lead = timesBefore(b, s.Now), "The last one was on "
	if !b.Newest.EndsAt.IsZero() {
		l.Lead = "The one before was on "
	}
	if b.Resolved >= minForUsual {
		l.Usual = "It usually ends within " + Age(b.Median) + ", the longest took " + Age(b.Longest) + "."
	}
	if e := b.Last; !e.StartsAt.IsZero() {
		l.Last = newMoment(e.StartsAt, s.clock())
		at := e.StartsAt
		if !e.EndsAt.IsZero() {
			l.Lasted, at = Age(e.EndsAt.Sub(e.StartsAt)), e.EndsAt
		}
		l.Href = page(s.Links.Then(at))
	}
	return l, true
}

// timesBefore says how often something fired, for example "4th time in 7 days, 11th in 30
// days.".
func timesBefore(b *history.Before, now time.Time) string {
	window := "30 days"
	if !b.Covers(history.BeforeWindow-24*time.Hour, now) { // a quiet history begins a little later
		window = "the " + daysKnown(now.Sub(b.KnownSince)) + " that are known"
	}
	without := "."
	if b.NoData > 0 {
		without = ", of which " + Age(b.NoData) + " are without data."
	}
	times := ordinal(b.Firings) + " time in " + window
	switch {
	case b.RecentFirings == 0:
		times = plural(b.Firings, "time", "times") + " in " + window + ", but not in the last 7 days"
		if b.Firings == 1 {
			times = "Once in " + window + ", but not in the last 7 days"
		}
	case b.Firings > 1 && b.Covers(history.RecentWindow, now):
		times = ordinal(b.RecentFirings) + " time in 7 days, " + lowerFirst(ordinal(b.Firings)) + " in " + window
	}
	return times + without
}

// daysKnown writes how far back the history reaches.
func daysKnown(d time.Duration) string {
	if days := int(d / (24 * time.Hour)); days > 1 {
		return strconv.Itoa(days) + " days"
	}
	return Age(d)
}

func lowerFirst(ordinal string) string {
	if ordinal == firstTime {
		return "first"
	}
	return ordinal
}

const firstTime = "First"

// ordinal writes a number as in "4th time".
func ordinal(n int) string {
	suffix := "th"
	switch {
	case n == 1:
		return firstTime
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		suffix = "st"
	case n%10 == 2:
		suffix = "nd"
	case n%10 == 3:
		suffix = "rd"
	}
	return formatCount(n) + suffix
}

// longerMark returns a mark if the newest episode takes longer than usual.
func longerMark(s *Site, b *history.Before) (Mark, bool) {
	if !b.LongerThanUsual(s.Now) {
		return Mark{}, false
	}
	return Mark{
		Text: "longer than usual", Loud: true, Href: s.Links.Word("longer"),
		Title: "90 % of its episodes ended within " + Age(b.P90),
	}, true
}

// minForOften is the number of episodes within RecentWindow from which a row says how often.
const minForOften = 3

// withBeforeMarks adds what the earlier episodes of a group say to the marks of its row.
func (s *Site) withBeforeMarks(g *grouping.AlertGroup, marks []Mark) []Mark {
	if s.BeforeOf == nil || g.Counts.Firing+g.Counts.Suppressed == 0 {
		return marks
	}
	b, known := s.BeforeOf(g)
	if !known {
		return marks
	}
	if m, ok := longerMark(s, &b); ok {
		marks = append([]Mark{m}, marks...)
	}
	if b.RecentFirings >= minForOften {
		window := "7 days"
		if !b.Covers(history.RecentWindow, s.Now) {
			window = daysKnown(s.Now.Sub(b.KnownSince))
		}
		marks = append(marks, Mark{
			Text: ordinal(b.RecentFirings) + " in " + window, Href: s.Links.Word("often"),
			Title: "How often the group fired in this time, with this one",
		})
	}
	return marks
}

// SetBefore says on the page how often the group fired before.
func (p *GroupPage) SetBefore(s *Site, v GroupView, id grouping.ID, b *history.Before) {
	if l, ok := newBeforeLine(s, b, v.Page(id)); ok {
		p.Before = &l
	}
	if m, ok := longerMark(s, b); ok {
		p.Marks = append([]Mark{m}, p.Marks...)
	}
}

// SourceBefore says how often an alert fired before in a source.
type SourceBefore struct {
	Source string
	Before history.Before
}

// SetBefore says on the page how often the alert fired before, in each source.
func (p *AlertPage) SetBefore(s *Site, v AlertView, fp grouping.Fingerprint, all []SourceBefore) {
	for i := range all {
		l, ok := newBeforeLine(s, &all[i].Before, v.Page(fp))
		if !ok {
			continue
		}
		if l.Source = all[i].Source; len(all) == 1 {
			l.Source = ""
			if m, ok := longerMark(s, &all[i].Before); ok {
				p.Marks = append([]Mark{m}, p.Marks...)
			}
		}
		p.Before = append(p.Before, l)
	}
}
