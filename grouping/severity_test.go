package grouping

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A word that is not known may mean anything, so it does not rank below what is
// known to be harmless.
func TestSeverityWords(t *testing.T) {
	for severity, words := range map[Severity][]string{
		SeverityCritical: {"critical", "CRIT", "page", "emerg", "alert", "P1", "sev1", "Disaster"},
		SeverityWarning:  {"warning", "err", "error", "average", "high", "P2"},
		SeverityInfo:     {"info", "notice", "debug", "low", "Information"},
		SeverityOther:    {"", "ticket", "1", "whatever"},
		SeverityNone:     {"none"},
	} {
		for _, word := range words {
			require.Equal(t, severity, SeverityOf(word), word)
		}
	}
	require.Zero(t, SeverityOther.Compare(SeverityWarning), "beside warning")
	require.Negative(t, SeverityOther.Compare(SeverityInfo))
	require.Negative(t, SeverityCritical.Compare(SeverityOther))
	require.Negative(t, SeverityInfo.Compare(SeverityNone))
}

func TestSeveritiesAreASetting(t *testing.T) {
	t.Cleanup(func() { require.NoError(t, SetSeverities(DefaultSeverityLabel, nil)) })
	require.NoError(t, SetSeverities("level", []string{"critical=boom, Bang", "info=warning"}))
	a := &Alert{Labels: Labels{"level": "bang", DefaultSeverityLabel: "info"}}
	require.Equal(t, SeverityCritical, a.Severity())
	require.Equal(t, SeverityInfo, SeverityOf("warning"), "a setting goes before what is known")
	require.Equal(t, SeverityCritical, SeverityOf("page"), "the known words stay")
	for _, bad := range []string{"critical", "critical=", "loud=x", "=x"} {
		require.ErrorContains(t, SetSeverities("level", []string{bad}), "is not of the form critical=word,word")
	}
	require.Error(t, SetSeverities("", nil))
}

// A group is as bad as its worst alert, and an unknown word is no harmless one.
func TestAnUnknownSeverityIsNotHidden(t *testing.T) {
	alert := func(name, severity string, ago time.Duration) *Alert {
		l := Labels{"alertname": name, "severity": severity}
		return &Alert{Fingerprint: l.Fingerprint(), Status: StatusFiring, Labels: l, StartsAt: time.Unix(1_700_000_000, 0).Add(-ago)}
	}
	group := func(alerts ...*Alert) *AlertGroup {
		return NewAlertGroup(AlertGroup{Meta: Meta{Key: Key{Receiver: "r"}, Stamp: "1"}, Alerts: alerts})
	}
	require.Equal(t, SeverityCritical, group(alert("a", "info", time.Hour), alert("b", "crit", 0)).Severity)
	require.Equal(t, SeverityOther, group(alert("a", "info", 0), alert("b", "ticket", time.Hour)).Severity)
	before := func(a, b *AlertGroup) bool {
		return comparePositions(SortSeverity.positionOf(a), SortSeverity.positionOf(b)) < 0
	}
	require.True(t, before(group(alert("w", "ticket", time.Hour)), group(alert("i", "info", 0))))
	require.True(t, before(group(alert("w", "", time.Hour)), group(alert("i", "info", 0))), "no label is no word either")
	require.True(t, before(group(alert("w", "ticket", 0)), group(alert("i", "warning", time.Hour))), "the newest of both")
}
