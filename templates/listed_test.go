package templates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// An alert that a notification left out can still be listed by the API.
func TestAnUnreportedAlertThatTheAPILists(t *testing.T) {
	a := &grouping.Alert{Fingerprint: "00112233445566aa", Status: grouping.StatusUnreported, ChangedAt: night.Add(-time.Hour)}
	site := newSite(nil)
	g := &grouping.AlertGroup{Meta: grouping.Meta{Key: grouping.Key{Source: "default"}}, Alerts: []*grouping.Alert{a}}
	sentence := func() string { return site.unreportedSentence(g, a).String() }
	require.Equal(t, "Cause unknown: the notification of 02:02 left it out", sentence())
	site.ListedBy = func(string, grouping.Fingerprint) string { return "" }
	require.Equal(t, "Cause unknown: the notification of 02:02 left it out", sentence())
	site.ListedBy = func(_ string, fp grouping.Fingerprint) string {
		if fp != a.Fingerprint {
			return ""
		}
		return "http://am-0:9093"
	}
	require.Equal(t, "Cause unknown: the notification of 02:02 left it out, but am-0:9093 still lists it as active", sentence())
	g.ClosedBy = &grouping.Closing{Person: grouping.Person{Name: "jo"}, At: night.Add(-time.Hour)}
	require.Equal(t, "Closed by jo (not verified) at 02:02", sentence(), "the cause is known")
}
