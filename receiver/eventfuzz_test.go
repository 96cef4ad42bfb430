package receiver_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/recording"
	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/receiver"
)

// FuzzEvents posts any body as events. It is kept or rejected, and what reaches the domain
// is within the limits.
func FuzzEvents(f *testing.F) {
	for _, r := range recording.All(f) {
		for _, e := range r.Of(recording.Event) {
			if len(e.Body) < 1<<14 { // larger inputs only repeat
				f.Add(e.Body)
			}
		}
	}
	for _, text := range []string{
		"", "[", "[]", "{}", "[{},{}]", wiretest.Body(), wiretest.GroupedMany(2, 0),
		wiretest.Event(0, "a\\\"b", `"alertPondered":{}`), wiretest.Event(time.Hour, "", `"silenceCreated":{"silence":{"id":"x"}}`),
		wiretest.Event(0, "a", `"inhibitionMutedAlert":{"inhibitRules":[{},{"name":"b"}],"inhibitingFingerprints":["1","2","3"]}`),
	} {
		f.Add([]byte(text))
	}
	h := testserver.New(f, testserver.Options{MaxBodySize: 1 << 20, MaxLabels: 20, MaxAlerts: 1000})
	f.Fuzz(func(t *testing.T, body []byte) {
		domain := &observing{Groups: h.Manager}
		h.Use(domain)
		w := h.Do(http.MethodPost, "/events/fuzz", strings.NewReader(string(body)))
		var answer receiver.KeptEvents
		switch w.Code {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			h.RequireRejected(t, "fuzzed", w, w.Code, "")
			require.Empty(t, domain.all)
			return
		case http.StatusOK:
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		default:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		all := domain.taken("fuzz")
		require.GreaterOrEqual(t, len(all), answer.Kept)
		for i := range all {
			requireWithinLimits(t, &all[i])
		}
		for _, heard := range domain.heard["fuzz"] {
			require.LessOrEqual(t, len(heard.Instance), 255)
			require.Positive(t, heard.Events)
			require.WithinDuration(t, time.Now(), heard.ReceivedAt, time.Minute)
		}
		// What was refused is refused again, and nothing is lost between the counts.
		var again receiver.KeptEvents
		require.NoError(t, json.Unmarshal(h.Do(http.MethodPost, "/events/fuzz", strings.NewReader(string(body))).Body.Bytes(), &again))
		require.Equal(t, answer.Refused, again.Refused)
		require.Equal(t, answer.Kept+answer.Ignored, again.Kept+again.Ignored)
		require.LessOrEqual(t, again.Kept, answer.Kept)
		require.Zero(t, h.Limits.Limit("event_memory").Used())
	})
}

// requireWithinLimits asserts that an observation is one thing, with valid times.
func requireWithinLimits(t *testing.T, o *grouping.Observation) {
	t.Helper()
	require.Equal(t, grouping.OriginEvent, o.Origin)
	require.LessOrEqual(t, len(o.Instance), 255)
	times := []time.Time{o.At}
	set := 0
	if o.Alert != nil {
		set++
		require.True(t, o.Alert.Alert.Fingerprint.Valid())
		require.LessOrEqual(t, o.Alert.Alert.Labels.Len(), 20)
		require.LessOrEqual(t, o.Alert.Alert.Annotations.Len(), 20)
		require.NotEmpty(t, o.Alert.Group.GroupKey)
		times = append(times, o.Alert.Alert.StartsAt, o.Alert.Alert.EndsAt)
	}
	if o.Muted != nil {
		set++
		require.True(t, o.Muted.Fingerprint.Valid())
		require.LessOrEqual(t, o.Muted.Labels.Len(), 20)
		require.LessOrEqual(t, len(o.Muted.Mute.Rule), 300)
	}
	if o.Silence != nil {
		set++
		require.NotEmpty(t, o.Silence.ID)
		times = append(times, o.Silence.StartsAt, o.Silence.EndsAt, o.Silence.UpdatedAt)
	}
	if o.Delivery != nil {
		set++
		require.LessOrEqual(t, len(o.Delivery.Firing)+len(o.Delivery.Resolved), 1000)
	}
	if o.Started != nil {
		set++
	}
	require.Equal(t, 1, set)
	for _, at := range times {
		require.Equal(t, time.UTC, at.Location())
		_, err := at.MarshalJSON()
		require.NoError(t, err)
	}
}
