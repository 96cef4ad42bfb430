package templates

import (
	"cmp"
	"time"

	"muster/grouping"
)

// StatusInput is the data of the status page.
type StatusInput struct {
	Build     []Fact // version, revision, Go
	Settings  []Fact // flags and durations; the caller must omit secrets
	Limits    []Limit
	Rejected  []Rejection // newest first
	Problems  []string    // problems in the setup of Muster, as sentences
	Listeners int         // number of live pages
}

// Fact is a name and its value.
type Fact struct{ Name, Value string }

// Limit is a limit and how often it was reached.
type Limit struct {
	Name, Value  string
	TimesReached int
}

// Rejection is a notification that Muster rejected completely or in part. Repeated
// rejections with the same reason and sender are one Rejection, with the time of
// the last.
type Rejection struct {
	At     time.Time
	From   string
	Status int
	Reason string
	Times  int // 0 and 1: once
}

// StatusPage shows the state of Muster itself.
type StatusPage struct {
	Frame

	Storage   []Fact
	Healthy   bool
	Reason    string
	Since     Moment
	Problems  []string // problems in the setup of the storage, and damaged groups
	Own       []string // problems in the setup of Muster
	Gaps      []GapRow
	MoreGaps  string // leads to the history of gaps; empty if the page has all
	Held      []Fact
	Sources   []SourceRow
	Setup     string // leads to how to set up all sources
	Done      string // 2 of 4 steps done; empty if all are
	Rejected  []RejectionRow
	Limits    []Limit
	Settings  []Fact
	Build     []Fact
	Started   Moment
	Listeners int
}

// GapRow is a row of the table of gaps.
type GapRow struct {
	From, To    Moment
	Lasted, Why string
}

// RejectionRow is a row of the table of rejected notifications.
type RejectionRow struct {
	At           Moment
	From, Reason string
	Status       int
	Times        string
}

// NewStatusPage makes the status page.
func NewStatusPage(s *Site, in StatusInput) *StatusPage {
	st := s.Storage
	p := &StatusPage{
		Frame:   s.newFrame("status", "Status"),
		Healthy: st.Healthy, Reason: st.Reason, Since: newMoment(st.DegradedSince, s.Now), Problems: st.Problems,
		Limits: in.Limits, Settings: in.Settings, Build: in.Build, Started: newMoment(s.StartedAt, s.Now), Listeners: in.Listeners,
		Own: in.Problems, Sources: s.receivedRows(), Setup: s.Links.Word("sources"), Done: newSetup(s).doneSteps(),
	}
	p.addGaps(s)
	yesNo := map[bool]string{true: "yes", false: "no"}
	p.Storage = []Fact{
		{"Mode", cmp.Or(st.Mode, "unknown")},
		{"Not written back", plural(st.DirtyGroups, "group", "groups")},
		{"Other replicas", formatCount(st.Replicas)},
		{"Restored at start", plural(st.Restored, "group", "groups")},
		{"Partial", yesNo[st.Partial]},
	}
	for _, state := range grouping.States() {
		p.Held = append(p.Held, Fact{"Groups " + string(state), formatCount(s.Totals.Groups[state])})
	}
	for _, status := range grouping.Statuses() {
		p.Held = append(p.Held, Fact{"Alerts " + string(status), formatCount(s.Totals.Alerts[status])})
	}
	for _, receiver := range sortedKeys(s.Totals.Receivers) {
		p.Held = append(p.Held, Fact{"Groups of receiver " + receiver, formatCount(s.Totals.Receivers[receiver])})
	}
	for _, r := range in.Rejected {
		row := RejectionRow{At: newMoment(r.At, s.Now), From: r.From, Reason: r.Reason, Status: r.Status}
		if r.Times > 1 {
			row.Times = plural(r.Times, "time", "times")
		}
		p.Rejected = append(p.Rejected, row)
	}
	return p
}
