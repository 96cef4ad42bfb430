package templates

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/templates/internal/fixture"
)

func TestNearest(t *testing.T) {
	var groups []*grouping.AlertGroup
	for _, name := range []string{"payments", "payouts", "kube-system", "größe", "db"} {
		groups = append(groups, fixture.Make(night, fixture.Spec{
			Group:  fixture.L{"namespace": name},
			Alerts: []fixture.Alert{{Own: fixture.L{"x": name}}},
		}))
	}
	for wanted, want := range map[string]string{
		"paymets":     "payments",
		"PAYMENTS":    "payments",
		"pay":         "payments", // the first of two values with this prefix
		"kube":        "kube-system",
		"kube_system": "kube-system",
		"grosse":      "größe",
		"dv":          "db",
		"payments":    "", // it exists
		"monitoring":  "",
		"":            "",
		"x":           "",
	} {
		value, ok := nearestValue(equals("namespace", wanted), grouping.ListQuery{}, knownOf(groups))
		require.Equal(t, want, value, wanted)
		require.Equal(t, want != "", ok, wanted)
	}
	_, ok := nearestValue(equals("cluster", "payments"), grouping.ListQuery{}, knownOf(groups))
	require.False(t, ok, "no alert has the label")
	_, ok = nearestValue(equals("namespace", "paymets"), grouping.ListQuery{States: []grouping.State{grouping.StateResolved}}, knownOf(groups))
	require.False(t, ok, "the suggestion leads to another empty list")
}

// knownOf answers questions about the groups.
func knownOf(groups []*grouping.AlertGroup) Known {
	return Known{
		LabelValues: func(name string) (values []string) {
			for _, g := range groups {
				for _, a := range g.Alerts {
					if value, ok := a.Labels.Lookup(name); ok && !slices.Contains(values, value) {
						values = append(values, value)
					}
				}
			}
			return values
		},
		Selects: func(q grouping.ListQuery) bool { return len(q.Select(groups)) > 0 },
	}
}
