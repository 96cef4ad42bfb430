package templates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/templates/internal/fixture"
)

// If the version of Alertmanager is known, only the form that it accepts is shown.
func TestTheStepForTheEventRecorderFitsTheVersion(t *testing.T) {
	step := func(versions ...string) SetupStep {
		s := newSite(nil)
		s.Sources = nil
		for _, v := range versions {
			s.Sources = append(s.Sources, grouping.SourceReport{Pollers: []grouping.PollReport{{Version: v}}})
		}
		return newSetup(s).Steps[2]
	}
	const batches = "batch: true"
	require.Contains(t, step().Lines, "- name: muster        # 0.33 and 0.34: leave this line out\n      url: https://")
	require.Contains(t, step("0.35.0").Lines, "    - name: muster\n      url: https://")
	require.Contains(t, step("0.35.0").Lines, batches+"\n")
	require.Contains(t, step("0.34.2").Lines, "    - url: https://muster.example.net/am/events\n      "+batches)
	require.NotContains(t, step("0.33.1").Lines, batches)
	require.Contains(t, step("0.34.2", "0.35.0").Lines, "leave this line out", "two versions")
	require.Contains(t, step("next").Lines, "leave this line out")
	old := step("0.28.1")
	require.Empty(t, old.Lines)
	require.Equal(t, "Alertmanager 0.28 has no event recorder.", old.Says)
}

// The lines name the source if there is one with a name of its own.
func TestTheSetupNamesTheSource(t *testing.T) {
	g := fixture.Make(night, fixture.Spec{Source: "prod", Group: fixture.L{"alertname": "A"}, Alerts: []fixture.Alert{{Ago: time.Minute}}})
	steps := newSetup(newSite([]*grouping.AlertGroup{g})).Steps
	require.Contains(t, steps[0].Lines, "/am/webhook/prod\n")
	require.Equal(t, "--alertmanager.url=prod=http://alertmanager:9093\n", steps[1].Lines)
	require.Contains(t, steps[2].Lines, "/am/events/prod\n")
	require.True(t, steps[0].Done)
	require.False(t, steps[3].Done)
}

// A silence that may be forgotten, and one that mutes more than was meant, have a mark.
func TestSilencesThatNeedALookAreMarked(t *testing.T) {
	s := newSite(nil)
	alert := func(name, severity string, since time.Duration) grouping.SilencedAlert {
		l := grouping.NewLabels(map[string]string{"alertname": name, "severity": severity})
		return grouping.SilencedAlert{
			ExpectedAlert: grouping.ExpectedAlert{Group: &grouping.AlertGroup{}, Alert: &grouping.Alert{Fingerprint: l.Fingerprint(), Labels: l}},
			Mute:          grouping.Mute{Kind: grouping.MuteSilence, Since: night.Add(-since)},
		}
	}
	marks := func(label string, muted ...grouping.SilencedAlert) []string {
		info := grouping.SilenceInfo{Silence: &grouping.Silence{
			EndsAt: night.Add(time.Hour), MatcherSets: [][]grouping.SilenceMatcher{{{Name: label, Type: "=", Value: "a"}}},
		}, Muted: muted}
		return markTexts(s.silenceMarks(&info, countMuted(&info, night)))
	}
	const day = 24 * time.Hour
	require.Empty(t, marks("cluster"), "the card says already that it mutes nothing")
	require.Equal(t, []string{"a critical alert muted for 16 days"}, marks("cluster", alert("A", "critical", 16*day+time.Hour)))
	require.Empty(t, marks("cluster", alert("A", "warning", 16*day), alert("A", "critical", 6*day)))
	require.Equal(t, []string{"one matcher"}, marks("cluster", alert("A", "warning", day), alert("B", "warning", day)))
	require.Empty(t, marks("alertname", alert("A", "warning", day), alert("B", "warning", day)))
}

// A comment is shown whole, and addresses in it are links.
func TestAddressesInCommentsAreLinks(t *testing.T) {
	require.Equal(t, Linked{
		{Text: "see "}, {Text: "https://x.example/a", Href: "https://x.example/a"}, {Text: ", and\njavascript:alert(1) (http://y)"},
	}, splitLinks("see https://x.example/a, and\njavascript:alert(1) (http://y)"))
	require.Nil(t, splitLinks(""))
	require.Equal(t, Linked{{Text: "  "}}, splitLinks("  "))
}
