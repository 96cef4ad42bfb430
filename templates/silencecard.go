package templates

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// SilenceCard is an active or a pending silence in a list.
type SilenceCard struct {
	Key, Version string
	Href         string
	Source       Chip
	Sets         [][]Chip // matchers; an alert must match all of one set
	By, Why      string
	Marks        []Mark
	Mutes        string // 2 alerts
	MutesHref    string
	Says         string // mutes … now
	Small        string // 2 critical · 1 group
	Left         Phrases
	Until        Phrases
}

// ExpiredSilence is an expired silence in a list.
type ExpiredSilence struct {
	Key, Href string
	Source    Chip
	Sets      [][]Chip
	By, Why   string
	Ended     Moment
	Lasted    string
	Muted     string
	Again     string // leads to the form for a new silence like this one, or ""
}

func (s *Site) newCard(of *grouping.SilenceInfo) SilenceCard {
	return SilenceCard{
		Key: of.Source + " " + of.ID, Href: s.silenceLink(of), Source: s.silenceSource(of), Sets: matcherSets(of.MatcherSets),
		By: shorten(cmp.Or(of.CreatedBy, "unknown")), Why: shorten(of.Comment),
	}
}

func (s *Site) silenceLink(of *grouping.SilenceInfo) string {
	return s.Links.SilenceOf(of.ID, s.manySource(of.Source))
}

// silenceSource returns a chip with the source if there are several.
func (s *Site) silenceSource(of *grouping.SilenceInfo) Chip {
	if !s.manySources() {
		return Chip{}
	}
	to := SilencesView{}
	to.Source = of.Source
	return Chip{Text: "source: " + of.Source, Href: s.Links.SilencesOf(to)}
}

// maxShownMatchers is the maximum number of matchers of a silence that a list shows.
const maxShownMatchers = 20

func matcherSets(sets [][]grouping.SilenceMatcher) [][]Chip {
	out := make([][]Chip, 0, len(sets))
	n := 0
	for _, set := range sets {
		var chips []Chip
		for _, m := range set {
			if n++; n <= maxShownMatchers {
				chips = append(chips, Chip{Text: shorten(m.String())})
			}
		}
		if len(chips) > 0 {
			out = append(out, chips)
		}
	}
	if n > maxShownMatchers {
		out = append(out, []Chip{{Text: fmt.Sprintf("+%d", n-maxShownMatchers)}})
	}
	return out
}

// mutedCounts are the numbers of the alerts that a silence mutes or muted.
type mutedCounts struct {
	alerts, critical, groups int
	warnings, others         int
	before                   int           // alerts that it muted, and no longer does
	lastBefore               time.Time     // the last end of these
	longestCritical          time.Duration // since it mutes a critical alert
	names                    int           // different names of the muted alerts
}

// countMuted counts each alert once, whatever the number of its groups.
func countMuted(of *grouping.SilenceInfo, now time.Time) mutedCounts {
	var n mutedCounts
	active, before := map[grouping.Fingerprint]bool{}, map[grouping.Fingerprint]bool{}
	groups, names := map[grouping.ID]bool{}, map[string]bool{}
	for _, m := range of.Muted {
		if !m.Mute.Active() || m.Alert.Status == grouping.StatusResolved {
			before[m.Alert.Fingerprint] = true
			n.lastBefore = latest(n.lastBefore, m.Mute.Ended)
			continue
		}
		groups[m.Group.ID], names[m.Alert.Name()] = true, true
		if active[m.Alert.Fingerprint] {
			continue
		}
		active[m.Alert.Fingerprint] = true
		switch m.Alert.Severity() {
		case grouping.SeverityCritical:
			n.critical++
			n.longestCritical = max(n.longestCritical, now.Sub(m.Mute.Since))
		case grouping.SeverityWarning:
			n.warnings++
		default:
			n.others++
		}
	}
	for fp := range before {
		if !active[fp] {
			n.before++
		}
	}
	n.alerts, n.groups, n.names = len(active), len(groups), len(names)
	return n
}

// longMuted is how long a critical alert is muted before that is worth a mark.
const longMuted = 7 * 24 * time.Hour

func (s *Site) activeCard(of *grouping.SilenceInfo) SilenceCard {
	c, n := s.newCard(of), countMuted(of, s.Now)
	c.Says, c.Mutes = "mutes", plural(n.alerts, "alert", "alerts")
	var small []string
	if n.alerts == 0 {
		c.Says, c.Mutes = "mutes nothing", ""
		if n.before > 0 {
			small = append(small, "muted "+plural(n.before, "alert", "alerts")+" before, none for "+Age(s.Now.Sub(n.lastBefore)))
		}
	} else {
		to := causeView("")
		to.Silence = of.ID
		c.MutesHref = s.Links.Groups(to)
		for _, part := range []struct {
			n    int
			word string
		}{{n.critical, "critical"}, {n.warnings, "warning"}, {n.others, "other"}} {
			if part.n > 0 {
				small = append(small, formatCount(part.n)+" "+part.word)
			}
		}
		small = append(small, plural(n.groups, "group", "groups"))
		if n.before > 0 {
			small = append(small, formatCount(n.before)+" more before")
		}
	}
	if more := countExpected(of); more > 0 {
		small = append(small, formatCount(more)+" more expected")
	}
	c.Small = strings.Join(small, " · ")
	c.Marks = s.silenceMarks(of, n)
	c.Left.left(of.EndsAt, s.Now)
	c.Left.say(" left")
	c.Until.say("until ")
	c.Until.clock(of.EndsAt, s.Now)
	if !s.polled(of.Source) {
		c.Until.say(" at the latest")
	}
	c.setVersion()
	return c
}

// countExpected counts each alert that the silence matches once.
func countExpected(of *grouping.SilenceInfo) int {
	seen := map[grouping.Fingerprint]bool{}
	for _, m := range of.Muted {
		seen[m.Alert.Fingerprint] = m.Mute.Active()
	}
	n := 0
	for _, e := range of.Expected {
		if !seen[e.Alert.Fingerprint] {
			seen[e.Alert.Fingerprint] = true
			n++
		}
	}
	return n
}

func (s *Site) silenceMarks(of *grouping.SilenceInfo, n mutedCounts) []Mark {
	var out []Mark
	add := func(loud bool, text, title string) {
		out = append(out, Mark{Text: text, Title: title, Href: s.Links.Word("silence"), Loud: loud})
	}
	if of.Unconfirmed() != nil {
		add(false, "not confirmed yet", "Somebody changed it through Muster, and Alertmanager has not told of it since then")
	}
	if left := of.EndsAt.Sub(s.Now); left <= endsSoon && n.alerts > 0 {
		back := plural(n.alerts, "alert comes back", "alerts come back")
		if n.critical > 0 {
			back = plural(n.critical, "critical alert comes back", "critical alerts come back")
		}
		out = append(out, Mark{
			Text: "ends in ", Left: minutesPhrase(of.EndsAt, s.Now), After: ", " + back,
			Title: "Alertmanager notifies of them again when the silence ends", Href: s.Links.Word("silence"), Loud: true,
		})
	}
	if n.longestCritical >= longMuted {
		add(true, "a critical alert muted for "+plural(int(n.longestCritical/(24*time.Hour)), "day", "days"), "The silence may be forgotten")
	}
	if only := onlyMatcher(of.MatcherSets); only != "" && only != "alertname" && n.names > 1 {
		add(true, "one matcher", "It mutes alerts with different names")
	}
	return out
}

// onlyMatcher returns the label of the only matcher of a silence, or "".
func onlyMatcher(sets [][]grouping.SilenceMatcher) string {
	all := slices.Concat(sets...)
	if len(all) != 1 {
		return ""
	}
	return all[0].Name
}

func (s *Site) pendingCard(of *grouping.SilenceInfo) SilenceCard {
	c := s.newCard(of)
	c.Says = "would mute " + plural(countExpected(of), "alert", "alerts") + " now"
	if of.Unconfirmed() != nil {
		c.Marks = s.silenceMarks(of, mutedCounts{alerts: -1})[:1]
	}
	c.Left.say("in ")
	c.Left.left(of.StartsAt, s.Now)
	c.Until.clock(of.StartsAt, s.Now)
	c.Until.say(" to ")
	c.Until = append(c.Until, clockPhrase(of.EndsAt, of.StartsAt))
	c.setVersion()
	return c
}

// setVersion sets the hash of what the card shows, except for what changes with time alone.
func (c *SilenceCard) setVersion() {
	h := fnv.New32a()
	var marks []string
	for _, m := range c.Marks {
		marks = append(marks, m.Text, m.After)
	}
	fmt.Fprintf(h, "%q %q %q %q %q %q %q %q %q", c.By, c.Why, c.Sets, marks, c.Says, c.Mutes, c.Small, c.Left.identity(), c.Until.identity())
	c.Version = fmt.Sprintf("%08x", h.Sum32())
}

func (s *Site) expiredRow(of *grouping.SilenceInfo) ExpiredSilence {
	r := ExpiredSilence{
		Key: of.Source + " " + of.ID, Href: s.silenceLink(of), Source: s.silenceSource(of), Sets: matcherSets(of.MatcherSets),
		By: shorten(cmp.Or(of.CreatedBy, "unknown")), Why: shorten(of.Comment),
		Ended: newMoment(of.EndsAt, s.Now), Lasted: Age(of.EndsAt.Sub(of.StartsAt)), Muted: "nothing",
	}
	if of.End == grouping.EndEarly {
		r.Lasted += ", ended early"
	}
	if w := of.Write; w != nil && w.Kind == grouping.EventSilenceExpired {
		r.Lasted += ", " + through(w.By)
	}
	r.Again = s.copySilence(of)
	seen := map[grouping.Fingerprint]bool{}
	var spans []span
	for _, m := range of.Muted {
		seen[m.Alert.Fingerprint] = true
		end := m.Mute.Ended
		if end.IsZero() {
			end = of.EndsAt
		}
		spans = append(spans, span{m.Mute.Since, end})
	}
	if len(seen) > 0 {
		var total time.Duration
		for _, one := range mergeSpans(spans) {
			total += one.to.Sub(one.from)
		}
		r.Muted = plural(len(seen), "alert", "alerts") + ", " + Age(total)
	}
	return r
}
