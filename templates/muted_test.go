package templates

import (
	"slices"
	"testing"
	"time"

	"muster/grouping"
	"muster/templates/internal/fixture"
)

// without makes Muster know no causes.
func without(s *Site) { s.Sources, s.SilenceOf, s.AlertOf = nil, nil, nil }

// mutedStates returns the pages with suppressed alerts and silences.
func mutedStates(t testing.TB, groups []*grouping.AlertGroup) map[string]Page {
	t.Helper()
	muted := append(fixture.Muted(night), groups...)
	onlyMuted := slices.DeleteFunc(fixture.Muted(night), func(g *grouping.AlertGroup) bool { return g.Counts.Firing > 0 })
	mutedOne := func(i int, change func(*Site)) Page {
		s, g := newSite(muted), fixture.Muted(night)[i]
		if change != nil {
			change(s)
		}
		return NewGroupPage(s, GroupView{Range: rangeEpisode}, g, fixture.Deliveries(fixture.Events(g)))
	}
	list := func(groups []*grouping.AlertGroup, query string, change func(*Site)) Page {
		return listPage(t, groups, query, change)
	}
	silences := func(text string, of []*grouping.AlertGroup, change func(*Site)) Page {
		return silencesPage(t, text, muted, of, change)
	}
	unset := newSite(muted)
	without(unset)
	silence := func(id string) Page { return silencePage(t, id, muted) }
	return map[string]Page{
		"silences": silences("", muted, nil), "silencesbad": silences(`filter=a=="b"`, muted, nil),
		"silencesactive":   silences("state=active&filter=mira", muted, nil),
		"silencesunknown":  NewSilencesPage(unset, SilencesView{}, []grouping.SilencePage{{}, {}}),
		"silencesrecorder": silences("", muted, func(s *Site) { s.Sources[0].Pollers = nil }), "silencesfail": silences("", muted, func(s *Site) {
			s.Sources[0].Pollers, s.Sources[0].TooManySilences = s.Sources[0].Pollers[1:], true
		}),
		"silencesstored": silences("", muted, without),
		"silencesnone":   NewSilencesPage(newSite(muted), SilencesView{}, []grouping.SilencePage{{}, {}}),
		"silence":        silence(fixture.Mira), "silenceends": silence(fixture.Dana), "silencepending": silence(fixture.Next),
		"silenceexpired": silence(fixture.Old), "nosilence": NewNoSilencePage(newSite(muted), "s1"),
		"listmuted": list(muted, "", nil), "listunset": list(muted, "", without),
		"suppressed": list(muted, "state=suppressed", nil), "inhibited": list(muted, "state=suppressed&cause=inhibition", nil),
		"bysilence": list(muted, "silence="+fixture.Kim, nil), "onlymuted": list(onlyMuted, "", nil),
		"nomuted": list(groups, "state=suppressed", nil), "nocause": list(groups, "state=suppressed", without),
		"nointerval": list(onlyMuted[:2], "state=suppressed&cause=interval", nil), "bymuted": NewByPage(newSite(muted),
			parseView(t, "by=namespace&state=suppressed"), selected(muted, parseView(t, "state=suppressed")).Groups),
		"groupmuted": mutedOne(1, nil), "groupsilenced": mutedOne(2, nil), "groupinhibited": mutedOne(4, nil), "groupunset": mutedOne(1, without),
		"groupgaps":  mutedOne(1, withGaps),
		"groupfails": mutedOne(2, func(s *Site) { s.Sources[0].Pollers = s.Sources[0].Pollers[1:] }), "groupcauses": mutedOne(5, nil),
		"alertmuted": NewAlertPage(newSite(muted), AlertView{}, muted[2].Alerts[0].Fingerprint, muted[2:3], fixture.Events(muted[2])),
	}
}

// silencesPage makes the list of silences with what they mute in the groups of.
func silencesPage(t testing.TB, text string, muted, of []*grouping.AlertGroup, change func(*Site)) Page {
	t.Helper()
	s, v := newSite(muted), ParseSilencesView(params(t, text))
	if change != nil {
		change(s)
	}
	s.Mutes = grouping.SummarizeMutes(muted, causeView("").ListQuery())
	var pages []grouping.SilencePage
	for _, q := range v.Queries() {
		pages = append(pages, fixture.SilencePage(night, of, q.States...))
	}
	return NewSilencesPage(s, v, pages)
}

// silencePage makes the page of a silence.
func silencePage(t testing.TB, id string, muted []*grouping.AlertGroup) Page {
	t.Helper()
	var events []grouping.Event
	for i, kind := range SilenceKinds() {
		e := event(i, 0, kind, "")
		e.GroupID, e.Source, e.Labels = "", "default", grouping.Labels{}
		e.Silence = &grouping.SilenceChange{ID: id, CreatedBy: "mira", Comment: "canary pods", EndsAt: night}
		events = append(events, e)
	}
	events[1].Silence.OldEndsAt = night.Add(-time.Hour)
	for _, of := range fixture.SilencePage(night, muted).Silences {
		if of.ID == id {
			return NewSilencePage(newSite(muted), of, events)
		}
	}
	t.Fatalf("no silence %s", id)
	return nil
}
