package recording_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/recording"
)

func TestRecordingsAreComplete(t *testing.T) {
	kinds := map[recording.Kind]int{}
	for _, r := range recording.All(t) {
		require.NotEmpty(t, r.Expect.Alerts, r.Name)
		for i, e := range r.Entries {
			kinds[e.Kind]++
			require.False(t, e.Received.IsZero())
			if i > 0 {
				before := r.Entries[i-1]
				require.GreaterOrEqual(t, e.Number, before.Number)
			}
			switch e.Kind {
			case recording.Event, recording.Webhook, recording.API:
				require.True(t, json.Valid(e.Body), "%s/%s", r.Name, e.File)
				require.NotEmpty(t, e.Path)
				require.NotEmpty(t, e.Version)
			default:
				require.Empty(t, e.File)
			}
			require.Equal(t, e.Kind == recording.API, e.From != "")
		}
		for fp, a := range r.Expect.Alerts {
			require.Regexp(t, "^[0-9a-f]{16}$", fp)
			require.NotEmpty(t, a.Labels)
			require.NotEmpty(t, a.Episodes)
			require.NotEmpty(t, a.Groups)
			require.False(t, a.Episodes[0].StartsAt.IsZero())
		}
		for id, s := range r.Expect.Silences {
			require.NotEmpty(t, s.CreatedBy, id)
			require.Contains(t, []string{"", recording.EndByTime, recording.EndByHand}, s.End)
		}
	}
	require.Equal(t, map[recording.Kind]int{
		recording.Event: 473, recording.Webhook: 108, recording.Other: 48, recording.API: 369, recording.Action: kinds[recording.Action],
	}, kinds)
}

func TestLoad(t *testing.T) {
	r := recording.Load(t, "e7-sink-down")
	events := r.Of(recording.Event)
	require.Len(t, events, 29)
	refused := 0
	for _, e := range events {
		if !e.Accepted() {
			refused++
		}
	}
	require.Equal(t, 15, refused)
	first := r.Entries[0]
	require.Equal(t, 1, first.Number)
	require.Equal(t, "0.34.2", first.Version)

	silences := recording.Load(t, "e2-silence").Expect.Silences
	s := silences["2048b23e-bf95-4d49-8c87-9297e18e440e"]
	require.Equal(t, "starts later", s.Comment)
	require.Equal(t, []string{`pod="ledger-api-b"`}, s.Matchers)
	require.Equal(t, "expired", s.APIAtTheEnd.State)
	require.True(t, s.EndsAt.After(s.APIAtTheEnd.EndsAt))
}
