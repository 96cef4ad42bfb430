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
	Own               bool    // it is about what a person did
	Says              Phrases // in place of Text
	Left              Phrase  // a duration after the text
	After             string  // text after the duration
}

// restartMarkDuration is how long after a start a group without a new notification
// has a mark.
const restartMarkDuration = time.Hour

// groupMarks returns the marks of a group. all are the causes of its suppressed alerts.
func groupMarks(g *grouping.AlertGroup, s *Site, all []causes) []Mark {
	var out []Mark
	add := func(loud bool, word, text, title string) {
		out = append(out, Mark{Text: text, Title: title, Href: s.Links.Word(word), Loud: loud})
	}
	if m, ok := s.silenceEndMark(all); ok {
		out = append(out, m)
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
	if nobodyNotified(g.Alerts) {
		out = append(out, s.notNotifiedMark())
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
	return !s.isPast() && s.restored() && g.LastNotifiedAt.Before(s.StartedAt) && s.Now.Sub(s.StartedAt) < restartMarkDuration
}

// silenceEndMark returns a mark if a silence ends soon.
func (s *Site) silenceEndMark(all []causes) (Mark, bool) {
	at, soon := s.silenceEnd(all)
	if !soon {
		return Mark{}, false
	}
	return Mark{
		Text: "silence ends in ", Left: minutesPhrase(at, s.Now), Href: s.Links.Word("suppressed"), Loud: true,
		Title: "Alertmanager notifies again after " + formatClock(at, s.Now) + " UTC if the alert still fires",
	}, true
}

// minutesPhrase is the duration until a time that is near.
func minutesPhrase(at, now time.Time) Phrase {
	return Phrase{ISO: at.UTC().Format(time.RFC3339), Text: minutesLeft(at.Sub(now)), Form: "m", Left: true}
}

// minutesLeft writes a short duration in whole minutes, and the last one in seconds.
func minutesLeft(d time.Duration) string {
	if d < time.Minute {
		return Age(d)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}

func (s *Site) notNotifiedMark() Mark {
	return Mark{
		Text: "not notified", Href: s.Links.Word("not-notified"),
		Title: "Alertmanager knows this alert and has not notified about it yet",
	}
}

// nobodyNotified reports whether some alerts did not end, and nobody was notified of any of
// them.
func nobodyNotified(alerts []*grouping.Alert) bool {
	some := false
	for _, a := range alerts {
		if a.Status == grouping.StatusResolved {
			continue
		}
		if !a.Unnotified {
			return false
		}
		some = true
	}
	return some
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
