package grouping

import (
	"testing"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"
)

func TestRecordBeat(t *testing.T) {
	at := func(s int) time.Time { return base.Add(time.Duration(s) * time.Second) }
	beats := RecordBeat(nil, "am", at(0))
	require.Equal(t, []Beat{{By: "am", At: at(0), Since: at(0)}}, beats)
	beats = RecordBeat(beats, "am", at(2))
	require.Zero(t, beats[0].interval(), "a retry does not count")
	beats = RecordBeat(beats, "am", at(302))
	require.Equal(t, 300*time.Second, beats[0].interval())
	require.Equal(t, beats, RecordBeat(beats, "am", at(200)), "an outdated notification changes nothing")
	before := beats[0]
	after := RecordBeat(beats, "am", at(100_000))
	require.Equal(t, before, beats[0], "RecordBeat must not change its argument")
	require.Equal(t, at(100_000), after[0].Since)
	require.Less(t, after[0].interval(), 10*time.Minute, "one pause does not set the interval")
	for i := range 2 * maxBeats {
		beats = RecordBeat(beats, string(rune('a'+i)), at(1000+i))
	}
	require.Len(t, beats, maxBeats)
}

func TestIsHeartbeat(t *testing.T) {
	for name, want := range map[string]bool{
		"Watchdog": true, "DeadMansSwitch": true, "PrometheusAlertmanagerE2eDeadManSwitch": true, "DeadManSwitch": true,
		"Dead-mans-switch": false, "WatchdogDown": false, "": false,
	} {
		require.Equal(t, want, IsHeartbeat(DefaultHeartbeats(), NewLabels(map[string]string{"alertname": name, "severity": "critical"})), name)
	}
	require.False(t, IsHeartbeat(nil, LabelsOf([]Label{{"alertname", "Watchdog"}})))
	require.False(
		t,
		IsHeartbeat([]labels.Matchers{nil}, LabelsOf([]Label{{"alertname", "Watchdog"}})),
		"an element without a matcher selects nothing",
	)
}

// Only the Alertmanager that was silent for the longest time is forgotten, whatever their order is.
func TestRecordBeatForgetsOne(t *testing.T) {
	var beats []Beat
	for i, second := range []int{1, 5, 2, 9, 8, 7, 6, 4} {
		beats = append(beats, Beat{By: string(rune('a' + i)), At: base.Add(time.Duration(second) * time.Second)})
	}
	beats = RecordBeat(beats, "new", base.Add(minute))
	var by []string
	for _, b := range beats {
		by = append(by, b.By)
	}
	require.Equal(t, []string{"b", "c", "d", "e", "f", "g", "h", "new"}, by)
}
