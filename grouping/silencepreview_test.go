package grouping

import (
	"testing"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/stretchr/testify/require"
)

// previewed returns a group of firing alerts with these labels and values.
func previewed(key, source string, alerts ...map[string]string) *AlertGroup {
	k := testKey
	k.Source, k.GroupKey = source, key
	n := Notification{Key: k, Stamp: at(1)}
	for _, l := range alerts {
		all := NewLabels(l)
		n.Alerts = append(n.Alerts, NotifiedAlert{Fingerprint: all.Fingerprint(), Status: StatusFiring, Labels: all, StartsAt: base})
	}
	return apply(nil, n, rules{}).Group
}

func matchersOf(t *testing.T, texts ...string) (ms labels.Matchers) {
	for _, text := range texts {
		m, err := labels.ParseMatcher(text)
		require.NoError(t, err)
		ms = append(ms, m)
	}
	return ms
}

func TestPreviewOfASilence(t *testing.T) {
	down := map[string]string{"alertname": "Down", "job": "a", "severity": "warning"}
	worse := map[string]string{"alertname": "Down", "job": "b", "severity": "critical"}
	full := map[string]string{"alertname": "Full", "job": "a"}
	one := previewed("one", "prod", down, worse)
	two := previewed("two", "prod", down, full)
	other := previewed("three", "edge", down)
	all := []*AlertGroup{other, two, one}

	p := PreviewSilence(all, "prod", matchersOf(t, `alertname="Down"`), one.ID)
	require.Len(t, p.Alerts, 2, "the alert in two groups counts once, and the other source does not")
	require.Equal(t, "b", p.Alerts[0].Alert.Labels.Get("job"), "the most urgent is the first")
	require.Equal(t, one, p.Alerts[1].Group)
	require.Equal(t, 1, p.Critical)
	require.Equal(t, 2, p.Groups)
	require.Zero(t, p.Others)
	require.False(t, p.Every)

	p2 := PreviewSilence(all, "prod", matchersOf(t, `job="a"`), one.ID)
	require.Equal(t, 1, p2.Others)
	require.Equal(t, []*AlertGroup{two}, p2.OtherGroups)
	require.NotEqual(t, p.Hash, p2.Hash)
	require.Zero(t, PreviewSilence(all, "prod", matchersOf(t, `job="a"`), "").Others, "there is no other group than none")

	p3 := PreviewSilence([]*AlertGroup{one, two}, "prod", matchersOf(t, `alertname="Down"`), "")
	require.Equal(t, p.Hash, p3.Hash, "what else fires is not part of it")
	more := previewed("four", "prod", worse)
	require.NotEqual(t, p.Hash, PreviewSilence(append(all, more), "prod", matchersOf(t, `alertname="Down"`), "").Hash, "a new pair matches")

	require.True(t, PreviewSilence(all, "prod", matchersOf(t, `job=~".+"`), "").Every)
	require.False(t, PreviewSilence(all, "edge", matchersOf(t, `job="a"`), "").Every, "one name is not everything")
	none := PreviewSilence(all, "none", matchersOf(t, `job="a"`), "")
	require.Empty(t, none.Alerts)
	require.False(t, none.Every)
	require.NotEmpty(t, none.Hash)
}

func TestMatchesEverything(t *testing.T) {
	for text, want := range map[string]bool{
		`alertname=~".+"`: true, `alertname=~".*"`: true, `a!="b"`: true, `a=~"(b|.*)"`: true, `a!~"b|c"`: true,
		`alertname="Down"`: false, `a=~"b.*"`: false, `a=""`: false, `a=~"[a-z]+"`: false, `a!~".+"`: false,
	} {
		require.Equal(t, want, MatchesEverything(matchersOf(t, text)), text)
	}
	require.True(t, MatchesEverything(nil))
	require.False(t, MatchesEverything(matchersOf(t, `a!="b"`, `c="d"`)))
}
