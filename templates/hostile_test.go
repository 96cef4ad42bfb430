package templates

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"muster/grouping"
	"muster/history"
	"muster/internal/query"
)

// hostile holds strings that are dangerous in HTML, in attributes, in scripts, in
// style sheets or in URLs.
var hostile = []string{
	`<script>alert(1)</script>`, `</script><script>alert(1)</script>`, `"><script>alert(1)</script>`, `'><script>alert(1)</script>`,
	`<ScRiPt src=//evil.example/x.js></sCrIpT>`, `<script/src=data:,alert(1)>`, `<scr<script>ipt>alert(1)</scr</script>ipt>`,
	`<img src=x onerror=alert(1)>`,
	`"><img src=x onerror=alert(1)>`, `<img src="x" onerror="alert(1)`, `" onmouseover="alert(1)`, `' onmouseover='alert(1)`,
	` onfocus=alert(1) autofocus `, `" autofocus onfocus=alert(1) x="`, "` onclick=alert(1) `", `<svg onload=alert(1)>`,
	`<svg><script>alert(1)</script></svg>`, `<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>`,
	`<svg><animate onbegin=alert(1) attributeName=x>`, `<math><mi//xlink:href="data:x,<script>alert(1)</script>">`,
	`</title><script>alert(1)</script>`, `</textarea><script>alert(1)</script>`, `</style><script>alert(1)</script>`,
	`<style>*{display:none}</style>`,
	`</pre></code></main></body></html><h1>owned</h1>`, `<iframe src="javascript:alert(1)">`,
	`<iframe srcdoc="<script>alert(1)</script>">`, `<object data="javascript:alert(1)">`,
	`<embed src="javascript:alert(1)">`, `<base href="//evil.example/">`, `<meta http-equiv=refresh content="0;url=//evil.example">`,
	`<link rel=stylesheet href=//evil.example/x.css>`,
	`<form action=//evil.example><input name=password>`, `<button formaction=javascript:alert(1)>x`,
	`<details open ontoggle=alert(1)>`, `<a href="javascript:alert(1)">x</a>`,
	`<!--<script>alert(1)</script>-->`, `--><script>alert(1)</script><!--`, `<![CDATA[<script>alert(1)</script>]]>`,
	`]]><script>alert(1)</script>`,
	`{{.}}`, `{{template "main" .}}`, `{{printf "%s" "<script>"}}`, `${alert(1)}`,
	`<%= 7*7 %>`, `#{7*7}`, `&lt;script&gt;alert(1)&lt;/script&gt;`, `&#60;script&#62;alert(1)&#60;/script&#62;`,
	`&quot; onclick=alert(1) &quot;`, `javascript:alert(1)`, `JaVaScRiPt:alert(1)`, "java\tscript:alert(1)",
	"\x01javascript:alert(1)", `data:text/html,<script>alert(1)</script>`, `vbscript:msgbox(1)`, `//evil.example/x`,
	`/\evil.example/x`, `\\evil.example\x`, `https://user:pw@evil.example/`, `http://`,
	`https:///evil.example`, `http:evil.example`, `https://evil.example/"onclick="alert(1)`,
	`https://evil.example/</a><script>alert(1)</script>`,
	`https://evil.example/?a=b&c=d#" onclick="x`, `file:///etc/passwd`, `blob:https://evil.example/1`, "https://evil.example/\r\nX: 1",
	"\u202eevil\u202c", "\u2066\u200fltr\u2069", "\x00<script>alert(1)</script>", "a\x00b",
	"line\u2028sep\u2029par", "\ufeff<script>", "\xff\xfe<script>\xc3", "\xc0\xbcscript\xc0\xbe",
	`expression(alert(1))`, `url(javascript:alert(1))`, `;background:url(//evil.example)`, `+ADw-script+AD4-alert(1)`,
	`" style="position:fixed;inset:0`, `"><style>@import '//evil.example'</style>`, `x" data-copy="y`, `x" data-key="z" id="main`,
	strings.Repeat("A", 2500), strings.Repeat("<b>", 500), strings.Repeat("é", 300), "\n\r\t", "",
}

// parts returns the elements, attributes and links of a page.
func parts(t *testing.T, page string) (elements, attrs map[string]bool, hrefs []string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	elements, attrs = map[string]bool{}, map[string]bool{}
	for n := range doc.Descendants() {
		if n.Type == html.CommentNode {
			t.Errorf("a comment: %q", n.Data)
		}
		if n.Type == html.ElementNode {
			elements[n.Data] = true
			for _, a := range n.Attr {
				attrs[n.Data+" "+a.Key] = true
				if a.Key == "href" || a.Key == "src" || a.Key == "action" {
					hrefs = append(hrefs, a.Val)
				}
			}
		}
	}
	return elements, attrs, hrefs
}

// hostileGroup returns a group with s in each field, and its events.
func hostileGroup(s string) (*grouping.AlertGroup, []grouping.Event) {
	var list []grouping.Label
	for _, name := range []string{
		"alertname", "severity", "pod", "namespace", "summary", "description", "message", "runbook_url", "dashboard", "dashboard_url",
		"grafana_url", s,
	} {
		list = append(list, grouping.Label{Name: name, Value: s})
	}
	all := grouping.LabelsOf(slices.Clone(list))
	key := grouping.Key{Source: s, Receiver: s, GroupKey: s}
	g := grouping.AlertGroup{ID: key.ID(), Meta: grouping.Meta{
		Key: key, GroupLabels: all, CommonLabels: all, CommonAnnotations: all, RouteLabels: all, ExternalURL: s, LastReason: s,
		CreatedAt: night.Add(-time.Hour), UpdatedAt: night, LastNotifiedAt: night.Add(-time.Minute), Truncated: 1, Stale: true,
		Settling: true, Stamp: "x", Opened: grouping.Stamp(s),
	}}
	g.Acks = []*grouping.Ack{{
		ID: s, Stamp: "y", Person: grouping.Person{Name: s}, At: night.Add(-2 * time.Hour), Note: s, Until: night.Add(time.Hour),
	}}
	g.Notes = []*grouping.Note{{ID: s, Person: grouping.Person{Name: s, Verified: true}, At: night.Add(-time.Minute), Text: s}}
	var events []grouping.Event
	for i, status := range []grouping.Status{
		grouping.StatusFiring, grouping.StatusFiring, grouping.StatusResolved,
		grouping.StatusUnreported, grouping.StatusUnreported,
	} {
		own := grouping.LabelsOf(append(slices.Clone(list), grouping.Label{Name: "pod", Value: fmt.Sprint(i) + s}))
		a := &grouping.Alert{
			Fingerprint: grouping.Fingerprint(fmt.Sprintf("%016x", i)), Status: status, Labels: own, Annotations: own, GeneratorURL: s,
			ReportedBy: s, Unnotified: i == 0,
			StartsAt: night.Add(-time.Hour), ChangedAt: night.Add(-time.Minute), Disputed: true,
		}
		if i == 1 || i == 3 {
			g.Mutes = append(g.Mutes, hostileMutes(a.Fingerprint, s))
		}
		if i == 4 {
			a.GoneFrom, a.GoneBy = night.Add(-2*time.Minute), night.Add(-time.Minute)
			g.Mutes = append(g.Mutes, hostileMutes(a.Fingerprint, s))
			for j := range g.Mutes[2].Mutes {
				g.Mutes[2].Mutes[j].Ended = night.Add(-time.Minute)
			}
		}
		if status == grouping.StatusResolved {
			a.EndsAt = night.Add(-time.Minute)
		}
		g.Alerts = append(g.Alerts, a)
		if i > 2 {
			continue // the events of three alerts have every kind of mute
		}
		for _, kind := range grouping.EventKinds() {
			events = append(events, grouping.Event{
				ID: s + fmt.Sprint(len(events)), Time: night.Add(-time.Minute), Kind: kind, GroupID: g.ID, Source: s, Receiver: s,
				Fingerprint: a.Fingerprint, Labels: own, Notified: &grouping.Notified{Reason: s, ExternalURL: s},
			})
			hostileDetail(&events[len(events)-1], i, s)
		}
	}
	return grouping.NewAlertGroup(g), events
}

func hostileMutes(fp grouping.Fingerprint, s string) *grouping.AlertMutes {
	m := &grouping.AlertMutes{Fingerprint: fp}
	for _, kind := range grouping.MuteKinds() {
		m.Mutes = append(m.Mutes, grouping.Mute{Kind: kind, ID: s, Rule: s, Since: night.Add(-time.Hour), From: grouping.OriginAPI})
	}
	return m
}

func hostileSilence(id, s string) *grouping.Silence {
	return &grouping.Silence{
		ID: id, CreatedBy: s, Comment: s, Annotations: grouping.NewLabels(map[string]string{s: s}),
		MatcherSets: [][]grouping.SilenceMatcher{
			{{Name: s, Type: "=~", Value: s}, {Name: "a", Type: s, Value: s}}, {{Name: s, Type: "!=", Value: s}},
		},
		StartsAt: night.Add(-time.Hour), EndsAt: night.Add(time.Minute), UpdatedAt: night.Add(-time.Hour),
	}
}

func hostileSilences(g *grouping.AlertGroup, s string, states ...grouping.SilenceState) grouping.SilencePage {
	page := grouping.SilencePage{Next: s, Total: 100}
	for _, state := range states {
		info := grouping.SilenceInfo{Silence: hostileSilence(s, s), Source: s, State: state}
		for i, a := range g.Alerts {
			of := grouping.ExpectedAlert{Group: g, Alert: a}
			info.Expected = append(info.Expected, of)
			mute := grouping.Mute{Kind: grouping.MuteSilence, ID: s, Since: night}
			info.Muted = append(info.Muted, grouping.SilencedAlert{ExpectedAlert: of, Mute: mute})
			if i%2 == 0 {
				info.Muted[i].Mute.Ended = night
			}
		}
		page.Silences = append(page.Silences, info)
	}
	return page
}

func hostileList(site *Site, g *grouping.AlertGroup, s string) Page {
	v := ParseSilencesView(query.Of(map[string][]string{"filter": {s}, "state": {s}, "source": {s}, "cursor": {s}}))
	return NewSilencesPage(site, v, []grouping.SilencePage{
		hostileSilences(g, s, grouping.SilenceActive, grouping.SilencePending), hostileSilences(g, s, grouping.SilenceExpired),
	})
}

// hostileDetail adds to an event what its kind has.
func hostileDetail(e *grouping.Event, i int, s string) {
	switch e.Kind {
	case grouping.EventDelivered:
		e.Delivery = &grouping.Delivery{Receiver: fmt.Sprint(i) + s, Integration: s, Index: 1, Reason: s, Flush: s, Of: 7}
	case grouping.EventSuppressed, grouping.EventUnsuppressed, grouping.EventResolved:
		e.Mute = &grouping.Mute{Kind: grouping.MuteKinds()[i%3], ID: s, Rule: s}
	case grouping.EventSilenceCreated, grouping.EventSilenceChanged, grouping.EventSilenceExpired:
		e.Silence = &grouping.SilenceChange{
			ID: s, CreatedBy: s, Comment: s, Matchers: []grouping.SilenceMatcher{{Name: s, Type: s, Value: s}}, EndsAt: night,
		}
	case grouping.EventAcknowledged, grouping.EventUnacknowledged, grouping.EventNoted, grouping.EventClosed:
		e.People = &grouping.PeopleDetail{Person: grouping.Person{Name: s}, Ack: s, Note: s, Text: s, Until: night}
	case grouping.EventGap:
		e.Gap = &grouping.Gap{From: night.Add(-time.Hour), To: night}
	default:
	}
}

func hostilePages(s string) map[string]Page {
	g, events := hostileGroup(s)
	noName, _ := hostileGroup(s)
	bare := *noName
	bare.GroupLabels = grouping.NewLabels(map[string]string{"team": s, "x" + s: s})
	noName = grouping.NewAlertGroup(bare)
	groups := []*grouping.AlertGroup{g, noName}
	site := newSite(groups)
	site.Version, site.Storage.Mode, site.Storage.Reason, site.Storage.DegradedSince, site.Storage.Healthy = s, s, s, night, false
	site.Heartbeats = []grouping.Heartbeat{{
		Source: s, Alertmanager: s, Labels: grouping.NewLabels(map[string]string{"alertname": s, s: s}),
		State: grouping.HeartbeatEnded, At: night,
	}}
	site.Links.External = "https://muster.example.net"
	site.SilenceOf = func(_, id string) *grouping.Silence { return hostileSilence(id, s) }
	site.AlertOf = func(string, grouping.Fingerprint) *grouping.Alert { return g.Alerts[0] }
	site.Sources = []grouping.SourceReport{{Source: s, Pollers: []grouping.PollReport{{
		URL: s, Version: s, Err: s, LastAt: night.Add(-time.Hour), FailingSince: night.Add(-time.Minute),
		FailedLately: map[string]uint64{s: 3},
	}}, Recorder: grouping.RecorderReport{LastAt: night, Instances: []grouping.InstanceReport{{Instance: s, Version: s, LastAt: night}}}}}
	q := func(name string) View {
		return ParseView(query.Of(map[string][]string{name: {s}, "receiver": {s}, "source": {s}}))
	}
	list := func(v View) Page {
		return NewGroupsPage(site, v, grouping.GroupPage{Groups: groups, Total: 2, Next: s})
	}
	by := q("by")
	by.By = append(by.By, "pod", s)
	return map[string]Page{
		"list":      list(viewOfState(query.StateFiring)),
		"filter":    list(q("filter")),
		"matcher":   list(viewOfState(query.StateAll).with(equals(s, s))),
		"by":        NewByPage(site, by, groups),
		"silences":  hostileList(site, g, s),
		"silence":   NewSilencePage(site, hostileSilences(g, s, grouping.SilenceActive).Silences[0], events),
		"nosilence": NewNoSilencePage(site, s),

		"newsilence": hostileForm(site, g, s), "notallowed": NewRefusedPage(site, http.StatusForbidden, s),
		"changed": hostileChanged(site, g, s),
		"muted":   list(parseSuppressed(s)), "nomuted": NewGroupsPage(site, viewOfState(query.StateSuppressed), grouping.GroupPage{}),
		"byall":  NewByPage(site, View{Groups: viewOfState(query.StateAll).Groups, By: []string{"pod", s}}, groups),
		"empty":  NewGroupsPage(site, q("filter"), grouping.GroupPage{}),
		"group":  NewGroupPage(site, GroupView{Range: s}, g, events),
		"noname": NewGroupPage(site, GroupView{Range: "7d"}, noName, events),
		"alert":  NewAlertPage(site, AlertView{Source: s, Receiver: s}, g.Alerts[0].Fingerprint, groups, events),
		"history": NewHistoryPage(site, ParseHistoryView(query.Of(map[string][]string{
			"filter": {s}, "kind": {s}, "group": {s},
			"alert": {s}, "at": {s}, "cursor": {s}, "source": {s}, "receiver": {s},
		}), night), grouping.EventPage{Events: events, Next: s}),
		"historym": NewHistoryPage(site, HistoryView{Events: query.Events{
			Filter: q("filter").with(equals(s, s)).Filter,
			Group:  grouping.ID(s), Fingerprint: grouping.Fingerprint(s), Source: s, Receiver: s,
		}}, grouping.EventPage{}),
		"status": NewStatusPage(site, StatusInput{
			Problems: []string{s},
			Build:    []Fact{{s, s}}, Settings: []Fact{{s, s}}, Limits: []Limit{{s, s, 1}}, Rejected: []Rejection{{night, s, 400, s, 2}},
		}),
		"report": NewReportPage(site, ReportView{Report: query.Report{
			Filter: q("filter").with(equals(s, s)).Filter, By: s, Since: night, Until: night,
		}}, exampleReport(2, s), func(View) bool { return true }),
		"reportlist": NewReportListPage(site, CountedView{query.Counted{Report: query.Report{
			Filter: q("filter").with(equals(s, s)).Filter, By: s, Since: night, Until: night,
		}, Number: history.Number(s), Receiver: s, Reason: s}}, exampleCounted(history.NumberFirings, s)),
		"reportnotes": NewReportListPage(site, CountedView{}, exampleCounted(history.NumberNotifications, s)),
		"help":        NewHelpPage(site),
		"gone":        NewGonePage(site, grouping.ID(s), grouping.Fingerprint(s), events),
		"error":       NewErrorPage(site, http.StatusBadRequest, s),
		"acked":       NewGroupPage(site, GroupView{}, hostilePeople(noName, s, night), events),
		"closed":      NewGroupPage(site, GroupView{}, hostilePeople(noName, s, time.Time{}), events),
		"ackedls": NewGroupsPage(site, q("filter"), grouping.GroupPage{
			Groups: []*grouping.AlertGroup{hostilePeople(noName, s, night)}, Total: 1,
		}),
		"form": NewFormPage(site, FormAck, g.ID, http.StatusBadRequest, "the name "+s, PersonInput{
			Name: s, Text: s, Until: s, Episode: s, Ack: s, ID: s, List: s,
		}),
		"refused": NewFormPage(site, FormNote, g.ID, http.StatusForbidden, s, PersonInput{Name: s, Text: s}),
		"ackall":  NewAckAllPage(site, q("filter"), groups, 2),
		"ackalls": NewAckAllAgain(site, q("filter"), groups, http.StatusBadRequest, s, PersonInput{Name: s, Text: s, Until: s}),
		"someack": NewAckedPage(site, q("filter"), 1, groups, 1),
	}
}

// hostilePeople returns the group as it is after a person acknowledged it at a time, or closed it.
func hostilePeople(g *grouping.AlertGroup, s string, at time.Time) *grouping.AlertGroup {
	next := *g
	if at.IsZero() {
		next.ClosedBy = &grouping.Closing{Person: grouping.Person{Name: s}, At: night}
	} else {
		next.Acks = []*grouping.Ack{{ID: s, Stamp: "z", Person: grouping.Person{Name: s}, At: at, Note: s}}
	}
	return grouping.NewAlertGroup(next)
}

// hostileForm makes the form for a new silence with hostile texts in all fields.
func hostileForm(site *Site, g *grouping.AlertGroup, s string) Page {
	writing := *site
	writing.Silencing, writing.Sources = Silencing{Sources: []string{s, "b"}}, nil
	f := query.ParseSilenceForm(map[string][]string{
		"filter": {s}, "comment": {s}, "by": {s}, "length": {s}, "until": {s}, "for": {query.SilenceForOther}, "previewed": {s},
	})
	f.Source = s
	return NewSilenceFormPage(&writing, &SilenceFormInput{
		Form: f, Group: g, Checked: true, Status: http.StatusBadRequest, Problem: s, Answered: s, BadName: s,
		Preview: &grouping.SilencePreview{
			Alerts: []grouping.ExpectedAlert{{Group: g, Alert: g.Alerts[0]}}, Others: 1, OtherGroups: []*grouping.AlertGroup{g}, Hash: s,
		},
	})
}

// hostileChanged makes the page of a silence that somebody changed through Muster.
func hostileChanged(site *Site, g *grouping.AlertGroup, s string) Page {
	writing := *site
	writing.Silencing, writing.Sources = Silencing{Sources: []string{s}, AsksName: true}, nil
	of := hostileSilences(g, s, grouping.SilenceActive).Silences[0]
	changed := *of.Silence
	changed.MatcherSets = changed.MatcherSets[:1]
	changed.Write = &grouping.SilenceWrite{By: grouping.Person{Name: s}, Kind: grouping.EventSilenceChanged, At: night}
	of.Silence, of.EndsAt = &changed, night
	p := NewSilencePage(&writing, of, []grouping.Event{{
		Kind: grouping.EventSilenceChanged, Source: s,
		Silence: &grouping.SilenceChange{ID: changed.ID, CreatedBy: s, By: &grouping.Person{Name: s}},
	}})
	p.Refuse(http.StatusBadRequest, s, s)
	return p
}

// parseSuppressed returns the view of what a silence mutes.
func parseSuppressed(silence string) View {
	v := viewOfState(query.StateSuppressed)
	v.Silence = silence
	return v
}

// A field never creates an element or an attribute that the templates do not
// contain, and never an unsafe link.
func TestHostileStrings(t *testing.T) {
	require.Greater(t, len(hostile), 60)
	r := newRenderer(t)
	elements, attrs := map[string]bool{}, map[string]bool{}
	learn := func(p Page) {
		es, as, _ := parts(t, renderPage(t, r, p))
		for e := range es {
			elements[e] = true
		}
		for a := range as {
			attrs[a] = true
		}
	}
	for _, p := range states(t) {
		learn(p)
	}
	for _, p := range hostilePages("harmless") {
		learn(p)
	}
	delete(elements, "style")
	for _, s := range hostile {
		for name, p := range hostilePages(s) {
			checkHostile(t, fmt.Sprintf("%s: %.60q", name, s), renderPage(t, r, p), elements, attrs)
		}
	}
}

// checkHostile checks that a page has only the known elements and attributes, and no
// unexpected link.
func checkHostile(t *testing.T, what, page string, elements, attrs map[string]bool) {
	t.Helper()
	es, as, hrefs := parts(t, page)
	for e := range es {
		if !elements[e] {
			t.Errorf("%s creates an element %q", what, e)
		}
	}
	for a := range as {
		if !attrs[a] || strings.Contains(a, " on") || strings.HasSuffix(a, " style") {
			t.Errorf("%s creates an attribute %q", what, a)
		}
	}
	for _, href := range hrefs {
		if !isExpectedLink(href) {
			t.Errorf("%s creates a link to %.80q", what, href)
		}
	}
}

func isExpectedLink(href string) bool {
	own := strings.HasPrefix(href, "/am/") || strings.HasPrefix(href, "#")
	outside := strings.HasPrefix(href, "https://evil.example/") || strings.HasPrefix(href, "https://prometheus.example.net/")
	return (own || outside) && !strings.HasPrefix(href, "//")
}

func TestWebLink(t *testing.T) {
	for s, want := range map[string]bool{
		"https://runbooks.example.net/a?b=c#d": true, "http://10.0.0.1:9090/graph": true, "https://[::1]:9090/": true, "HTTPS://x.example/": true,
		"": false, "javascript:alert(1)": false, "java\tscript:alert(1)": false, "//evil": false, `/\evil`: false, "/path": false,
		"https://": false, "https://:80/": false, "http:x": false, "https://user:pw@evil/": false, "https://user@evil/": false,
		"data:text/html,x": false, "https://a b/": false, "https://a\\b/": false, "https://a/\x00": false, "ftp://a/": false,
		"https://a/" + strings.Repeat("x", 100<<10): false,
	} {
		_, ok := webLink(s)
		require.Equal(t, want, ok, "%.60q", s)
	}
}
