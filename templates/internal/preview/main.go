// Preview serves every page in every state with invented data. It is for people
// who change the pages, and not a part of Muster.
//
//	go run ./templates/internal/preview -listen 127.0.0.1:8765
//
// Each state has its own prefix: /night/, /first/, /quiet/, …
package main

import (
	"cmp"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"muster/grouping"
	"muster/history"
	"muster/internal/query"
	"muster/templates"
	"muster/templates/internal/fixture"
	"muster/web"
)

// scenario is a state of Muster to preview.
type scenario struct {
	name   string
	groups func(now time.Time) []*grouping.AlertGroup
	site   func(*templates.Site)
}

func scenarios() []scenario {
	quiet := func(now time.Time) []*grouping.AlertGroup {
		return slices.DeleteFunc(fixture.Groups(now), func(g *grouping.AlertGroup) bool {
			return g.Name != "Watchdog" && g.State != grouping.StateResolved
		})
	}
	return []scenario{
		{"night", fixture.Groups, nil},
		{"muted", func(now time.Time) []*grouping.AlertGroup { return append(fixture.Muted(now), fixture.Groups(now)...) }, knowCauses},
		{"onlymuted", func(now time.Time) []*grouping.AlertGroup {
			return slices.DeleteFunc(fixture.Muted(now), func(g *grouping.AlertGroup) bool { return g.Counts.Firing > 0 })
		}, knowCauses},
		{"unset", func(now time.Time) []*grouping.AlertGroup { return append(fixture.Muted(now), fixture.Groups(now)...) }, nil},
		{"people", fixture.People, func(s *templates.Site) { s.AsksNames = true }},
		{"signedin", fixture.People, nil},
		{"readonly", fixture.People, func(s *templates.Site) { s.ReadOnly = true }},
		{"peoplepast", fixture.People, goBack},
		{"first", func(time.Time) []*grouping.AlertGroup { return nil }, nil},
		{"quiet", quiet, nil},
		{"nobeat", func(now time.Time) []*grouping.AlertGroup { return quiet(now)[:1] }, nil},
		{"storm", func(now time.Time) []*grouping.AlertGroup {
			return append(fixture.Storm(now, 10000), fixture.Big(now, 10000))
		}, nil},
		{"degraded", fixture.Groups, func(s *templates.Site) {
			s.Storage = grouping.StorageStatus{Mode: "redis", Reason: "timeout", DegradedSince: s.Now.Add(-4 * time.Minute), DirtyGroups: 3}
		}},
		{"partial", func(now time.Time) []*grouping.AlertGroup { return fixture.Groups(now)[:3] }, func(s *templates.Site) {
			s.Storage = grouping.StorageStatus{Mode: "redis", Reason: "refused", DegradedSince: s.Now.Add(-90 * time.Second), Partial: true}
		}},
		{"restored", fixture.Groups, func(s *templates.Site) {
			s.StartedAt, s.Storage.Restored = s.Now.Add(-2*time.Minute-5*time.Second), 17
			s.Storage.RecoveredAt, s.Storage.WrittenBack = s.Now.Add(-time.Minute), 3
		}},
		{"stale", fixture.Groups, func(s *templates.Site) {
			s.Totals.LastNotification = s.Now.Add(-47 * time.Minute)
			for name, source := range s.Totals.Sources {
				source.LastNotification = s.Now.Add(-47 * time.Minute)
				s.Totals.Sources[name] = source
			}
			s.Heartbeats[0].At, s.Heartbeats[0].State, s.Heartbeats[0].Every = s.Now.Add(-46*time.Minute), grouping.HeartbeatLate, 5*time.Minute
			s.StaleAfter = 40 * time.Minute
		}},
		{"past", func(now time.Time) []*grouping.AlertGroup {
			return append(fixture.Muted(now), fixture.Groups(now)...)
		}, func(s *templates.Site) {
			knowCauses(s)
			goBack(s)
		}},
		{"gap", quiet, func(s *templates.Site) {
			goBack(s)
			s.Past.CausesKnown, s.Past.After = false, templates.NextEvent{Searched: s.Now.Add(7 * 24 * time.Hour)}
			s.Past.Gap = &grouping.Gap{From: s.Now.Add(-2 * time.Minute), To: s.Now.Add(6 * time.Minute)}
		}},
		{"before", quiet, func(s *templates.Site) {
			goBack(s)
			s.Past.Missing, s.Past.Before, s.Past.KnownSince = true, templates.NextEvent{}, s.Now.Add(3*time.Hour)
		}},
		{"badtime", fixture.Groups, func(s *templates.Site) { s.BadAt = true }},
		{"demo", fixture.Groups, func(s *templates.Site) { s.Demo = true; s.Storage.Mode = "memory" }},
	}
}

func knowCauses(s *templates.Site) {
	s.PollInterval = time.Minute
	s.SilenceOf, s.Sources, s.Gaps = fixture.SilenceOf(s.Now), fixture.Sources(s.Now), fixture.Gaps(s.Now)
}

// goBack makes the pages show a past state: that of now, seen some time later.
func goBack(s *templates.Site) {
	s.Links, s.Sources, s.ListedBy = s.Links.Then(s.Now), nil, nil
	s.Past = &templates.Past{
		Clock: s.Now.Add(19*time.Minute + 20*time.Second), KnownSince: s.Now.AddDate(0, 0, -24), CausesKnown: true,
		Before: templates.NextEvent{At: s.Now.Add(-58 * time.Second)}, After: templates.NextEvent{At: s.Now.Add(41 * time.Second)},
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8765", "Address to listen on.")
	flag.Parse()
	mux := http.NewServeMux()
	all := scenarios()
	for _, sc := range all {
		p, err := newPreview(sc)
		if err != nil {
			log.Fatal(err)
		}
		mux.Handle("/"+sc.name+"/", p)
	}
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		for _, sc := range all {
			_, _ = fmt.Fprintf(w, "<a href=\"/%s/\">%s</a><br>\n", sc.name, sc.name)
		}
	})
	log.Printf("http://%s/", *listen)
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

type preview struct {
	scenario
	renderer *templates.Renderer
	base     time.Time

	mu     sync.Mutex
	groups []*grouping.AlertGroup // guarded by mu
	lives  map[chan string]bool   // guarded by mu
	calls  int                    // guarded by mu
}

func newPreview(sc scenario) (*preview, error) {
	r, err := templates.New(sc.name)
	now := time.Now()
	return &preview{scenario: sc, renderer: r, base: now, groups: sc.groups(now), lives: map[chan string]bool{}}, err
}

func (p *preview) site(r *http.Request, groups []*grouping.AlertGroup) *templates.Site {
	s := &templates.Site{
		Links: templates.NewLinks("http://"+r.Host, p.name), Now: time.Now(), Retention: 7 * 24 * time.Hour,
		Storage: grouping.StorageStatus{Mode: "redis", Healthy: true}, Version: "0.1.0",
		StartedAt: p.base.Add(-50 * time.Hour),
	}
	s.HeartbeatMatchers = grouping.DefaultHeartbeats()
	s.Totals = grouping.TotalsOf(groups, s.HeartbeatMatchers, s.Now)
	s.Heartbeats = grouping.HeartbeatsOf(slices.DeleteFunc(slices.Clone(groups), func(g *grouping.AlertGroup) bool {
		return !grouping.IsHeartbeatGroup(s.HeartbeatMatchers, g)
	}), time.Time{}, s.Now)
	s.AlertOf, s.GroupWait, s.GroupInterval = fixture.AlertOf(groups), 30*time.Second, 5*time.Minute
	if p.scenario.site != nil {
		p.scenario.site(s)
	}
	return s
}

func (p *preview) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/"+p.name)
	w.Header().Set("Content-Security-Policy", web.ContentSecurityPolicy)
	p.mu.Lock()
	groups := slices.Clone(p.groups)
	p.mu.Unlock()
	s := p.site(r, groups)
	switch {
	case strings.HasPrefix(path, "/static/"):
		p.serveStatic(w, strings.TrimPrefix(path, "/static/"))
	case path == "/api/v1/live":
		p.live(w, r)
	case path == "/spread": // adds a group and sends a live update
		p.spread()
	default:
		page := p.page(s, groups, path, r.URL.Query())
		body, err := p.renderer.Render(page)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(page.Code())
		_, _ = w.Write(body) //nolint:gosec // G705: escaped by html/template
	}
}

// serveStatic serves a static file.
func (p *preview) serveStatic(w http.ResponseWriter, name string) {
	asset, ok := p.renderer.Static()[name]
	if !ok {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", asset.Type)
	_, _ = w.Write(asset.Body)
}

func (p *preview) page(s *templates.Site, groups []*grouping.AlertGroup, path string, q url.Values) templates.Page {
	if s.Past != nil && s.Past.Missing {
		return templates.NewBeforePage(s, templates.Links.AllGroups)
	}
	switch parts := strings.Split(strings.Trim(path, "/"), "/"); parts[0] {
	case "":
		return list(s, groups, q)
	case "groups":
		id := grouping.ID(parts[len(parts)-1])
		if parts[1] == "big" {
			return templates.NewGroupPage(s, templates.ParseGroupView(query.Of(q)), groups[len(groups)-1], nil)
		}
		for i, g := range groups {
			if g.ID == id || parts[1] == strconv.Itoa(i) {
				events := fixture.Events(g)
				if len(s.Sources) > 0 {
					events = fixture.Deliveries(events)
				}
				v := templates.ParseGroupView(query.Of(q))
				page := templates.NewGroupPage(s, v, g, events)
				before := history.NewBefore(fixture.EpisodesBefore(s.Now), nil, s.Now.Add(-history.BeforeWindow), s.Now)
				page.SetBefore(s, v, g.ID, &before)
				return page
			}
		}
		return templates.NewGonePage(s, id, "", fixture.Events(groups[0])[:1])
	case "alerts":
		for i, g := range groups {
			for j, a := range g.Alerts {
				if string(a.Fingerprint) == parts[1] || parts[1] == strconv.Itoa(i)+"-"+strconv.Itoa(j) {
					v, events := templates.ParseAlertView(query.Of(q)), fixture.Events(g)
					page := templates.NewAlertPage(s, v, a.Fingerprint, []*grouping.AlertGroup{g}, events[:min(20, len(events))])
					before := history.NewBefore(a.Episodes(), nil, s.Now.Add(-4*24*time.Hour), s.Now)
					page.SetBefore(s, v, a.Fingerprint, []templates.SourceBefore{{Source: g.Source, Before: before}})
					return page
				}
			}
		}
		return templates.NewGonePage(s, "", grouping.Fingerprint(parts[1]), nil)
	case "history":
		return historyPage(s, groups, templates.ParseHistoryView(query.Of(q), s.Now))
	case "silences":
		return silences(s, groups, parts, query.Of(q))
	case "report":
		return report(s, groups, parts, query.Of(q))
	case "status":
		return templates.NewStatusPage(s, status(s))
	case "help":
		return templates.NewHelpPage(s)
	case "who":
		return templates.NewFormPage(s, templates.FormAck, groups[0].ID, http.StatusBadRequest, "a name is required",
			templates.PersonInput{Text: "rollback of checkout 2.31 started", Until: "4h"})
	case "ack":
		return templates.NewAckAllPage(s, templates.ParseView(query.Of(q)), groups[:min(3, len(groups))], 3)
	case "error":
		return templates.NewErrorPage(s, http.StatusServiceUnavailable, "01JD8Z6Q3V")
	default:
		return templates.NewNotFoundPage(s)
	}
}

func list(s *templates.Site, groups []*grouping.AlertGroup, q url.Values) templates.Page {
	q.Del("at") // a scenario has one time
	v := templates.ParseView(query.Of(q))
	lq := v.ListQuery()
	s.Mutes = grouping.SummarizeMutes(groups, v.OfSuppressed().ListQuery())
	var selected []*grouping.AlertGroup
	for _, g := range groups {
		if lq.Selects(g) {
			selected = append(selected, g)
		}
	}
	if len(v.By) > 0 {
		return templates.NewByPage(s, v, selected)
	}
	slices.SortStableFunc(selected, func(a, b *grouping.AlertGroup) int {
		quiet := func(g *grouping.AlertGroup) int { return min(1, max(0, 1-g.Counts.Firing)) }
		acked := func(g *grouping.AlertGroup) int {
			if g.IsAcknowledged(s.Now) {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(acked(a), acked(b)), cmp.Compare(quiet(a), quiet(b)),
			cmp.Compare(a.Severity, b.Severity), b.NewestAt.Compare(a.NewestAt))
	})
	from, _ := strconv.Atoi(v.Cursor)
	page := grouping.GroupPage{Total: len(selected), Groups: selected[min(from, len(selected)):min(from+grouping.DefaultLimit, len(selected))]}
	if from+grouping.DefaultLimit < len(selected) {
		page.Next = strconv.Itoa(from + grouping.DefaultLimit)
	}
	p := templates.NewGroupsPage(s, v, page)
	p.SetAcknowledged(s, v, len(selected), len(slices.DeleteFunc(slices.Clone(selected), func(g *grouping.AlertGroup) bool {
		return !g.IsAcknowledged(s.Now)
	})))
	if v.LeavesOutOthers() {
		of := v.OfUnreported().ListQuery()
		unreported := of.Select(groups)
		of.Closed = true
		p.AddOthers(s, v, len(unreported), len(of.Select(groups)))
	}
	return p
}

// report shows numbers of a made-up history, or of an empty one if there are no groups.
func report(s *templates.Site, groups []*grouping.AlertGroup, parts []string, q *query.Params) templates.Page {
	digest := history.NewDigest(s.Now.Add(-time.Hour), nil)
	if len(groups) > 0 {
		digest = fixture.History(s.Now)
	}
	if len(parts) > 1 {
		v := templates.ParseCountedView(q, s.Now)
		return templates.NewReportListPage(s, v, digest.Counted(v.CountedQuery()))
	}
	v := templates.ParseReportView(q, s.Now)
	return templates.NewReportPage(s, v, digest.Report(v.Query()), func(of templates.View) bool {
		of.State = query.StateFiring
		list := of.ListQuery()
		return slices.ContainsFunc(groups, list.Selects)
	})
}

func silences(s *templates.Site, groups []*grouping.AlertGroup, parts []string, q *query.Params) templates.Page {
	if len(parts) > 1 {
		for _, of := range fixture.SilencePage(s.Now, groups).Silences {
			if of.ID == parts[1] {
				return templates.NewSilencePage(s, of, nil)
			}
		}
		return templates.NewNoSilencePage(s, parts[1])
	}
	v := templates.ParseSilencesView(q)
	s.Mutes = grouping.SummarizeMutes(groups, grouping.ListQuery{Mutes: &grouping.MuteQuery{}})
	var pages []grouping.SilencePage
	for _, q := range v.Queries() {
		pages = append(pages, fixture.SilencePage(s.Now, groups, q.States...))
	}
	return templates.NewSilencesPage(s, v, pages)
}

func historyPage(s *templates.Site, groups []*grouping.AlertGroup, v templates.HistoryView) templates.Page {
	q := v.EventQuery()
	var page grouping.EventPage
	for _, g := range groups[:min(40, len(groups))] {
		for _, e := range fixture.Events(g) {
			if q.Matches(&e) {
				page.Events = append(page.Events, e)
			}
		}
	}
	slices.SortFunc(page.Events, func(a, b grouping.Event) int { return cmp.Compare(b.ID, a.ID) })
	if len(page.Events) > grouping.DefaultLimit {
		page.Events, page.Next = page.Events[:grouping.DefaultLimit], "more"
	}
	return templates.NewHistoryPage(s, v, page)
}

func status(s *templates.Site) templates.StatusInput {
	return templates.StatusInput{
		Build:    []templates.Fact{{Name: "Version", Value: "0.1.0"}, {Name: "Revision", Value: "0123456789ab"}, {Name: "Go", Value: "go1.26"}},
		Settings: []templates.Fact{{Name: "group wait", Value: "30s"}, {Name: "retention", Value: "7d"}},
		Limits:   []templates.Limit{{Name: "body", Value: "64 MiB", TimesReached: 2}, {Name: "groups", Value: "10,000"}},
		Rejected: []templates.Rejection{{At: s.Now.Add(-3 * time.Minute), From: "10.0.3.7", Status: 400, Reason: "groupKey is missing"}},
	}
}

func (p *preview) spread() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	now := time.Now()
	p.groups = append([]*grouping.AlertGroup{fixture.Make(now, fixture.Spec{
		Group:  fixture.L{"alertname": "SpreadingOutage" + strconv.Itoa(p.calls), "cluster": "prod-eu1"},
		Common: fixture.L{"severity": "critical"}, Alerts: []fixture.Alert{{Own: fixture.L{"pod": "x"}, Ago: time.Second}},
	})}, p.groups...)
	for c := range p.lives {
		select {
		case c <- "event: group\ndata: {}\n\n":
		default:
		}
	}
}

func (p *preview) live(w http.ResponseWriter, r *http.Request) {
	c := make(chan string, 8)
	p.mu.Lock()
	p.lives[c] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.lives, c)
		p.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	_, _ = fmt.Fprint(w, "retry: 3000\nevent: hb\ndata: {}\n\n")
	_ = rc.Flush()
	hb := time.NewTicker(15 * time.Second)
	defer hb.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-c:
			_, _ = fmt.Fprint(w, e)
		case <-hb.C:
			_, _ = fmt.Fprint(w, "event: hb\ndata: {}\n\n")
		}
		_ = rc.Flush()
	}
}
