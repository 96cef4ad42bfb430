package history

import (
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// ByReceiver counts by the receivers of the groups, and not by a label.
const ByReceiver = "receiver"

// SelfResolved is the maximum duration of an episode that ended by itself.
const SelfResolved = 5 * time.Minute

// FlapInterval is the maximum time between the end of an alert's episode and the next one
// for a flap.
const FlapInterval = time.Hour

// ReportQuery selects what a report counts.
type ReportQuery struct {
	// Since is inclusive, Until is exclusive. The report compares them with the window of
	// the same length before.
	Since, Until time.Time
	Matchers     labels.Matchers
	Words        []string // as in grouping.EventQuery
	By           string   // a label, or ByReceiver
}

// Before returns the window before.
func (q *ReportQuery) Before() Window { return Window{q.Since.Add(q.Since.Sub(q.Until)), q.Since} }

// Window is a time from Since until before Until.
type Window struct{ Since, Until time.Time }

// Report is what the history says about a window.
//
// An episode is a firing of the window in which it begins, and an ended episode of the one
// in which it ends. Its time counts in each window with the part inside.
type Report struct {
	Window

	// KnownSince is when the history begins, if that is later than the window. Otherwise it
	// is zero. Alerts that started before and were seen later are counted.
	KnownSince time.Time
	// Before is the window before, or nil if the history does not have all of it.
	Before       *Window
	Totals       Row
	TotalsBefore Row // zero if Before is nil
	By           string
	Rows         []Row // noisiest first
	Receivers    []ReceiverCount
	// Heat has the numbers of firings that began by weekday and hour in UTC. Monday is first.
	Heat [7][24]int
	Days []Day          // in UTC
	Gaps []grouping.Gap // the parts inside the window
}

// Row has the numbers of a report, of all alerts or of those with one key.
type Row struct {
	Key           string
	Firings       int
	FiringsBefore int // zero if there is no window before
	// Firing is how long all alerts fired in the window, together.
	Firing time.Duration
	// Ended is the number of episodes whose end is known. Median and P90 are how long they
	// fired. SelfResolved ended within five minutes, Suppressed were suppressed at any time.
	// Acknowledged were acknowledged before they ended, half of them within AckMedian after
	// they began. Critical, CriticalAcknowledged and CriticalAckMedian are the same numbers of
	// critical alerts.
	Ended, SelfResolved, Suppressed, Acknowledged, Critical, CriticalAcknowledged int
	AckMedian, CriticalAckMedian                                                  time.Duration
	Median, P90                                                                   time.Duration
	// UnknownEnds is the number of episodes that are no longer reported, and whose end is not
	// known. They are not in Ended.
	UnknownEnds int
	// Flaps is the number of firings within FlapInterval after the alert's last end. Flapped
	// is the number of alerts with flaps.
	Flaps, Flapped int
	Notifications  int
	LastAt         time.Time // of the last firing, or zero
	// Severity is the worst one of the alerts, and SeverityWord an alert's word for it.
	Severity     grouping.Severity
	SeverityWord string
}

// Share returns the share of the ended episodes, or false if none ended.
func (r *Row) Share(n int) (share float64, ok bool) {
	if r.Ended == 0 {
		return 0, false
	}
	return float64(n) / float64(r.Ended), true
}

// ReceiverCount has the notifications to one receiver. An empty reason is not known.
type ReceiverCount struct {
	Receiver      string
	Notifications int
	ByReason      map[string]int
}

// Severities is the number of severities.
const Severities = int(grouping.SeverityNone) + 1

// Day has the firings that began on a day in UTC.
type Day struct {
	Day        time.Time
	Firings    int
	BySeverity [Severities]int // by grouping.Severity
}
