package history_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/history"
)

// A checkpoint holds what was true when it was taken. A state after it must not say that a new
// group still settles, or that a heartbeat is late which notified since.
func TestWhatACheckpointSaidDoesNotLast(t *testing.T) {
	taken := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	group := func(id grouping.ID) *grouping.AlertGroup {
		watchdog := &grouping.Alert{
			Fingerprint: "0a", Status: grouping.StatusFiring, StartsAt: taken,
			Labels: grouping.NewLabels(map[string]string{"alertname": "Watchdog"}),
		}
		return grouping.NewAlertGroup(grouping.AlertGroup{
			ID: id, Alerts: []*grouping.Alert{watchdog},
			Meta: grouping.Meta{
				CreatedAt: taken, LastNotifiedAt: taken, Settling: true, FlushAt: taken.Add(5 * time.Minute),
				Beats: []grouping.Beat{{By: "am", At: taken, Since: taken, EveryMillis: 60_000}},
			},
		})
	}
	beat := taken.Add(10 * time.Minute)
	stream := func(yield func(grouping.Event, error) bool) {
		yield(grouping.Event{
			ID: string(grouping.NewStamp(beat, 0, "0123456789abcdef")) + "000000", Time: beat, Kind: grouping.EventNotified, GroupID: "beats",
			Notified: &grouping.Notified{ExternalURL: "am", Firing: 1},
		}, nil)
	}
	contents := func([]grouping.Event) (map[string]grouping.Content, error) { return map[string]grouping.Content{}, nil }
	base := history.Base{Groups: []*grouping.AlertGroup{group("beats"), group("silent")}, Until: taken}

	at := beat.Add(30 * time.Second)
	wall, err := history.At(base, stream, at, contents)
	require.NoError(t, err)
	require.Len(t, wall.Groups, 2)
	for _, g := range wall.Groups {
		require.False(t, g.Settling, "%s", g.ID)
		heartbeats := grouping.HeartbeatsOf([]*grouping.AlertGroup{g}, taken, at)
		require.Len(t, heartbeats, 1)
		if g.ID == "beats" {
			require.Equal(t, grouping.HeartbeatArrives, heartbeats[0].State)
			require.Equal(t, beat, heartbeats[0].At)
		} else {
			require.Equal(t, grouping.HeartbeatLate, heartbeats[0].State)
		}
	}
	require.True(t, base.Groups[0].Settling, "the checkpoint stays as it is")
}
