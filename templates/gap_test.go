package templates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// The history has a line for a gap. It belongs to no group, source or receiver.
func TestTheHistoryNamesGaps(t *testing.T) {
	e := event(1, 0, grouping.EventGap, "")
	e.GroupID, e.Labels = "", nil
	says := func(from, to string) string {
		e.Gap = &grouping.Gap{From: at(t, from), To: at(t, to)}
		e.Time = e.Gap.To
		row := historyOf(t, "", e).Days[0].Events[0]
		require.Equal(t, "no data", row.What)
		require.Equal(t, []string{"gap", "warn"}, []string{row.Kind, row.Class})
		require.Empty(t, row.Href+row.Group)
		require.Empty(t, row.Chips)
		require.Empty(t, row.Origin)
		return row.Says
	}
	require.Equal(t, "from 01:28 to 01:36: Muster was not running", says("2026-11-23T01:28:40Z", "2026-11-23T01:36:20Z"))
	require.Equal(t, "from 01:28:40 to 01:29:20: Muster was not running", says("2026-11-23T01:28:40Z", "2026-11-23T01:29:20Z"))
	require.Equal(t, "from Nov 22 23:58 to 00:05: Muster was not running", says("2026-11-22T23:58:00Z", "2026-11-23T00:05:00Z"))
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return moment
}
