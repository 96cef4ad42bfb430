package templates

import (
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/templates/internal/fixture"
)

func TestByRowCountsOneAlert(t *testing.T) {
	for alerts, want := range map[int]string{1: "1 alert", 2: "2 alerts"} {
		groups := []*grouping.AlertGroup{fixture.Big(night, alerts)}
		row := NewByPage(newSite(groups), parseView(t, "by=cluster&state=all"), groups).ByRows[0]
		require.Equal(t, want, row.Count+" "+row.Counted)
	}
}
