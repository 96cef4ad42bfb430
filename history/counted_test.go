package history_test

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
)

// requireCounted compares what is counted with the numbers of a report.
func requireCounted(t require.TestingT, d *history.Digest, q history.ReportQuery) {
	r := d.Report(q)
	list := func(of history.CountedQuery) *history.Counted {
		of.Limit = math.MaxInt
		if of.Until.IsZero() {
			of.Since, of.Until = q.Since, q.Until
		}
		of.Matchers = append(of.Matchers, q.Matchers...)
		c := d.Counted(of)
		require.Equal(t, c.Total, len(c.Firings)+len(c.Notifications)+len(c.Gaps))
		if of.Since.Equal(q.Since) {
			require.Equal(t, r.KnownSince, c.KnownSince)
		}
		return c
	}
	requireRow := func(row *history.Row, of history.CountedQuery) {
		for number, n := range map[history.Number]int{
			history.NumberFirings: row.Firings, history.NumberEnded: row.Ended, history.NumberSelfResolved: row.SelfResolved,
			history.NumberAcknowledged: row.Acknowledged, history.NumberSuppressed: row.Suppressed,
			history.NumberUnknownEnds: row.UnknownEnds, history.NumberFlaps: row.Flaps, history.NumberNotifications: row.Notifications,
		} {
			of.Number = number
			require.Equal(t, n, list(of).Total, "%s of %q", number, row.Key)
		}
		of.Number = history.NumberAcknowledged
		worst := grouping.SeverityCritical
		of.Severity = &worst
		require.Equal(t, row.CriticalAcknowledged, list(of).Total)
		of.Number = history.NumberEnded
		require.Equal(t, row.Critical, list(of).Total)
		of.Severity = nil
		of.Number = history.NumberFiring
		require.Equal(t, row.Firing, list(of).Firing)
		of.Number = history.NumberFlaps
		require.Equal(t, row.Flapped, list(of).Alerts)
	}
	requireRow(&r.Totals, history.CountedQuery{})
	require.ElementsMatch(t, r.Gaps, list(history.CountedQuery{Number: history.NumberGaps}).Gaps)
	for i := range r.Rows {
		row := &r.Rows[i]
		if q.By == history.ByReceiver {
			requireRow(row, history.CountedQuery{Receiver: row.Key})
		} else {
			m, err := labels.NewMatcher(labels.MatchEqual, q.By, row.Key)
			require.NoError(t, err)
			requireRow(row, history.CountedQuery{ReportQuery: history.ReportQuery{Matchers: labels.Matchers{m}}})
		}
	}
	for day, hours := range r.Heat {
		for hour, n := range hours {
			at := history.WeekHour{Day: day, Hour: hour}
			require.Equal(t, n, list(history.CountedQuery{Number: history.NumberFirings, Hour: &at}).Total)
		}
	}
	for _, day := range r.Days {
		for severity, n := range day.BySeverity {
			of, word := history.CountedQuery{Number: history.NumberFirings}, grouping.Severity(severity)
			of.Severity, of.Since, of.Until = &word, day.Day, day.Day.Add(24*time.Hour)
			if of.Since.Before(q.Since) {
				of.Since = q.Since
			}
			if of.Until.After(q.Until) {
				of.Until = q.Until
			}
			require.Equal(t, n, list(of).Total)
		}
	}
	for _, received := range r.Receivers {
		of := history.CountedQuery{Number: history.NumberNotifications, Receiver: received.Receiver}
		require.Equal(t, received.Notifications, list(of).Total)
		other := received.Notifications
		for _, reason := range history.KnownReasons() {
			of.Reason = reason
			require.Equal(t, received.ByReason[reason], list(of).Total)
			other -= received.ByReason[reason]
		}
		of.Reason = history.OtherReasons
		require.Equal(t, other, list(of).Total)
	}
}

// Each number of a report has a list of that length.
func TestCountedIsWhatAReportCounts(t *testing.T) {
	d, err := digestOf(sunday, begin(), night().all())
	require.NoError(t, err)
	for _, by := range []string{"alertname", history.ByReceiver, "pod", "severity"} {
		requireCounted(t, d, ofMonday(by))
	}
	q := ofMonday("alertname")
	q.Matchers = labels.Matchers{{Type: labels.MatchEqual, Name: "alertname", Value: "CPU"}}
	requireCounted(t, d, q)
}

// The lists of Monday, which are written down by hand from the events of the night.
func TestCounted(t *testing.T) {
	d, err := digestOf(sunday, begin(), night().all())
	require.NoError(t, err)
	q := history.CountedQuery{ReportQuery: ofMonday("alertname"), Number: history.NumberFirings, Limit: 4}
	names := func() (list []string) {
		for _, f := range d.Counted(q).Firings {
			list = append(list, f.Labels.Get("alertname")+f.Labels.Get("pod")+f.BeganAt.Format(" 15:04"))
			require.Equal(t, grouping.SourceAlert{Source: "prod", Fingerprint: f.Labels.Fingerprint()}, f.SourceAlert)
		}
		return list
	}
	require.Equal(t, []string{"Odd 11:58", "Mem2 05:20", "Mem1 05:00", "CPUb 01:58"}, names())
	require.Equal(t, 6, d.Counted(q).Total)
	q.Offset = 4
	require.Equal(t, []string{"CPUa 00:39", "Edge 00:00"}, names())
	q.Offset = 6
	require.Empty(t, names())
	q.Offset, q.Receiver = 0, "team-b"
	require.Equal(t, []string{"CPUa 00:39"}, names())
	q.Receiver, q.Hour = "", &history.WeekHour{Day: 0, Hour: 5}
	require.Equal(t, []string{"Mem2 05:20", "Mem1 05:00"}, names())
	q.Hour, q.Number = nil, history.NumberFlaps
	require.Equal(t, []string{"CPUa 00:39"}, names())
	q.Number = history.NumberUnknownEnds
	lost := d.Counted(q).Firings
	require.Len(t, lost, 1)
	require.Equal(t, at("23 07:00:00"), lost[0].EndsAt)
	require.False(t, lost[0].EndKnown)
	q.Number = history.NumberFiring
	require.Equal(t, []string{"Odd 11:58", "Mem2 05:20", "Mem1 05:00", "CPUb 01:58"}, names())
	require.Equal(t, 7, d.Counted(q).Total, "also the one that began on Sunday")

	q.Number, q.Receiver = history.NumberNotifications, "pager"
	require.Equal(t, []history.CountedNotification{{
		At: at("23 05:00:01"), Receiver: "pager", Reason: first, Group: groupC.key().ID(), Alerts: []grouping.Labels{mem1}, Listed: 1,
	}}, d.Counted(q).Notifications)
}
