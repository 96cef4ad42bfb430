package templates

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/query"
	"muster/templates/internal/fixture"
)

func historyOf(t *testing.T, text string, events ...grouping.Event) *HistoryPage {
	t.Helper()
	return NewHistoryPage(newSite(nil), ParseHistoryView(query.Parse(text), night), grouping.EventPage{Events: events})
}

func lines(p *HistoryPage) []string {
	var out []string
	for _, d := range p.Days {
		for _, e := range d.Events {
			out = append(out, e.Kind+": "+e.What+" "+e.Says)
		}
	}
	return out
}

// event returns the n-th event of a write. A higher write is newer.
func event(write, n int, kind grouping.EventKind, name string) grouping.Event {
	return grouping.Event{
		ID: fmt.Sprintf("%032d%06x", write, n), Time: night.Add(time.Duration(write-100) * time.Minute), Kind: kind,
		GroupID: "0123456789abcdef0123", Labels: grouping.NewLabels(map[string]string{"alertname": name}),
	}
}

func notified(write int, group grouping.ID, from string) grouping.Event {
	e := event(write, 9, grouping.EventNotified, "Disk")
	e.GroupID, e.Notified = group, &grouping.Notified{ExternalURL: from, Reason: "first notification", Firing: 1}
	return e
}

// By default the history does not show notifications.
func TestHistoryShowsTransitionsByDefault(t *testing.T) {
	kinds := func(text string) []grouping.EventKind {
		return ParseHistoryView(query.Parse(text), night).EventQuery().Kinds
	}
	require.NotContains(t, kinds(""), grouping.EventNotified)
	require.Len(t, kinds(""), len(grouping.EventKinds())-2)
	require.Empty(t, kinds("kind=all"), "all kinds")
	require.Equal(t, []grouping.EventKind{grouping.EventNotified}, kinds("kind=notified"))

	require.Equal(t, "/am/history?kind=all", historyOf(t, "").WithNotifications)
	require.Empty(t, historyOf(t, "kind=all").WithNotifications)
	require.Empty(t, historyOf(t, "kind=fired").WithNotifications)
	require.Equal(t, "/history?kind=all", NewLinks("", "").History(ParseHistoryView(query.Parse("kind=all"), night)))
}

// If a write opens or closes a group together with an alert, the line of the alert
// says so.
func TestGroupEventsFoldIntoThoseOfAlerts(t *testing.T) {
	p := historyOf(t, "",
		event(4, 2, grouping.EventClosed, "Disk"),
		event(4, 1, grouping.EventResolved, "Disk"),
		event(4, 0, grouping.EventResolved, "Net"),
		event(3, 0, grouping.EventResolved, "Other"),
		event(2, 2, grouping.EventFired, "Disk"),
		event(2, 1, grouping.EventFired, "Net"),
		event(2, 0, grouping.EventOpened, "Disk"),
		event(1, 0, grouping.EventOpened, "Alone"),
	)
	require.Equal(t, []string{
		"resolved: Disk is resolved, the last of its group",
		"resolved: Net is resolved",
		"resolved: Other is resolved",
		"fired: Disk fires",
		"fired: Net fires, the first of its group",
		"opened: Alone starts with its first firing alert",
	}, lines(p))
}

// Copies of one notification from several Alertmanagers are one line per group.
func TestCopiesOfANotificationFold(t *testing.T) {
	const one, two = grouping.ID("0123456789abcdef0123"), grouping.ID("ffffffffffffffffffff")
	p := historyOf(t, "kind=all",
		notified(9, one, fixture.AM0),
		notified(5, one, fixture.AM1),
		notified(5, two, fixture.AM0),
		notified(5, one, fixture.AM0),
		notified(5, two, fixture.AM0),
	)
	from := func(hosts string) string { return "notified: Disk first notification: 1 firing, from " + hosts }
	am0, am1 := hostOf(fixture.AM0), hostOf(fixture.AM1)
	require.Equal(t, []string{from(am0), from(am0 + ", " + am1), from(am0), from(am0)}, lines(p))
}

// Each mark links to its explanation on the help page.
func TestMarksLinkToHelp(t *testing.T) {
	help := NewHelpPage(newSite(nil))
	words := map[string]bool{}
	for _, w := range help.Words {
		words[help.Links.Word(w.ID)] = true
	}
	marked := map[string]bool{}
	for name, p := range states(t) {
		var found []Mark
		switch p := p.(type) {
		case *GroupsPage:
			for _, r := range p.Rows {
				found = append(found, r.Marks...)
			}
		case *GroupPage:
			found = p.Marks
			for _, a := range p.Alerts {
				found = append(found, a.Marks...)
			}
		}
		for _, m := range found {
			require.True(t, words[m.Href], "%s: mark %s leads to %s", name, m.Text, m.Href)
			word, _, _ := strings.Cut(m.Text, " ")
			marked[word] = true
		}
	}
	require.GreaterOrEqual(t, len(marked), 6, marked)
}

// The title of a tab has no elements. Control characters isolate the name in it.
func TestTitlesAreIsolated(t *testing.T) {
	s := newSite(nil)
	require.Equal(t, "Disk · Muster", s.newFrame("", "Disk").Title)
	require.Equal(t, "\u2068Disk \u202egnp\u2069 · Muster", s.newFrame("", "Disk \u202egnp").Title)
}

// An event of a source belongs to no group, so its line has no link to one.
func TestAnEventOfASourceHasNoLink(t *testing.T) {
	e := event(1, 0, grouping.EventStale, "")
	e.GroupID, e.Labels, e.Source = "", grouping.Labels{}, "prod"
	page := historyOf(t, "", e)
	require.Len(t, page.Days, 1)
	row := page.Days[0].Events[0]
	require.Equal(t, []string{"prod", "", ""}, []string{row.What, row.Href, row.Group})
	r, err := New("")
	require.NoError(t, err)
	require.NotRegexp(t, `href="[^"]*/groups/"`, renderPage(t, r, page))
}
