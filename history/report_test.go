package history_test

import (
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"muster/grouping"
	"muster/history"
)

// The night of the tests: the window is Monday, November 23. The window before is Sunday.
var (
	sunday  = at("22 00:00:00")
	monday  = at("23 00:00:00")
	tuesday = at("24 00:00:00")
)

// at returns a time of November 2026: day, hour, minute and second.
func at(text string) time.Time {
	t, err := time.Parse("2006-01 02 15:04:05", "2026-11 "+text)
	if err != nil {
		panic(err)
	}
	return t
}

var (
	cpuA = alertOf("CPU", "critical", "a")
	cpuB = alertOf("CPU", "critical", "b")
	mem1 = alertOf("Mem", "warning", "1")
	mem2 = alertOf("Mem", "warning", "2")
	edge = alertOf("Edge", "info", "")
	late = alertOf("Late", "info", "")
	odd  = alertOf("Odd", "", "")
	net  = alertOf("Net", "info", "")
	disk = alertOf("Disk", "warning", "")
)

func alertOf(name, severity, pod string) grouping.Labels {
	m := map[string]string{"alertname": name}
	if severity != "" {
		m["severity"] = severity
	}
	if pod != "" {
		m["pod"] = pod
	}
	return grouping.NewLabels(m)
}

// group is a group of the tests. Its receiver is "team-" and the letter.
type group string

const (
	groupA group = "a"
	groupB group = "b"
	groupC group = "c"
	groupD group = "d" // of the receiver of group c
)

func (g group) receiver() string {
	if g == groupD {
		return groupC.receiver()
	}
	return "team-" + string(g)
}

func (g group) key() grouping.Key {
	return grouping.Key{Source: "prod", Receiver: g.receiver(), GroupKey: string(g)}
}

// stream collects events.
type stream struct {
	events []grouping.Event
	writes uint16
}

func (s *stream) add(when string, e grouping.Event) {
	s.writes++
	e.Time = at(when)
	e.ID = string(grouping.NewStamp(e.Time, s.writes, "0123abcd")) + "000000"
	s.events = append(s.events, e)
}

// alert adds an event about an alert. start and end can be "".
func (s *stream) alert(when string, kind grouping.EventKind, g group, labels grouping.Labels, start, end string) *grouping.Event {
	e := grouping.Event{
		Kind: kind, GroupID: g.key().ID(), Source: "prod", Receiver: g.receiver(), Fingerprint: labels.Fingerprint(), Labels: labels,
	}
	if start != "" {
		e.StartsAt = at(start)
	}
	if end != "" {
		e.EndsAt = at(end)
	}
	s.add(when, e)
	return &s.events[len(s.events)-1]
}

func (s *stream) notified(when string, g group, reason, from string, firing, resolved int) {
	s.add(when, grouping.Event{
		Kind: grouping.EventNotified, GroupID: g.key().ID(), Source: "prod", Receiver: g.receiver(),
		Notified: &grouping.Notified{Reason: reason, ExternalURL: "http://" + from, Firing: firing, Resolved: resolved},
	})
}

func (s *stream) delivered(when string, g group, receiver, integration, reason, flush string, firing, resolved int) {
	s.add(when, grouping.Event{
		Kind: grouping.EventDelivered, GroupID: g.key().ID(), Source: "prod", Receiver: g.receiver(),
		Delivery: &grouping.Delivery{
			Receiver: receiver, Integration: integration, Reason: reason, Flush: flush, Firing: firing, Resolved: resolved,
		},
	})
}

func (s *stream) gap(when, from, to string) {
	s.add(when, grouping.Event{Kind: grouping.EventGap, Gap: &grouping.Gap{From: at(from), To: at(to)}})
}

func (s *stream) all() iter.Seq2[grouping.Event, error] {
	return func(yield func(grouping.Event, error) bool) {
		for _, e := range s.events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// digestOf returns the digest of events that are oldest first. The groups had the given state
// before them.
func digestOf(since time.Time, groups []*grouping.AlertGroup, events iter.Seq2[grouping.Event, error]) (*history.Digest, error) {
	d := history.NewDigest(since, groups)
	for e, err := range events {
		if err != nil {
			return nil, err
		}
		d.Add(&e)
	}
	return d, nil
}

// newReport returns the report of such events.
func newReport(
	q history.ReportQuery, since time.Time, groups []*grouping.AlertGroup, events iter.Seq2[grouping.Event, error],
) (*history.Report, error) {
	d, err := digestOf(since, groups, events)
	if err != nil {
		return nil, err
	}
	return d.Report(q), nil
}

const (
	opened, closed     = grouping.EventOpened, grouping.EventClosed
	fired, refired     = grouping.EventFired, grouping.EventRefired
	reopened, resolved = grouping.EventReopened, grouping.EventResolved
	unreported         = grouping.EventUnreported
	suppressed         = grouping.EventSuppressed

	first, added  = "first notification", "new alerts added"
	allOver, some = "all alerts resolved", "some alerts resolved"
	again         = "repeat interval elapsed"
)

// begin returns the state when Sunday begins: Disk fires, Net ended at 23:40.
func begin() []*grouping.AlertGroup {
	known := func(labels grouping.Labels, status grouping.Status, start, end time.Time) *grouping.Alert {
		return &grouping.Alert{
			Fingerprint: labels.Fingerprint(), Labels: labels, Status: status, StartsAt: start, EndsAt: end, FirstSeenAt: start, ChangedAt: start,
		}
	}
	return []*grouping.AlertGroup{grouping.NewAlertGroup(grouping.AlertGroup{
		ID: groupA.key().ID(), Meta: grouping.Meta{Key: groupA.key()}, Alerts: []*grouping.Alert{
			known(disk, grouping.StatusFiring, at("21 20:00:00"), time.Time{}),
			known(net, grouping.StatusResolved, at("21 23:00:00"), at("21 23:40:00")),
		},
	})}
}

// night returns the events from Sunday to Tuesday.
func night() *stream {
	s := &stream{}
	// Sunday. Net flaps. Disk ends, which fires since Saturday.
	s.alert("22 00:30:00", refired, groupA, net, "22 00:30:00", "")
	s.notified("22 00:30:00", groupA, added, "am-0", 2, 0)
	s.notified("22 00:30:20", groupA, added, "am-1", 2, 0)
	s.alert("22 01:00:00", resolved, groupA, net, "22 00:30:00", "22 00:58:00")
	s.notified("22 01:00:00", groupA, some, "am-0", 1, 1)
	s.alert("22 06:00:00", resolved, groupA, disk, "21 20:00:00", "22 05:59:00")
	s.notified("22 06:00:00", groupA, allOver, "am-0", 0, 1)
	s.alert("22 06:00:00", closed, groupA, disk, "", "").Fingerprint = ""

	// CPU of pod a fires over midnight.
	s.alert("22 23:50:00", opened, groupA, cpuA, "", "").Fingerprint = ""
	s.alert("22 23:50:00", fired, groupA, cpuA, "22 23:49:00", "")
	s.notified("22 23:50:00", groupA, first, "am-0", 1, 0)
	// Edge fires exactly from midnight to midnight.
	s.alert("23 00:00:30", fired, groupD, edge, "23 00:00:00", "")
	s.notified("23 00:00:30", groupD, first, "am-0", 1, 0)
	s.gap("23 00:05:00", "22 23:55:00", "23 00:05:00")
	s.alert("23 00:10:00", resolved, groupA, cpuA, "22 23:49:00", "23 00:09:00")
	s.notified("23 00:10:00", groupA, allOver, "am-0", 0, 1)

	// It flaps for three minutes, in two groups. Two replicas notify of one.
	s.alert("23 00:40:00", refired, groupA, cpuA, "23 00:39:00", "")
	s.notified("23 00:40:00", groupA, first, "am-0", 1, 0)
	s.alert("23 00:40:05", fired, groupB, cpuA, "23 00:39:00", "")
	s.notified("23 00:40:05", groupB, first, "am-0", 1, 0)
	s.notified("23 00:40:15", groupA, first, "am-1", 1, 0)
	s.alert("23 00:43:00", resolved, groupA, cpuA, "23 00:39:00", "23 00:42:00")
	s.notified("23 00:43:00", groupA, allOver, "am-0", 0, 1)
	s.alert("23 00:43:05", resolved, groupB, cpuA, "23 00:39:00", "23 00:42:00")
	s.notified("23 00:43:05", groupB, allOver, "am-0", 0, 1)

	// CPU of pod b is reopened: one episode.
	s.alert("23 02:00:00", fired, groupA, cpuB, "23 01:58:00", "")
	s.notified("23 02:00:00", groupA, first, "am-0", 1, 0)
	s.alert("23 02:20:00", resolved, groupA, cpuB, "23 01:58:00", "23 02:18:00")
	s.notified("23 02:20:00", groupA, allOver, "am-0", 0, 1)
	s.alert("23 02:25:00", reopened, groupA, cpuB, "23 01:58:00", "")
	s.notified("23 02:25:00", groupA, first, "am-0", 1, 0)
	s.alert("23 03:00:00", resolved, groupA, cpuB, "23 01:58:00", "23 02:58:00")
	s.notified("23 03:00:00", groupA, allOver, "am-0", 0, 1)
	s.gap("23 04:00:00", "23 03:30:00", "23 04:00:00")

	// Mem 1 is silenced and ends so. Mem 2 is no longer reported. A pager is notified of
	// Mem 1 by two integrations. The delivery to team-c is the notification itself.
	s.alert("23 05:00:00", fired, groupC, mem1, "23 05:00:00", "")
	s.notified("23 05:00:00", groupC, first, "am-0", 1, 0)
	s.delivered("23 05:00:01", groupC, "pager", "pagerduty", first, "f1", 1, 0)
	s.delivered("23 05:00:01", groupC, "pager", "slack", first, "f1", 1, 0)
	s.delivered("23 05:00:02", groupC, "team-c", "webhook", first, "f2", 1, 0)
	s.alert("23 05:10:00", suppressed, groupC, mem1, "23 05:00:00", "").Mute = &grouping.Mute{Kind: grouping.MuteSilence, ID: "s"}
	s.alert("23 05:20:00", unreported, groupC, mem1, "23 05:00:00", "")
	s.alert("23 05:20:00", fired, groupC, mem2, "23 05:20:00", "")
	s.notified("23 05:20:00", groupC, added, "am-0", 1, 0)
	s.alert("23 06:00:00", resolved, groupC, mem1, "23 05:00:00", "23 05:59:00").Mute = &grouping.Mute{Kind: grouping.MuteSilence, ID: "s"}
	s.alert("23 07:00:00", unreported, groupC, mem2, "23 05:20:00", "")
	s.notified("23 07:00:00", groupC, again, "am-0", 1, 0)

	// Odd has no severity. Another Prometheus moves its start back.
	s.alert("23 12:00:00", fired, groupA, odd, "23 12:00:00", "")
	s.notified("23 12:00:00", groupA, first, "am-0", 1, 0)
	s.alert("23 12:05:00", grouping.EventChanged, groupA, odd, "23 11:58:00", "")
	s.alert("23 12:10:00", resolved, groupA, odd, "23 11:58:00", "23 12:08:00")
	s.notified("23 12:10:00", groupA, allOver, "am-0", 0, 1)

	// Tuesday, which is not in the window.
	s.alert("24 00:00:10", fired, groupC, late, "24 00:00:00", "")
	s.notified("24 00:00:10", groupC, first, "am-0", 1, 0)
	s.alert("24 00:01:00", resolved, groupD, edge, "23 00:00:00", "24 00:00:00")
	s.notified("24 00:01:00", groupD, allOver, "am-0", 0, 1)
	return s
}

func report(t require.TestingT, q history.ReportQuery) *history.Report {
	r, err := newReport(q, sunday, begin(), night().all())
	require.NoError(t, err)
	return r
}

func ofMonday(by string) history.ReportQuery {
	return history.ReportQuery{Since: monday, Until: tuesday, By: by}
}

const (
	critical, warning = grouping.SeverityCritical, grouping.SeverityWarning
	info, other       = grouping.SeverityInfo, grouping.SeverityOther
)

// The numbers are counted by hand from the list above.
func TestReport(t *testing.T) {
	require.Len(t, night().events, 55)
	r := report(t, ofMonday("alertname"))
	require.Equal(t, history.Window{Since: monday, Until: tuesday}, r.Window)
	require.Equal(t, &history.Window{Since: sunday, Until: monday}, r.Before)
	require.Zero(t, r.KnownSince)
	require.Equal(t, history.Row{
		Firings: 6, FiringsBefore: 2, Firing: 100860 * time.Second, Ended: 5, SelfResolved: 1, Suppressed: 1, Critical: 3,
		Median: 20 * time.Minute, P90: time.Hour, UnknownEnds: 1, Flaps: 1, Flapped: 1, Notifications: 16, LastAt: at("23 11:58:00"),
		Severity: critical, SeverityWord: "critical",
	}, r.Totals)
	require.Equal(t, history.Row{
		Firings: 2, Firing: 23880 * time.Second, Ended: 2, Median: 28 * time.Minute, P90: 35940 * time.Second,
		Flaps: 1, Flapped: 1, Notifications: 4, LastAt: at("22 23:49:00"), Severity: critical, SeverityWord: "critical",
	}, r.TotalsBefore)
	require.Equal(t, []history.Row{
		{
			Key: "Mem", Firings: 2, Firing: 9540 * time.Second, Ended: 1, Suppressed: 1, Median: 59 * time.Minute, P90: 59 * time.Minute,
			UnknownEnds: 1, Notifications: 4, LastAt: at("23 05:20:00"), Severity: warning, SeverityWord: "warning",
		},
		{
			Key: "CPU", Firings: 2, FiringsBefore: 1, Firing: 4320 * time.Second, Ended: 3, Critical: 3, SelfResolved: 1, Median: 20 * time.Minute,
			P90: time.Hour, Flaps: 1, Flapped: 1, Notifications: 9, LastAt: at("23 01:58:00"), Severity: critical, SeverityWord: "critical",
		},
		{
			Key: "Edge", Firings: 1, Firing: 24 * time.Hour, Notifications: 1, LastAt: monday,
			Severity: info, SeverityWord: "info",
		},
		{
			Key: "Odd", Firings: 1, Firing: 10 * time.Minute, Ended: 1, Median: 10 * time.Minute, P90: 10 * time.Minute, Notifications: 2,
			LastAt: at("23 11:58:00"), Severity: other,
		},
	}, r.Rows)
	require.Equal(t, []history.ReceiverCount{
		{Receiver: "team-a", Notifications: 9, ByReason: map[string]int{first: 4, allOver: 5}},
		{Receiver: "team-c", Notifications: 4, ByReason: map[string]int{first: 2, added: 1, again: 1}},
		{Receiver: "team-b", Notifications: 2, ByReason: map[string]int{first: 1, allOver: 1}},
		{Receiver: "pager", Notifications: 1, ByReason: map[string]int{first: 1}},
	}, r.Receivers)
	heat := [7][24]int{}
	heat[0][0], heat[0][1], heat[0][5], heat[0][11] = 2, 1, 2, 1
	require.Equal(t, heat, r.Heat)
	require.Equal(t, []history.Day{{
		Day: monday, Firings: 6, BySeverity: [history.Severities]int{critical: 2, warning: 2, info: 1, other: 1},
	}}, r.Days)
	require.Equal(t, []grouping.Gap{{From: monday, To: at("23 00:05:00")}, {From: at("23 03:30:00"), To: at("23 04:00:00")}}, r.Gaps)
}

// An alert that is gone from the API ended when it was listed last, also if it was
// unreported or suppressed before. If it returns, it did not end.
func TestReportOfAlertsThatAreGone(t *testing.T) {
	s := &stream{}
	gone := &grouping.AlertDetail{Status: grouping.StatusUnreported, GoneFrom: at("23 02:00:00"), GoneBy: at("23 02:01:00")}
	s.alert("23 01:00:00", fired, groupA, cpuA, "23 01:00:00", "")
	s.alert("23 01:00:00", fired, groupA, mem1, "23 01:00:00", "")
	s.alert("23 01:10:00", unreported, groupA, cpuA, "23 01:00:00", "")
	s.alert("23 01:10:00", suppressed, groupA, mem1, "23 01:00:00", "")
	s.alert("23 02:01:00", grouping.EventChanged, groupA, cpuA, "23 01:00:00", "").Alert = gone
	s.alert("23 02:01:00", unreported, groupA, mem1, "23 01:00:00", "").Alert = gone
	r, err := newReport(ofMonday("alertname"), sunday, nil, s.all())
	require.NoError(t, err)
	require.Equal(t, 2, r.Totals.Ended)
	require.Zero(t, r.Totals.UnknownEnds)
	require.Equal(t, time.Hour, r.Totals.Median)
	require.Equal(t, 2*time.Hour, r.Totals.Firing)
	require.Equal(t, 1, r.Totals.Suppressed)

	s.alert("23 02:30:00", grouping.EventReturned, groupA, cpuA, "23 01:00:00", "")
	s.alert("23 03:00:00", resolved, groupA, cpuA, "23 01:00:00", "23 02:59:00")
	r, err = newReport(ofMonday("alertname"), sunday, nil, s.all())
	require.NoError(t, err)
	require.Equal(t, 2, r.Totals.Firings)
	require.Equal(t, (119+60)*time.Minute, r.Totals.Firing)
}

// The sides of a dispute are one episode. It ends when the last side says so.
func TestReportOfADispute(t *testing.T) {
	s := &stream{}
	s.alert("23 01:00:00", fired, groupA, cpuA, "23 01:00:00", "")
	s.alert("23 01:10:00", resolved, groupA, cpuA, "23 01:00:00", "23 01:09:00")
	s.alert("23 01:12:00", reopened, groupA, cpuA, "23 01:00:00", "")
	later := s.alert("23 01:14:00", grouping.EventChanged, groupA, cpuA, "23 01:00:00", "23 01:09:00")
	later.Alert = &grouping.AlertDetail{Status: grouping.StatusResolved}
	s.alert("23 01:16:00", grouping.EventChanged, groupA, cpuA, "23 01:00:00", "").Alert = &grouping.AlertDetail{Status: grouping.StatusFiring}
	r, err := newReport(ofMonday("alertname"), sunday, nil, s.all())
	require.NoError(t, err)
	require.Equal(t, 1, r.Totals.Firings)
	require.Zero(t, r.Totals.Ended)
	s.alert("23 02:00:00", resolved, groupA, cpuA, "23 01:00:00", "23 01:59:00")
	r, err = newReport(ofMonday("alertname"), sunday, nil, s.all())
	require.NoError(t, err)
	require.Equal(t, 1, r.Totals.Ended)
	require.Equal(t, 59*time.Minute, r.Totals.Median)
}

func TestReportByReceiver(t *testing.T) {
	r := report(t, ofMonday(history.ByReceiver))
	require.Equal(t, 6, r.Totals.Firings)
	type row struct {
		key                                           string
		firings, before, seconds, ended, notifcations int
	}
	var rows []row
	for _, x := range r.Rows {
		rows = append(rows, row{x.Key, x.Firings, x.FiringsBefore, int(x.Firing.Seconds()), x.Ended, x.Notifications})
	}
	require.Equal(t, []row{
		{"team-c", 3, 0, 95940, 1, 4},
		{"team-a", 3, 2, 4920, 4, 9},
		{"team-b", 1, 0, 180, 1, 2},
		{"pager", 0, 0, 0, 0, 1},
	}, rows)
}

func TestReportWithAFilter(t *testing.T) {
	q := ofMonday("pod")
	q.Matchers = labels.Matchers{{Type: labels.MatchEqual, Name: "severity", Value: "critical"}}
	r := report(t, q)
	require.Equal(t, 2, r.Totals.Firings)
	require.Equal(t, 9, r.Totals.Notifications)
	require.Equal(t, 1, r.TotalsBefore.Firings)
	require.Equal(t, 1, r.TotalsBefore.Notifications)
	require.Len(t, r.Receivers, 2)
	require.Equal(t, "a", r.Rows[1].Key)
	require.Equal(t, 5, r.Rows[1].Notifications, "00:10, 00:40 and 00:43 in group a, and two in group b")
	require.Equal(t, "b", r.Rows[0].Key)
	require.Equal(t, 4, r.Rows[0].Notifications)

	q = ofMonday("alertname")
	q.Words = []string{"TEAM-b"}
	require.Equal(t, 1, report(t, q).Totals.Firings, "of the alert that was in group b")
	q.Words = []string{"nosuch"}
	require.Zero(t, report(t, q).Totals)
	require.Empty(t, report(t, q).Rows)
}

// A label that an alert does not have is empty.
func TestReportByALabelThatAlertsDoNotHave(t *testing.T) {
	r := report(t, ofMonday("pod"))
	require.Len(t, r.Rows, 5)
	require.Empty(t, r.Rows[0].Key, "Edge and Odd")
	require.Equal(t, 2, r.Rows[0].Firings)
}

// There is nothing to compare with if the window before is not in the history.
func TestReportWithoutTheWindowBefore(t *testing.T) {
	r := report(t, history.ReportQuery{Since: sunday, Until: tuesday, By: "alertname"})
	require.Nil(t, r.Before)
	require.Zero(t, r.TotalsBefore)
	require.Equal(t, 8, r.Totals.Firings)
	require.Zero(t, r.Totals.FiringsBefore)
	require.Zero(t, r.KnownSince)
	require.Len(t, r.Days, 2)

	r = report(t, history.ReportQuery{Since: at("20 00:00:00"), Until: tuesday, By: "alertname"})
	require.Equal(t, sunday, r.KnownSince)
	require.Equal(t, 10, r.Totals.Firings, "also Disk and the first time of Net, of which the state then tells")
	require.Equal(t, (100860+23880+4*3600+40*60)*time.Second, r.Totals.Firing)
	require.Equal(t, 2, r.Days[1].Firings)
	require.Len(t, r.Days, 4)
}

func TestReportOfNothing(t *testing.T) {
	r, err := newReport(ofMonday("alertname"), sunday, nil, (&stream{}).all())
	require.NoError(t, err)
	require.Equal(t, history.Row{}, r.Totals)
	require.Empty(t, r.Rows)
	_, ok := r.Totals.Share(0)
	require.False(t, ok)
	require.Equal(t, []history.Day{{Day: monday}}, r.Days)

	_, err = newReport(ofMonday("alertname"), sunday, nil, func(yield func(grouping.Event, error) bool) {
		yield(grouping.Event{}, errors.New("lost"))
	})
	require.EqualError(t, err, "lost")
}

// Each firing, each end and each second is in one window only, wherever the windows are cut.
func TestWindowsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cut := monday.Add(time.Duration(rapid.Int64Range(1, 86399).Draw(t, "seconds")) * time.Second)
		whole := report(t, ofMonday("alertname"))
		a := report(t, history.ReportQuery{Since: monday, Until: cut, By: "alertname"})
		b := report(t, history.ReportQuery{Since: cut, Until: tuesday, By: "alertname"})
		for name, of := range map[string]func(*history.Row) int{
			"firings":       func(r *history.Row) int { return r.Firings },
			"time":          func(r *history.Row) int { return int(r.Firing) },
			"ended":         func(r *history.Row) int { return r.Ended },
			"unknown":       func(r *history.Row) int { return r.UnknownEnds },
			"flaps":         func(r *history.Row) int { return r.Flaps },
			"notifications": func(r *history.Row) int { return r.Notifications },
		} {
			require.Equal(t, of(&whole.Totals), of(&a.Totals)+of(&b.Totals), name)
			sum := 0
			for i := range whole.Rows {
				sum += of(&whole.Rows[i])
			}
			if name != "notifications" {
				require.Equal(t, of(&whole.Totals), sum, name)
			}
		}
	})
}

// A digest that gets its events in parts, and some of them again, is that of all events.
func TestDigestIsExtended(t *testing.T) {
	d := history.NewDigest(sunday, begin())
	events := night().events
	for i := range events {
		d.Add(&events[i])
		for j := max(0, i-2); j < i; j++ {
			d.Add(&events[j])
		}
	}
	for _, by := range []string{"alertname", history.ByReceiver} {
		require.Equal(t, report(t, ofMonday(by)), d.Report(ofMonday(by)))
	}
	require.Positive(t, d.Size())
}

// drawDetail gives some events the detail of an acknowledgement or of a delivery.
func drawDetail(t *rapid.T, e *grouping.Event) {
	if id := rapid.SampledFrom([]string{"", "k1", "k2"}).Draw(t, "ack"); id != "" && e.Fingerprint == "" {
		e.People = &grouping.PeopleDetail{Ack: id}
	}
	if e.Kind == grouping.EventDelivered && rapid.Bool().Draw(t, "detail") {
		e.Delivery = &grouping.Delivery{Receiver: "pager", Flush: rapid.SampledFrom([]string{"", "f"}).Draw(t, "flush")}
	}
}

// Whatever the events say, a report has no negative numbers and does not fail.
func TestReportOfAnyEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &stream{}
		alerts := []grouping.Labels{cpuA, cpuB, mem1}
		when := sunday
		clock := func() string { return when.Format("02 15:04:05") }
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			when = when.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "later")) * time.Second)
			g := rapid.SampledFrom([]group{groupA, groupB, groupC, groupD}).Draw(t, "group")
			kind := rapid.SampledFrom(append(grouping.EventKinds(), grouping.EventChanged)).Draw(t, "kind")
			e := s.alert(clock(), kind, g, rapid.SampledFrom(alerts).Draw(t, "alert"), "", "")
			moment := func(name string) time.Time {
				return when.Add(time.Duration(rapid.IntRange(-200_000, 200_000).Draw(t, name)) * time.Second)
			}
			if rapid.Bool().Draw(t, "starts") {
				e.StartsAt = moment("start")
			}
			if rapid.Bool().Draw(t, "ends") {
				e.EndsAt = moment("end")
			}
			if rapid.IntRange(0, 9).Draw(t, "of the group") == 0 {
				e.Fingerprint = ""
			}
			drawDetail(t, e)
		}
		since := sunday.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "since")) * time.Hour)
		until := since.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "until")) * time.Hour)
		by := rapid.SampledFrom([]string{"alertname", history.ByReceiver, "pod"}).Draw(t, "by")
		r, err := newReport(history.ReportQuery{Since: since, Until: until, By: by}, sunday, begin(), s.all())
		require.NoError(t, err)
		for _, x := range append(r.Rows, r.Totals, r.TotalsBefore) {
			for _, n := range []int{
				x.Firings, x.FiringsBefore, int(x.Firing), x.Ended - x.SelfResolved, x.Ended - x.Suppressed, x.Ended - x.Acknowledged,
				x.Critical - x.CriticalAcknowledged, x.Acknowledged - x.CriticalAcknowledged, int(x.AckMedian), int(x.Median), int(x.P90 - x.Median),
				x.UnknownEnds, x.Flaps - x.Flapped, x.Firings - x.Flaps, x.Notifications,
			} {
				require.GreaterOrEqual(t, n, 0, "%+v", x)
			}
		}
		days := 0
		for _, d := range r.Days {
			days += d.Firings
		}
		require.Equal(t, r.Totals.Firings, days)
		d, err := digestOf(sunday, begin(), s.all())
		require.NoError(t, err)
		requireCounted(t, d, history.ReportQuery{Since: since, Until: until, By: by})
	})
}
