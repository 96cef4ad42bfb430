package grouping

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func mutedAlert(severity string, pod string) *Alert {
	l := NewLabels(map[string]string{"severity": severity, "pod": pod})
	return &Alert{Fingerprint: l.Fingerprint(), Labels: l, Status: StatusUnreported}
}

// mutedGroup returns a group with alerts, each with its active mutes.
func mutedGroup(name string, alerts map[*Alert][]Mute) *AlertGroup {
	g := AlertGroup{Meta: Meta{Key: Key{Source: "prod", Receiver: "team", GroupKey: name}}}
	g.ID = g.Key.ID()
	for a, mutes := range alerts {
		g.Alerts = append(g.Alerts, a)
		if len(mutes) > 0 {
			g.Mutes = withMutes(g.Mutes, &AlertMutes{Fingerprint: a.Fingerprint, Mutes: mutes})
		}
	}
	return NewAlertGroup(g)
}

func TestMutesAreSummarized(t *testing.T) {
	silence, inhibition := Mute{Kind: MuteSilence, ID: "s1"}, Mute{Kind: MuteInhibition, ID: "00000000000000aa"}
	night, over := Mute{Kind: MuteInterval, ID: "nights"}, Mute{Kind: MuteSilence, ID: "s0", Ended: time.Unix(1, 0)}
	fires := mutedAlert("critical", "f")
	fires.Status = StatusFiring
	groups := []*AlertGroup{
		mutedGroup("a", map[*Alert][]Mute{
			mutedAlert("critical", "a"): {over, silence, inhibition}, mutedAlert("warning", "b"): {silence}, mutedAlert("critical", "c"): {over},
		}),
		mutedGroup("b", map[*Alert][]Mute{mutedAlert("warning", "d"): {night}}),
		mutedGroup("c", map[*Alert][]Mute{fires: nil, mutedAlert("critical", "e"): {inhibition}}),
	}
	states := []State{StateSuppressed, StateMixed}
	all := ListQuery{States: states, Mutes: &MuteQuery{}}
	want := MuteSummary{
		Groups: 2, Critical: 1,
		ByCause:  map[MuteKind]int{MuteSilence: 1, MuteInhibition: 1, MuteInterval: 1},
		Alerts:   map[MuteKind]int{MuteSilence: 2, MuteInhibition: 2, MuteInterval: 1},
		Inhibits: map[SourceAlert]int{{"prod", "00000000000000aa"}: 2},
	}
	require.Equal(t, want, SummarizeMutes(groups, all))

	words := all
	words.Words = []string{"warning"}
	got := SummarizeMutes(groups, words)
	require.Equal(t, 2, got.Groups, "words select whole groups")
	require.Equal(t, want.Inhibits, got.Inhibits)

	other := all
	other.Source = "edge"
	none := MuteSummary{ByCause: map[MuteKind]int{}, Alerts: map[MuteKind]int{}, Inhibits: want.Inhibits}
	require.Equal(t, none, SummarizeMutes(groups, other))
}

// Summarizes 1,000 groups with ten suppressed alerts each.
func BenchmarkSummarizeMutes(b *testing.B) {
	var groups []*AlertGroup
	for i := range 1000 {
		alerts := map[*Alert][]Mute{}
		for j := range 10 {
			alerts[mutedAlert("critical", strconv.Itoa(i*10+j))] = []Mute{{Kind: MuteInhibition, ID: "00000000000000aa"}}
		}
		groups = append(groups, mutedGroup(strconv.Itoa(i), alerts))
	}
	for b.Loop() {
		require.Equal(b, 1000, SummarizeMutes(groups, ListQuery{Mutes: &MuteQuery{}}).Groups)
	}
}
