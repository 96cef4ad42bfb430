package grouping

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An unknown value may mean anything, so it must not rank below values that are known
// to be harmless.
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
	require.Zero(t, SeverityOther.Compare(SeverityWarning), "an unknown value ranks like a warning")
	require.Negative(t, SeverityOther.Compare(SeverityInfo))
	require.Negative(t, SeverityCritical.Compare(SeverityOther))
	require.Negative(t, SeverityInfo.Compare(SeverityNone))
}

func TestSetSeverities(t *testing.T) {
	t.Cleanup(func() { require.NoError(t, SetSeverities(DefaultSeverityLabel, nil)) })
	require.NoError(t, SetSeverities("level", []string{"critical=boom, Bang", "info=warning"}))
	a := &Alert{Labels: NewLabels(map[string]string{"level": "bang", DefaultSeverityLabel: "info"})}
	require.Equal(t, SeverityCritical, a.Severity())
	require.Equal(t, SeverityInfo, SeverityOf("warning"), "a setting overrides a default")
	require.Equal(t, SeverityCritical, SeverityOf("page"), "the other defaults stay")
	for _, bad := range []string{"critical", "critical=", "loud=x", "=x"} {
		require.ErrorContains(t, SetSeverities("level", []string{bad}), "is not of the form critical=word,word")
	}
	require.Error(t, SetSeverities("", nil))
}

// The severity of a group is that of its most urgent alert. An unknown value ranks like
// a warning.
func TestAnUnknownSeverityRanksLikeAWarning(t *testing.T) {
	alert := func(name, severity string, ago time.Duration) *Alert {
		l := NewLabels(map[string]string{"alertname": name, "severity": severity})
		return &Alert{Fingerprint: l.Fingerprint(), Status: StatusFiring, Labels: l, StartsAt: time.Unix(1_700_000_000, 0).Add(-ago)}
	}
	group := func(alerts ...*Alert) *AlertGroup {
		return NewAlertGroup(AlertGroup{Meta: Meta{Key: Key{Receiver: "r"}, Stamp: "1"}, Alerts: alerts})
	}
	require.Equal(t, SeverityCritical, group(alert("a", "info", time.Hour), alert("b", "crit", 0)).Severity)
	require.Equal(t, SeverityOther, group(alert("a", "info", 0), alert("b", "ticket", time.Hour)).Severity)
	before := func(a, b *AlertGroup) bool {
		return comparePositions(SortSeverity.positionOf(a, false), SortSeverity.positionOf(b, false)) < 0
	}
	require.True(t, before(group(alert("w", "ticket", time.Hour)), group(alert("i", "info", 0))))
	require.True(t, before(group(alert("w", "", time.Hour)), group(alert("i", "info", 0))), "a missing label is unknown too")
	require.True(t, before(group(alert("w", "ticket", 0)), group(alert("i", "warning", time.Hour))), "equal urgency: the newest first")
}
