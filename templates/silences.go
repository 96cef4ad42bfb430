package templates

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"muster/grouping"
	"muster/internal/query"
)

// SilencesView is the query of the list of silences.
type SilencesView struct{ query.Silences }

// ParseSilencesView reads the query of the list's URL: filter, state, source, limit and
// cursor. It collects the errors in p.
func ParseSilencesView(p *query.Params) SilencesView { return SilencesView{p.Silences()} }

// maxShownExpired is the maximum number of expired silences beside the others.
const maxShownExpired = 10

// Queries returns the queries for the manager: of active and pending silences, and of expired
// ones. If the view has a state, there is one query.
func (v SilencesView) Queries() []grouping.SilenceQuery {
	all := v.Query()
	if v.Err != nil {
		all.Matchers, all.Words = nil, nil
	}
	if v.State != "" {
		return []grouping.SilenceQuery{all}
	}
	rest := all
	all.States = []grouping.SilenceState{grouping.SilenceActive, grouping.SilencePending}
	rest.States, rest.Limit, rest.Cursor = []grouping.SilenceState{grouping.SilenceExpired}, maxShownExpired, ""
	return []grouping.SilenceQuery{all, rest}
}

func (v SilencesView) encode() string {
	q := make(parameters, 0, 5)
	q.addFilter(v.Filter)
	q.add("state", string(v.State))
	q.add("source", v.Source)
	if v.Limit > 0 {
		q.add("limit", fmt.Sprint(v.Limit))
	}
	q.add("cursor", v.Cursor)
	return q.String()
}

// of returns the first page of the view's silences in a state.
func (v SilencesView) of(state grouping.SilenceState) SilencesView {
	v.State, v.Cursor = state, ""
	return v
}

// SilencesPage is the list of silences.
type SilencesPage struct {
	Frame

	New     []Action // forms for a new silence
	Counts  []CountLink
	Muted   string // 7 alerts are silenced
	Read    string // the Alertmanagers that were read
	ReadAt  Moment
	Action  string
	Text    string
	Err     *query.FilterError
	State   string
	Sources []Option
	Chips   []Chip // active filters; each leads to the list without it
	Clear   string
	Notes   []string // warnings about what is known

	Active, Pending []SilenceCard
	Expired         []ExpiredSilence
	AllExpired      string // leads to the expired silences that the page does not show
	AllExpiredText  string
	NoneActive      bool
	Unknown         *SilencesUnknown
	Pager           *Pager
}

// SilencesUnknown says how Muster hears of silences.
type SilencesUnknown struct{ Flag, Href string }

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
}

// NewSilencesPage makes the list of silences. pages are the answers to the queries of the
// view. If v.Err is set, they must be the answers without the filter.
func NewSilencesPage(s *Site, v SilencesView, pages []grouping.SilencePage) *SilencesPage {
	p := &SilencesPage{
		Frame: s.newFrame("silences", titleWithSource("Silences", v.Source)), Action: s.Links.Silences(), Text: v.Text(), Err: v.Err,
		State: string(v.State), Sources: selectOptions(s.Totals.Sources, v.Source, "all sources"), New: s.newSilenceActions(v.Source),
	}
	if v.Err != nil {
		p.status = codeBadRequest
	}
	p.setCounts(s, v, pages[0].States)
	p.setRead(s, v)
	p.setFilters(s, v)
	for _, page := range pages {
		for i := range page.Silences {
			p.add(s, &page.Silences[i])
		}
	}
	last := pages[len(pages)-1]
	if v.State == "" && last.Total > len(last.Silences) {
		p.AllExpired, p.AllExpiredText = s.Links.SilencesOf(v.of(grouping.SilenceExpired)), "All "+formatCount(last.Total)
	}
	p.NoneActive = len(p.Active) == 0 && v.State != grouping.SilencePending && v.State != grouping.SilenceExpired
	if first := pages[0]; first.Next != "" || v.Cursor != "" {
		p.Pager = &Pager{Text: formatCount(len(first.Silences)) + " of " + plural(first.Total, "silence", "silences")}
		if v.Cursor != "" {
			p.Pager.First = s.Links.SilencesOf(v.of(v.State))
		}
		if to := v; first.Next != "" {
			to.Cursor = first.Next
			p.Pager.Next = s.Links.SilencesOf(to)
		}
	}
	return p
}

func (p *SilencesPage) setCounts(s *Site, v SilencesView, n map[grouping.SilenceState]int) {
	for _, state := range grouping.SilenceStates() {
		l := CountLink{Word: string(state), Count: formatCount(n[state]), Current: v.State == state, Href: s.Links.SilencesOf(v.of(state))}
		if l.Current {
			l.Href = s.Links.SilencesOf(v.of(""))
		}
		p.Counts = append(p.Counts, l)
	}
}

// setRead says what the list is made of, and what may be missing.
func (p *SilencesPage) setRead(s *Site, v SilencesView) {
	n := s.Mutes.Alerts[grouping.MuteSilence]
	p.Muted = plural(n, "alert is", "alerts are") + " silenced"
	var read []string
	var newest time.Time
	known, heard := false, false
	for _, r := range s.Sources {
		if v.Source != "" && v.Source != r.Source {
			continue
		}
		known, heard = known || len(r.Pollers) > 0, heard || !r.Recorder.LastAt.IsZero()
		for _, poll := range r.Pollers {
			if poll.FailingSince.IsZero() && !poll.LastAt.IsZero() {
				read, newest = append(read, isolate(hostOf(poll.URL))), latest(newest, poll.LastAt)
			}
		}
		of := ""
		if s.manySources() {
			of = " of source " + isolate(r.Source)
		}
		if last, failing := s.failing(r.Source); len(failing) > 0 {
			p.Notes = append(p.Notes, "Silences"+of+" as of "+clockPhrase(last, s.Now).Text+" UTC ("+Age(s.Now.Sub(last))+" ago): "+
				listAnd(failing)+" "+plainly(len(failing), "does", "do")+" not answer.")
		}
		if len(r.Pollers) == 0 && !r.Recorder.LastAt.IsZero() {
			p.Notes = append(p.Notes, "Only the silences"+of+" that the event recorder reported are known: it does not send older ones.")
		}
		if r.TooManySilences {
			p.Notes = append(p.Notes, "The oldest expired silences"+of+" were removed (limit "+formatCount(grouping.MaxSilences)+").")
		}
	}
	if len(read) > 0 {
		p.Read, p.ReadAt = "read from "+listAnd(read), newMoment(newest, s.Now)
	}
	if !known && !heard {
		source := cmp.Or(v.Source, "default")
		p.Unknown = &SilencesUnknown{"--alertmanager.url=" + source + "=http://alertmanager:9093", s.Links.Word("sources")}
	}
}

func (p *SilencesPage) setFilters(s *Site, v SilencesView) {
	v.Cursor = ""
	without := func(text string, change func(*SilencesView)) {
		to := v
		change(&to)
		p.Chips = append(p.Chips, Chip{Text: text, Href: s.Links.SilencesOf(to)})
	}
	for i, m := range v.Matchers {
		without(m.String(), func(to *SilencesView) { to.Matchers = slices.Delete(slices.Clone(v.Matchers), i, i+1) })
	}
	for i, w := range v.Words {
		without(w, func(to *SilencesView) { to.Words = slices.Delete(slices.Clone(v.Words), i, i+1) })
	}
	if v.Source != "" {
		without("source: "+v.Source, func(to *SilencesView) { to.Source = "" })
	}
	if len(p.Chips) > 0 || v.Err != nil {
		p.Clear = p.Action
	}
}

func (p *SilencesPage) add(s *Site, of *grouping.SilenceInfo) {
	switch of.State {
	case grouping.SilenceActive:
		p.Active = append(p.Active, s.activeCard(of))
	case grouping.SilencePending:
		p.Pending = append(p.Pending, s.pendingCard(of))
	case grouping.SilenceExpired:
		p.Expired = append(p.Expired, s.expiredRow(of))
	}
}

// newSilenceActions returns links to the forms of Alertmanagers for a new silence.
func (s *Site) newSilenceActions(source string) []Action {
	const maximum = 3
	var out []Action
	for _, name := range sortedKeys(s.Totals.Sources) {
		if source != "" && source != name || len(out) == maximum {
			continue
		}
		href := s.alertmanagerPage(name, "/#/silences/new")
		if href == "" {
			continue
		}
		text := "New silence in Alertmanager"
		if s.manySources() && source == "" {
			text = "New silence in " + name
		}
		out = append(out, Action{Text: text, Href: href, Primary: len(out) == 0, Outside: true})
	}
	return out
}

// alertmanagerPage returns a page of an Alertmanager of the source, or "" if there is no safe
// link.
func (s *Site) alertmanagerPage(source, page string) string {
	of := s.Totals.Sources[source]
	for _, external := range sortedKeys(of.Alertmanagers) {
		if base, ok := webLink(external); ok {
			base, _, _ = strings.Cut(base, "#")
			base, _, _ = strings.Cut(base, "?")
			return strings.TrimRight(base, "/") + page
		}
	}
	return ""
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
	if left := of.EndsAt.Sub(s.Now); left <= endsSoon && n.alerts > 0 {
		back := plural(n.alerts, "alert comes back", "alerts come back")
		if n.critical > 0 {
			back = plural(n.critical, "critical alert comes back", "critical alerts come back")
		}
		out = append(out, Mark{
			Text: "ends in ", After: ", " + back, Left: Phrase{ISO: of.EndsAt.UTC().Format(time.RFC3339), Text: minutesLeft(left), Form: "m", Left: true},
			Title: "Alertmanager notifies of them again when the silence ends", Href: s.Links.Word("silence"), Loud: true,
		})
	}
	if n.longestCritical >= longMuted {
		add(true, "a critical alert muted for "+plural(int(n.longestCritical/(24*time.Hour)), "day", "days"), "The silence may be forgotten")
	}
	if n.alerts == 0 {
		add(false, "mutes nothing", "No alert was seen that this silence mutes")
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
	marks := ""
	for _, m := range c.Marks {
		marks += m.Text + m.After + "\x00"
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
