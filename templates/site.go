package templates

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
	"muster/history"
	"muster/internal/query"
)

// Site is the data that all pages need. The caller fills it for each request.
type Site struct {
	Links Links
	// Place is the position of this state in the stream of live updates.
	Place   string
	Now     time.Time
	Totals  grouping.Totals
	Storage grouping.StorageStatus

	// StartedAt is when this process started.
	StartedAt time.Time
	// StaleAfter is the maximum time without a notification while groups fire.
	StaleAfter time.Duration
	Retention  time.Duration
	Demo       bool
	Version    string
	// Heartbeats are the known heartbeats, the worst first. HeartbeatMatchers
	// select their alerts.
	Heartbeats        []grouping.Heartbeat
	HeartbeatMatchers []labels.Matchers
	// SilenceOf and AlertOf return a silence and an alert of a source, or nil if it is not
	// known. Both functions may be nil.
	SilenceOf func(source, id string) *grouping.Silence
	AlertOf   func(source string, fp grouping.Fingerprint) *grouping.Alert
	// BeforeOf says how often a group fired before, for its row. It returns false if that is not
	// known yet. It may be nil.
	BeforeOf func(*grouping.AlertGroup) (before history.Before, ok bool)
	// ListedBy returns the URL of an Alertmanager whose API listed the alert in its last
	// answer, or "". It may be nil.
	ListedBy func(source string, fp grouping.Fingerprint) string
	// Sources say what Muster receives from each source.
	Sources []grouping.SourceReport
	// GroupWait and GroupInterval are those of Alertmanager, as far as they are known.
	GroupWait, GroupInterval time.Duration
	// PollInterval is the time between two polls of an Alertmanager.
	PollInterval time.Duration
	// Mutes counts the suppressed alerts that the view of the list selects.
	Mutes grouping.MuteSummary
	// Gaps are the times in which Muster was not running, oldest first.
	Gaps []grouping.Gap
	// Silencing says whose silences people may change through Muster.
	Silencing Silencing
	// Past is set if the page shows a past state. Now is the time of that state then.
	Past *Past
	// BadAt reports that the parameter at cannot be used. The page shows the present.
	BadAt bool
	// ReadOnly reports whether nobody may write. AsksNames reports whether Muster cannot verify
	// names, so that people type them.
	ReadOnly, AsksNames bool
	// RejectedNotifications is the number of notifications that were rejected since the start.
	RejectedNotifications int
}

// noticeDuration is how long a page shows a notice about a past event.
const noticeDuration = 10 * time.Minute

func (s *Site) restored() bool { return !s.StartedAt.IsZero() && s.Storage.Restored > 0 }

// Notice is a line at the top of a page about the state of Muster itself.
type Notice struct {
	Key    string
	Class  string // bad, warn or note
	Text   string // read to a screen reader if alarming, so it must not change with time
	Middle string // text between Text and the age
	Since  Moment
	After  string // text after the age
	Href   string
	Link   string
}

// Alarming reports whether the notice should interrupt a screen reader.
func (n Notice) Alarming() bool { return n.Class == "bad" }

func (s *Site) notices() []Notice {
	var out []Notice
	if s.BadAt {
		out = append(out, Notice{Key: "at", Class: "bad", Text: badAtText})
	}
	if s.Demo {
		out = append(out, Notice{Key: "demo", Class: "info", Text: "Demo data: these alerts are invented. They are kept in memory only."})
	}
	st := s.Storage
	details := func(n Notice) Notice {
		n.Href, n.Link = s.Links.Status(), "Details"
		return n
	}
	if !st.Healthy && !st.DegradedSince.IsZero() {
		n := Notice{
			Key: "storage", Class: "bad", Since: newMoment(st.DegradedSince, s.clock()),
			Text:   atStart(storageName(st.Mode)) + " has not answered since " + st.DegradedSince.UTC().Format("15:04:05") + " UTC",
			Middle: " (", After: "). New notifications are kept in memory and will be written back.",
		}
		if st.DirtyGroups > 0 {
			n.After += fmt.Sprintf(" A restart now would lose changes in %s.", plural(st.DirtyGroups, "group", "groups"))
		}
		out = append(out, details(n))
	}
	if st.Partial {
		out = append(out, details(Notice{
			Key: "partial", Class: "bad",
			Text: "Partial: Muster restarted and " + storageName(st.Mode) + " is unavailable. " +
				"The page shows only groups with a notification since the restart.",
		}))
	}
	if st.Healthy && !st.RecoveredAt.IsZero() && s.clock().Sub(st.RecoveredAt) < noticeDuration {
		out = append(out, Notice{
			Key: "recovered", Class: "info",
			Text: fmt.Sprintf("%s is available since %s UTC. %s written back.", atStart(storageName(st.Mode)),
				st.RecoveredAt.UTC().Format("15:04:05"), plural(st.WrittenBack, "group was", "groups were")),
		})
	}
	if s.restored() && s.clock().Sub(s.StartedAt) < noticeDuration {
		out = append(out, Notice{
			Key: "restored", Class: "info",
			Text: fmt.Sprintf("Restored %s from %s after a restart at %s UTC.", plural(st.Restored, "group", "groups"),
				storageName(st.Mode), s.StartedAt.UTC().Format("15:04:05")),
		})
	}
	if s.isPast() {
		return out // the sources are those of now
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

// atStart returns the name of a storage for the beginning of a sentence.
func atStart(name string) string {
	if rest, ok := strings.CutPrefix(name, "the "); ok {
		return "The " + rest
	}
	return name
}

// Frame is the part that all pages have in common. Every page embeds it.
type Frame struct {
	Links   Links
	Place   string // see Site
	Title   string // title of the browser's tab
	Section string // current entry of the navigation
	Notices []Notice
	Now     Moment
	NowMs   int64
	Clock   string
	// Badge is the number on the icon of the tab: the alerts of the worst severity that fire
	// and that nobody acknowledged. Worst is the color of the badge.
	Badge   int
	Worst   string
	Wall    bool
	WallURL string
	Version string
	Keys    []KeyHelp
	Ago     string // the word after the age of an event
	// Past is set if the page shows a past state. Otherwise, Earlier leads to one. HasPast
	// reports whether that is one of this page.
	Past    *PastBanner
	Earlier string
	HasPast bool
	// Still is true if the page does not follow live updates.
	Still bool

	status int // HTTP status code; 0: 200
}

// The HTTP status codes of pages.
const (
	codeOK         = 200
	codeBadRequest = 400
	codeNotFound   = 404
	codeConflict   = 409
)

// Code is the HTTP status code of the page.
func (f *Frame) Code() int { return cmp.Or(f.status, codeOK) }

// isolate wraps a text that contains characters which change the direction of
// writing, so that they do not affect the text after it. It is for places without
// HTML elements.
func isolate(s string) string {
	const firstStrong, pop = "\u2068", "\u2069"
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }) {
		return s
	}
	return firstStrong + s + pop
}

func (s *Site) newFrame(section, title string) Frame {
	f := Frame{
		Links: s.Links, Place: s.Place, Section: section, Notices: s.notices(),
		Now: newMoment(s.clock(), s.clock()), NowMs: s.clock().UnixMilli(),
		Clock: s.clock().UTC().Format("15:04"), Version: s.Version, Keys: keys, Ago: s.ago(),
		WallURL: s.Links.Now().Groups(View{Groups: viewOfState(query.StateFiring).Groups, Wall: true}),
	}
	f.setPage(s, Links.AllGroups)
	f.HasPast = false
	f.Title = isolate(title) + " · Muster"
	if s.isPast() {
		f.Title, f.Worst = s.pastTitle(f.Title), "past"
		return f
	}
	if s.BadAt {
		f.status = codeBadRequest
	}
	totals := &s.Totals.WithoutHeartbeats
	// Only what waits for somebody counts.
	critical, warning := totals.WaitingAlerts(grouping.SeverityCritical), totals.WaitingAlerts(grouping.SeverityWarning)
	waiting := critical + warning
	for _, severity := range []grouping.Severity{grouping.SeverityInfo, grouping.SeverityOther, grouping.SeverityNone} {
		waiting += totals.WaitingAlerts(severity)
	}
	switch {
	case critical > 0:
		f.Badge, f.Worst = critical, "crit"
	case warning > 0:
		f.Badge, f.Worst = warning, "warn"
	case waiting > 0:
		f.Badge, f.Worst = waiting, "info"
	default:
		f.Worst = "ok"
	}
	if waiting > 0 {
		f.Title = fmt.Sprintf("(%d) %s", waiting, f.Title)
	}
	return f
}
