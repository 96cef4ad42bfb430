package templates

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/templates/internal/fixture"
)

// acked returns the page of a group with acknowledgements and notes.
func acked(name string, change func(*Site), acks []fixture.Acked, notes ...fixture.Noted) *GroupPage {
	groups := fixture.Groups(night)
	for _, g := range groups {
		if g.Name == name {
			g = fixture.WithPeople(night, g, acks, notes)
			s := newSite(groups)
			if change != nil {
				change(s)
			}
			return NewGroupPage(s, GroupView{Range: rangeEpisode}, g, fixture.Events(g))
		}
	}
	panic("no group " + name)
}

func asksNames(s *Site) { s.AsksNames = true }
func readOnly(s *Site)  { s.ReadOnly = true }

// peopleStates returns the pages with what people wrote.
func peopleStates(t testing.TB) map[string]Page {
	t.Helper()
	m := time.Minute
	look := []fixture.Acked{{By: "mira", Verified: true, Ago: 24*m + 40*time.Second, Note: "looking at checkout 2.31"}}
	burn := []fixture.Acked{{By: "oncall", Verified: true, Ago: 5*m + 10*time.Second, Note: "rollback of checkout 2.31 started"}}
	over := []fixture.Acked{{By: "oncall", Ago: 62 * m, For: time.Hour}}
	notes := []fixture.Noted{
		{By: "mira", Verified: true, Ago: 19 * m, Text: "Bad tag. See https://wiki.example.net/x."}, {By: "jo", Ago: 4 * m, Text: "ok"},
	}
	conflict := acked("TargetDown", nil, nil)
	g := fixture.WithPeople(night, fixture.Groups(night)[5], nil, nil)
	conflict.AskAgain(newSite(nil), g, PersonInput{Name: "jo", Text: "my text", Until: "4h"})
	people := fixture.People(night)
	kept := PersonInput{Name: "", Text: "my text", Until: "1h", Episode: "e1"}
	named := siteWith(people, asksNames)
	return map[string]Page{
		"ackname":     acked("TargetDown", asksNames, nil),
		"ackby":       acked("PostgresReplicationLag", nil, burn, notes...),
		"acknew":      acked("KubePodCrashLooping", nil, look, notes...),
		"acknewname":  acked("KubePodCrashLooping", asksNames, look, notes...),
		"ackover":     acked("TargetDown", nil, over),
		"ackreadonly": acked("TargetDown", readOnly, nil),
		"ackpast":     acked("PostgresReplicationLag", goBack, burn, notes...),
		"ackresolved": acked("RedisDown", nil, burn),
		"ackconflict": conflict,
		"acklist":     listPage(t, people, "", nil),
		"acklistname": listPage(t, people, `filter=cluster="prod-eu1"`, asksNames),
		"ackwall":     listPage(t, people, "view=wall", nil),
		"whoareyou":   NewFormPage(named, FormAck, g.ID, 400, "a name is required", kept),
		"longnote":    NewFormPage(newSite(people), FormNote, g.ID, 400, "the text has 4097 bytes, the maximum is 4096", kept),
		"notwriter":   NewFormPage(newSite(people), FormNote, g.ID, 403, `"dana" may not write here`, kept),
		"longform":    NewLongFormPage(newSite(people)),
		"ackall":      NewAckAllPage(named, parseView(t, `filter=cluster="prod-eu1"`), people[:3], 300),
		"ackallagain": NewAckAllAgain(named, parseView(t, ""), people[:3], 400, "a name is required", kept),
		"ackallnone":  NewAckAllPage(named, parseView(t, ""), nil, 0),
		"ackedsome":   NewAckedPage(named, parseView(t, ""), 2, people[:1], 1),
	}
}

// The section says what holds, and offers what a person can do.
func TestTheAcknowledgementSection(t *testing.T) {
	r := newRenderer(t)
	section := func(p Page) string {
		body := renderPage(t, r, p)
		_, rest, found := strings.Cut(body, ` id="ack"`)
		if !found {
			return ""
		}
		rest, _, _ = strings.Cut(rest, "</section>")
		return text(t, "<p"+rest)
	}
	pages := peopleStates(t)
	for name, want := range map[string]string{
		"ackname": "Your name What you are doing Untiluntil it is overfor 1hfor 4huntil 09:00Acknowledge " +
			"Muster cannot verify this name. It is kept in a cookie and shown as not verified.",
		"ackby": "Acknowledged by oncall 5m 10s ago, until it is over: rollback of checkout 2.31 started. Undo",
		"acknew": "6 alerts joined after mira acknowledged this 24m 40s ago: looking at checkout 2.31. " +
			"What you are doing Untiluntil it is overfor 1hfor 4huntil 09:00Acknowledge these too Undo",
		"ackover": "The acknowledgement by oncall (not verified) ended at 03:00, as set. The group still fires. " +
			"What you are doing Untiluntil it is overfor 1hfor 4huntil 09:00Acknowledge",
		"ackreadonly": "Not acknowledged. This Muster is read-only.",
		"ackpast":     "Was acknowledged by oncall 5m 10s before: rollback of checkout 2.31 started. Acknowledging works on the present only.",
		"ackresolved": "",
	} {
		require.Equal(t, want, section(pages[name]), name)
	}
	for _, name := range []string{"ackreadonly", "ackpast"} {
		require.NotContains(t, renderPage(t, r, pages[name]), `method="post"`, name)
	}
}

func TestNotesOfAGroup(t *testing.T) {
	r := newRenderer(t)
	body := renderPage(t, r, peopleStates(t)["ackby"])
	_, rest, _ := strings.Cut(body, ` id="notes"`)
	rest, _, _ = strings.Cut(rest, "</section>")
	require.Equal(t, "Notes 3 notes mira 02:43: Bad tag. See https://wiki.example.net/x."+
		"oncall 02:57, acknowledged: rollback of checkout 2.31 startedjo (not verified) 02:58: ok Note Add note", text(t, "<p"+rest))
	require.Contains(t, rest, `Bad tag. See </bdi><a href="https://wiki.example.net/x" rel="noopener noreferrer">`)
	require.Contains(t, body, `<span class="lab">people</span>`)
	require.Contains(t, body, "3 acknowledgements and notes.")
	markdown := peopleStates(t)["ackby"].(*GroupPage).Markdown
	require.Contains(t, markdown, "Acknowledged by oncall at 2026-11-23 02:57 UTC: rollback of checkout 2.31 started\n")
	require.Contains(t, markdown, "Note by jo (not verified) at 2026-11-23 02:58 UTC: ok\n")
}

// The list has acknowledged groups below the others, and says who has them.
func TestAcknowledgedRows(t *testing.T) {
	p := peopleStates(t)["acklist"].(*GroupsPage)
	require.Contains(t, p.Groups, ", 2 acknowledged")
	require.Len(t, p.Acked, 2)
	require.Equal(t, "2 groups", p.AckedCount)
	require.Empty(t, listPage(t, fixture.People(night), "sort=name", nil).(*GroupsPage).Acked, "other orders ignore it")
	require.Empty(t, listPage(t, fixture.People(night), "ack=yes", nil).(*GroupsPage).Acked, "one heading is enough")
	require.Equal(t, 15-5, p.Badge, "nobody waits for five critical alerts")
	require.Empty(t, p.AckAll, "there is no filter")
	named := peopleStates(t)["acklistname"].(*GroupsPage)
	require.Equal(t, "Acknowledge these 13 groups…", named.AckAllText)
	require.Equal(t, `/am/ack?filter=cluster%3D%22prod-eu1%22`, named.AckAll)
	require.Equal(t, "acknowledged or not", named.Form.Acks[0].Text)
	require.Empty(t, listPage(t, fixture.Groups(night), "", nil).(*GroupsPage).Form.Acks, "nobody acknowledged anything")
	require.Equal(t, "/am/?ack=new&sort=name", NewLinks("", "am").Groups(parseView(t, "sort=name&ack=new")))
	var marks []string
	for _, rows := range [][]GroupRow{p.Rows, p.Acked} {
		for _, row := range rows {
			for _, m := range row.Marks {
				if m.Own || m.Loud && len(m.Says) > 0 {
					marks = append(marks, row.Title+": "+m.Says.String())
				}
			}
		}
	}
	require.ElementsMatch(t, []string{
		"KubePodCrashLooping: 6 new since mira acknowledged",
		"HTTPErrorBudgetBurn: oncall, 5m 10s ago: rollback of checkout 2.31 started",
		"NodeFilesystemSpaceFillingUp: jo (not verified), 1h 2m ago: OPS-412, until 11:00",
	}, marks)
}

func TestLinesOfWhatPeopleDid(t *testing.T) {
	g := fixture.WithPeople(night, fixture.Groups(night)[0], nil, nil)
	event := func(kind grouping.EventKind, d grouping.PeopleDetail) grouping.Event {
		return grouping.Event{ID: string(kind), Kind: kind, Time: night, GroupID: g.ID, Labels: g.GroupLabels, People: &d}
	}
	mira, jo := grouping.Person{Name: "mira", Verified: true}, grouping.Person{Name: "jo"}
	nine, long := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), strings.Repeat("x", 130)
	for want, e := range map[string]grouping.Event{
		"acknowledged: etcdNoLeader acknowledged by mira until it is over: rollback": event(
			grouping.EventAcknowledged, grouping.PeopleDetail{Person: mira, Text: "rollback"}),
		"acknowledged: etcdNoLeader acknowledged by jo (not verified) until Nov 23 09:00": event(
			grouping.EventAcknowledged, grouping.PeopleDetail{Person: jo, Until: nine}),
		"undone: etcdNoLeader acknowledgement undone by jo (not verified)": event(
			grouping.EventUnacknowledged, grouping.PeopleDetail{Person: jo}),
		"note: etcdNoLeader note by mira: " + long[:120] + "…": event(
			grouping.EventNoted, grouping.PeopleDetail{Person: mira, Text: long}),
		"closed: etcdNoLeader closed by jo (not verified)": event(
			grouping.EventClosed, grouping.PeopleDetail{Person: jo}),
	} {
		require.Equal(t, []string{want}, lines(historyOf(t, "", e)))
	}
}
