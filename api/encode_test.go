package api

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"muster/grouping"
)

// An alert is encoded as package json encodes it.
func TestAlertsAreEncodedAsByPackageJSON(t *testing.T) {
	text := rapid.SampledFrom([]string{
		"", "a", "Down", "http://p/graph?a=1&b=2", "<b>", "é", "\"", `\`, "\n", "\x00", "\x7f", "\u2028", "\xff", "😀",
	})
	at := rapid.SampledFrom([]time.Time{
		{},
		time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC), time.Date(2026, 11, 23, 3, 0, 0, 120, time.UTC),
		time.Date(2026, 11, 23, 3, 0, 0, 0, time.FixedZone("", 3600)), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	labels := rapid.Custom(func(t *rapid.T) grouping.Labels {
		return emptyIfNil(grouping.NewLabels(rapid.MapOfN(text, text, 0, 4).Draw(t, "map")))
	})
	rapid.Check(t, func(t *rapid.T) {
		v := alertView{
			Fingerprint: grouping.Fingerprint(text.Draw(t, "fingerprint")), Status: grouping.Status(text.Draw(t, "status")),
			Labels: labels.Draw(t, "labels"), Annotations: labels.Draw(t, "annotations"), GeneratorURL: text.Draw(t, "URL"),
			StartsAt: at.Draw(t, "start"), EndsAt: at.Draw(t, "end"), FirstSeenAt: at.Draw(t, "first"), LastSeenAt: at.Draw(t, "last"),
			Disputed: rapid.Bool().Draw(t, "disputed"), Episodes: []episodeView{},
		}
		for range rapid.IntRange(0, 3).Draw(t, "episodes") {
			v.Episodes = append(v.Episodes, episodeView{at.Draw(t, "episode start"), at.Draw(t, "episode end")})
		}
		if rapid.IntRange(0, 4).Draw(t, "Grafana") == 0 {
			v.PanelURL, v.Values, v.ValueString = text.Draw(t, "panel"), map[string]float64{"A": 1.5}, text.Draw(t, "value")
		}
		want, wantErr := json.Marshal(v)
		got, err := appendAlert([]byte("before"), &v)
		require.Equal(t, wantErr == nil, err == nil)
		if err == nil {
			require.Equal(t, "before"+string(want), string(got))
		}
	})
}
