package history_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
)

// person adds what a person did with an acknowledgement.
func (s *stream) person(when string, kind grouping.EventKind, g group, ack string) {
	s.add(when, grouping.Event{
		Kind: kind, GroupID: g.key().ID(), Source: "prod", Receiver: g.receiver(),
		People: &grouping.PeopleDetail{Person: grouping.Person{Name: "mira"}, Ack: ack},
	})
}

// acknowledgedNight has acknowledgements of three groups.
func acknowledgedNight() *stream {
	s := &stream{}
	// Group a: CPU of pod a is acknowledged after 4 minutes. That of pod b joins later, and is
	// acknowledged with a second acknowledgement after 10 minutes.
	s.alert("23 01:00:00", opened, groupA, cpuA, "", "").Fingerprint = ""
	s.alert("23 01:00:00", fired, groupA, cpuA, "23 01:00:00", "")
	s.person("23 01:04:00", grouping.EventAcknowledged, groupA, "k1")
	s.alert("23 01:10:00", fired, groupA, cpuB, "23 01:10:00", "")
	s.person("23 01:20:00", grouping.EventAcknowledged, groupA, "k2")
	s.alert("23 01:30:00", resolved, groupA, cpuA, "23 01:00:00", "23 01:30:00")
	s.alert("23 01:30:00", resolved, groupA, cpuB, "23 01:10:00", "23 01:30:00")
	s.alert("23 01:30:00", closed, groupA, cpuA, "", "").Fingerprint = ""
	// It fires again: nobody acknowledges this episode.
	s.alert("23 03:00:00", opened, groupA, cpuA, "", "").Fingerprint = ""
	s.alert("23 03:00:00", refired, groupA, cpuA, "23 03:00:00", "")
	s.alert("23 03:10:00", resolved, groupA, cpuA, "23 03:00:00", "23 03:10:00")
	s.alert("23 03:10:00", closed, groupA, cpuA, "", "").Fingerprint = ""
	// Group b: Mem 1 is acknowledged after 6 minutes, and that is undone.
	s.alert("23 05:00:00", opened, groupB, mem1, "", "").Fingerprint = ""
	s.alert("23 05:00:00", fired, groupB, mem1, "23 05:00:00", "")
	s.person("23 05:06:00", grouping.EventAcknowledged, groupB, "k3")
	s.person("23 05:07:00", grouping.EventUnacknowledged, groupB, "k3")
	s.alert("23 05:20:00", resolved, groupB, mem1, "23 05:00:00", "23 05:20:00")
	// Group c: Mem 2 is acknowledged twice, after 2 and 8 minutes. The first one is undone.
	s.alert("23 06:00:00", opened, groupC, mem2, "", "").Fingerprint = ""
	s.alert("23 06:00:00", fired, groupC, mem2, "23 06:00:00", "")
	s.person("23 06:02:00", grouping.EventAcknowledged, groupC, "k4")
	s.person("23 06:08:00", grouping.EventAcknowledged, groupC, "k5")
	s.person("23 06:09:00", grouping.EventUnacknowledged, groupC, "k4")
	s.alert("23 06:30:00", resolved, groupC, mem2, "23 06:00:00", "23 06:30:00")
	// Odd is acknowledged, and still fires: it has not ended.
	s.alert("23 07:00:00", opened, groupD, odd, "", "").Fingerprint = ""
	s.alert("23 07:00:00", fired, groupD, odd, "23 07:00:00", "")
	s.person("23 07:01:00", grouping.EventAcknowledged, groupD, "k6")
	return s
}

// The numbers are counted by hand from the list above.
func TestReportOfAcknowledgements(t *testing.T) {
	d, err := digestOf(sunday, nil, acknowledgedNight().all())
	require.NoError(t, err)
	r := d.Report(ofMonday("alertname"))
	require.Equal(t, 5, r.Totals.Ended)
	require.Equal(t, 3, r.Totals.Acknowledged)
	require.Equal(t, 8*time.Minute, r.Totals.AckMedian, "of 4, 8 and 10 minutes")
	require.Equal(t, 3, r.Totals.Critical)
	require.Equal(t, 2, r.Totals.CriticalAcknowledged)
	require.Equal(t, 4*time.Minute, r.Totals.CriticalAckMedian, "of 4 and 10 minutes")
	byKey := map[string]history.Row{}
	for _, row := range r.Rows {
		byKey[row.Key] = row
	}
	require.Equal(t, 2, byKey["CPU"].Acknowledged)
	require.Equal(t, 4*time.Minute, byKey["CPU"].AckMedian)
	require.Equal(t, 1, byKey["Mem"].Acknowledged)
	require.Equal(t, 8*time.Minute, byKey["Mem"].AckMedian)
	require.Zero(t, byKey["Mem"].Critical)
	require.Zero(t, byKey["Odd"].Acknowledged)
	requireCounted(t, d, ofMonday("alertname"))
	requireCounted(t, d, ofMonday(history.ByReceiver))

	list := d.Counted(history.CountedQuery{ReportQuery: ofMonday(""), Number: history.NumberAcknowledged, Limit: 9})
	require.Len(t, list.Firings, 3)
	require.Equal(t, at("23 06:08:00"), list.Firings[0].AcknowledgedAt)
	require.Equal(t, at("23 01:20:00"), list.Firings[1].AcknowledgedAt)
	require.Equal(t, at("23 01:04:00"), list.Firings[2].AcknowledgedAt)
}

// A digest that begins after an acknowledgement has it from the state of the groups.
func TestReportBeginsAfterAnAcknowledgement(t *testing.T) {
	known := func(ack *grouping.Ack) *grouping.AlertGroup {
		return grouping.NewAlertGroup(grouping.AlertGroup{
			ID: groupA.key().ID(), Meta: grouping.Meta{Key: groupA.key(), Opened: "e"}, Acks: []*grouping.Ack{ack},
			Alerts: []*grouping.Alert{{
				Fingerprint: cpuA.Fingerprint(), Labels: cpuA, Status: grouping.StatusFiring, StartsAt: at("21 20:00:00"),
				FirstSeenAt: at("21 20:00:00"), ChangedAt: at("21 20:00:00"),
			}},
		})
	}
	for _, c := range []struct {
		ack  grouping.Ack
		want int
	}{
		{grouping.Ack{ID: "k1", At: at("21 20:03:00"), Episode: "e"}, 1},
		{grouping.Ack{ID: "k1", At: at("21 20:03:00"), Episode: "d"}, 0},
		{grouping.Ack{ID: "k1", At: at("21 20:03:00"), Episode: "e", Undone: &grouping.Undone{}}, 0},
	} {
		s := &stream{}
		s.alert("23 01:00:00", resolved, groupA, cpuA, "21 20:00:00", "23 01:00:00")
		d, err := digestOf(sunday, []*grouping.AlertGroup{known(&c.ack)}, s.all())
		require.NoError(t, err)
		require.Equal(t, c.want, d.Report(ofMonday("alertname")).Totals.Acknowledged)
	}
}
