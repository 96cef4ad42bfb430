package query

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPast(t *testing.T) {
	want := time.Date(2026, 11, 26, 2, 55, 0, 0, time.UTC)
	for _, raw := range []string{
		"at=2026-11-26T02:55:00Z", "at=2026-11-26T04:55:00%2B02:00", "at=2026-11-26+02:55", "at=2026-11-26T02:55", "at=2026-11-26T02:55:00",
		"at=1795661700", "at=-9h5m", "at=9h5m",
	} {
		p := Parse(raw)
		require.Equal(t, Past{At: want}, p.Past(now), raw)
		require.Equal(t, want, p.PastTime(now), raw)
		require.NoError(t, p.Err(), raw)
	}
	for _, raw := range []string{"", "at="} {
		p := Parse(raw)
		require.Zero(t, p.Past(now), raw)
		require.NoError(t, p.Err())
	}
	for _, raw := range []string{"at=0001-01-01T00:00:00Z", "at=0", "at=0000-01-01", "at=1312-01-01"} {
		require.Equal(t, Past{At: epoch}, Parse(raw).Past(now), raw)
	}
	require.Equal(t, Past{At: now}, Parse("at="+url.QueryEscape(now.Format(time.RFC3339Nano))).Past(now), "now is not the future")
}

func TestATimeThatCannotBeUsedIsNamed(t *testing.T) {
	for raw, says := range map[string]string{
		"at=yesterday": `"yesterday" is not a time`, "at=2126-11-26": `"2126-11-26" is in the future`,
		"at=2026-11-26T02:55:00+02:00": `"2026-11-26T02:55:00 02:00" is not a time`,
	} {
		p := Parse(raw)
		past := p.Past(now)
		require.Contains(t, past.Err, says)
		require.True(t, past.At.IsZero())
		require.NoError(t, p.Err(), "a page shows the present")
		require.True(t, p.PastTime(now).IsZero())
		require.ErrorContains(t, p.Err(), "at: "+says)
	}
	p := Parse("at=1h&at=2h")
	require.Zero(t, p.Past(now))
	require.ErrorContains(t, p.Err(), "at: given 2 times")
}
