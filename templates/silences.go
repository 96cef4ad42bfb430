package templates

import (
	"cmp"
	"fmt"
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
	CanSilence      bool
	Unknown         *SilencesUnknown
	Pager           *Pager
}

// SilencesUnknown says how Muster hears of silences.
type SilencesUnknown struct{ Flag, Href string }

// NewSilencesPage makes the list of silences. pages are the answers to the queries of the
// view. If v.Err is set, they must be the answers without the filter.
func NewSilencesPage(s *Site, v SilencesView, pages []grouping.SilencePage) *SilencesPage {
	p := &SilencesPage{
		Frame: s.newFrame("silences", titleWithSource("Silences", v.Source)), Action: s.Links.Silences(), Text: v.Text(), Err: v.Err,
		State: string(v.State), Sources: selectOptions(s.Totals.Sources, v.Source, "all sources"), New: s.newSilenceActions(v.Source),
		CanSilence: len(s.Silencing.Sources) > 0,
	}
	if v.Err != nil {
		p.status = codeBadRequest
	}
	p.setCounts(s, v, pages[0].States)
	stored := pages[0].States[grouping.SilenceActive] + pages[0].States[grouping.SilencePending] + pages[0].States[grouping.SilenceExpired]
	p.setRead(s, v, stored)
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

// setRead says what the list is made of, and what may be missing. stored is the number of silences
// in the storage.
func (p *SilencesPage) setRead(s *Site, v SilencesView, stored int) {
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
		if cannot := s.cannotAsk(r.Source); cannot != "" {
			p.Notes = append(p.Notes, strings.Replace(cannot, "Silences", "Silences"+of, 1))
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
		p.setUnread(s, v, stored)
	}
}

// setUnread says that Muster did not hear of silences since its start.
func (p *SilencesPage) setUnread(s *Site, v SilencesView, stored int) {
	switch {
	case stored > 0:
		p.Notes = append(p.Notes, "Silences as of the last start of Muster: no Alertmanager has answered since then.")
	case len(s.Silencing.Sources) == 0:
		source := cmp.Or(v.Source, "default")
		p.Unknown = &SilencesUnknown{"--alertmanager.url=" + source + "=http://alertmanager:9093", s.Links.Word("sources")}
	}
}

func (p *SilencesPage) setFilters(s *Site, v SilencesView) {
	v.Cursor = ""
	c := chips[SilencesView]{view: v, href: s.Links.SilencesOf}
	c.addFilter(func(to *SilencesView) *query.Filter { return &to.Filter })
	c.addNamed("source: ", v.Source, func(to *SilencesView) { to.Source = "" })
	p.Chips = c.list
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
	if len(s.Silencing.Sources) > 0 && (source == "" || s.canSilence(source)) {
		return []Action{{Text: "New silence…", Href: s.silenceForm(source, query.SilenceForm{}), Primary: true}}
	}
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
