package templates

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
	"muster/internal/query"
)

// Site is what every page shows or builds upon, whatever page it is. The
// caller fills it for each request.
type Site struct {
	Links Links
	// Place is that of the state in the stream of live updates.
	Place   string
	Now     time.Time
	Summary Summary
	Storage grouping.StorageStatus

	// StartedAt is when this process started, RecoveredAt when the storage last
	// came back and WrittenBack how many groups were written back then.
	StartedAt   time.Time
	RecoveredAt time.Time
	WrittenBack int
	// StaleAfter is how long no notification may arrive while groups fire.
	StaleAfter time.Duration
	Retention  time.Duration
	Demo       bool
	Version    string
	// Heartbeats are those that are watched, the worst first; HeartbeatMatchers
	// select their alerts.
	Heartbeats        []grouping.Heartbeat
	HeartbeatMatchers []labels.Matchers
	// Refused is how many notifications were refused since the start.
	Refused int
}

// noticeShown is for how long a page tells of something that is over.
const noticeDuration = 10 * time.Minute

func (s *Site) restored() bool { return !s.StartedAt.IsZero() && s.Storage.Restored > 0 }

// Notice is a line on top of a page about the state of Muster itself.
type Notice struct {
	Key   string
	Class string // bad, warn or note
	Text  string // said to a screen reader where it is alarming; so it stays the same while it lasts
	Mid   string // what stands between Text and the age
	Since Moment
	After string // what follows the age
	Href  string
	Link  string
}

// Alarming reports whether a screen reader should be interrupted.
func (n Notice) Alarming() bool { return n.Class == "bad" }

func (s *Site) notices() []Notice {
	var out []Notice
	if s.Demo {
		out = append(out, Notice{Key: "demo", Class: "note", Text: "Demo data: these alerts are made up and kept in memory only."})
	}
	st := s.Storage
	details := func(n Notice) Notice {
		n.Href, n.Link = s.Links.Status(), "Details"
		return n
	}
	if !st.Healthy && !st.DegradedSince.IsZero() {
		n := Notice{
			Key: "storage", Class: "bad", Since: newMoment(st.DegradedSince, s.Now),
			Text: storageName(st.Mode) + " has not answered since " + st.DegradedSince.UTC().Format("15:04:05") + " UTC",
			Mid:  " (", After: "). New notifications are kept in memory and will be written back.",
		}
		if st.DirtyGroups > 0 {
			n.After = fmt.Sprintf("). New notifications are kept in memory and will be written back; a restart now would lose what is new in %s.",
				plural(st.DirtyGroups, "group", "groups"))
		}
		out = append(out, details(n))
	}
	if st.Partial {
		out = append(out, details(Notice{
			Key: "partial", Class: "bad",
			Text: "Partial: Muster restarted and " + storageName(st.Mode) + " cannot be reached. Only what was notified since is shown; the rest comes back with " + storageName(st.Mode) + ".",
		}))
	}
	if st.Healthy && !s.RecoveredAt.IsZero() && s.Now.Sub(s.RecoveredAt) < noticeDuration {
		out = append(out, Notice{
			Key: "recovered", Class: "note",
			Text: fmt.Sprintf("%s is back since %s UTC; %s written back.", storageName(st.Mode),
				s.RecoveredAt.UTC().Format("15:04:05"), plural(s.WrittenBack, "group", "groups")),
		})
	}
	if s.restored() && s.Now.Sub(s.StartedAt) < noticeDuration {
		out = append(out, Notice{
			Key: "restored", Class: "note",
			Text: fmt.Sprintf("Restored %s from %s after a restart at %s UTC.", plural(st.Restored, "group", "groups"),
				storageName(st.Mode), s.StartedAt.UTC().Format("15:04:05")),
		})
	}
	out = append(out, s.heartbeatNotices()...)
	return append(out, s.sourceNotices()...)
}

func storageName(mode string) string {
	switch mode {
	case "redis":
		return "Redis"
	case "file":
		return "the file"
	case "":
		return "the storage"
	default:
		return mode
	}
}

// Frame is the part of a page that is the same on all of them. Every page
// embeds one.
type Frame struct {
	Links   Links
	Place   string // see Site
	Title   string // of the browser's tab
	Section string // which entry of the navigation is current
	Notices []Notice
	Now     Moment
	NowMs   int64
	Clock   string
	// Badge is the number on the tab's icon: firing critical alerts, or all
	// firing ones where none is critical. Worst says which colour it has.
	Badge   int
	Worst   string
	Wall    bool
	WallURL string
	Version string
	Keys    []KeyHelp

	status int // HTTP status; 0: 200
}

// Code is the status that a page is to be answered with.
func (f *Frame) Code() int {
	if f.status == 0 {
		return http.StatusOK
	}
	return f.status
}

// isolate keeps what turns the direction of writing inside of s, where no
// element can do it.
func isolate(s string) string {
	const firstStrong, pop = "\u2068", "\u2069"
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }) {
		return s
	}
	return firstStrong + s + pop
}

func (s *Site) newFrame(section, title string) Frame {
	f := Frame{
		Links: s.Links, Place: s.Place, Section: section, Notices: s.notices(), Now: newMoment(s.Now, s.Now), NowMs: s.Now.UnixMilli(),
		Clock: s.Now.UTC().Format("15:04"), Version: s.Version, Keys: keys, WallURL: s.Links.Groups(View{Groups: viewOfState(query.StateFiring).Groups, Wall: true}),
	}
	sum := &s.Summary
	switch {
	case sum.Critical > 0:
		f.Badge, f.Worst = sum.Critical, "crit"
	case sum.Warning > 0:
		f.Badge, f.Worst = sum.Warning, "warn"
	case sum.Alerts() > 0:
		f.Badge, f.Worst = sum.Alerts(), "info"
	default:
		f.Worst = "ok"
	}
	f.Title = isolate(title) + " · Muster"
	if n := sum.Alerts(); n > 0 {
		f.Title = fmt.Sprintf("(%d) %s", n, f.Title)
	}
	return f
}
