package templates

import (
	"fmt"
	"time"

	"muster/grouping"
)

// Mark is a warning about a row. It links to its explanation, because the title of
// an element needs a mouse.
type Mark struct {
	Text, Title, Href string
	Loud              bool
}

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
	if n := g.Disputed(); n > 0 {
		add(true, "disagree", "Alertmanagers disagree",
			plural(n, "alert", "alerts")+": one Alertmanager reports firing, another reports resolved")
	}
	if m, ok := futureMark(s, g.Alerts); ok {
		out = append(out, m)
	}
	if n, flaps := grouping.Flapping(g.Alerts, s.Now); flaps {
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

// futureMark returns a mark if a start is in the future.
func futureMark(s *Site, alerts []*grouping.Alert) (Mark, bool) {
	at, future := grouping.FutureStart(alerts, s.Now)
	if !future {
		return Mark{}, false
	}
	return Mark{
		Text: "starts in the future", Href: s.Links.Word("future"), Loud: true,
		Title: "The start is " + formatClock(at, s.Now) + " UTC. The age counts from the time of the report",
	}, true
}
