package grouping

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The hash of a content is its key in every storage, so it must never change.
func TestContentHash(t *testing.T) {
	annotations := NewLabels(map[string]string{"summary": "Pod & <b>", "description": "x\xff"})
	hash, text := (&Content{Annotations: annotations, GeneratorURL: "http://prometheus"}).Encode()
	require.JSONEq(t, `{"annotations":{"description":"x�","summary":"Pod & <b>"},"generatorURL":"http://prometheus"}`, text)
	require.Equal(t, "a85b58e74fd519a0f18b", hash)
	empty, text := new(Content).Encode()
	require.Equal(t, "{}", text)
	require.Len(t, empty, contentHashLen)

	require.Equal(t, map[string]Content{
		empty: {}, hash: {Annotations: NewLabels(map[string]string{"summary": "Pod"})},
	}, ContentTexts{empty: "{}", hash: `{"annotations":{"summary":"Pod"},"later":1}`, "damaged": "{"}.Decode())
}

// The events that begin an episode carry the content of their alert. The change has
// each content once.
func TestEpisodesBeginWithTheirContent(t *testing.T) {
	with := func(summary string, alerts ...NotifiedAlert) []NotifiedAlert {
		for i := range alerts {
			alerts[i].Annotations, alerts[i].GeneratorURL = NewLabels(map[string]string{"summary": summary}), "http://prometheus"
		}
		return alerts
	}
	notify := func(g *AlertGroup, after int, alerts []NotifiedAlert) Change {
		stamp := NewStamp(base.Add(minute*3*time.Duration(after)), 0, testWriter)
		return apply(g, Notification{Key: testKey, Alerts: alerts, ExternalURL: am0, Stamp: stamp}, testRules)
	}
	contents := func(c Change) map[string]string {
		names := map[Fingerprint]string{fp("a"): "a", fp("b"): "b", fp("c"): "c"}
		all := map[string]string{}
		known := c.Contents.Decode()
		for _, e := range c.Events {
			if e.Content != "" {
				require.Contains(t, known, e.Content)
				require.Equal(t, "http://prometheus", known[e.Content].GeneratorURL)
				all[names[e.Fingerprint]+" "+string(e.Kind)] = known[e.Content].Annotations.Get("summary")
			}
		}
		require.Len(t, c.Contents, len(known))
		return all
	}
	c := notify(nil, 0, append(with("full", fires("a", 0), fires("b", 0)), with("slow", fires("c", 0))...))
	require.Equal(t, map[string]string{"a fired": "full", "b fired": "full", "c fired": "slow"}, contents(c))
	require.Len(t, c.Contents, 2, "two alerts have one content")
	c = notify(c.Group, 1, with("fuller", ended("a", 0, minute), fires("b", 0), fires("c", 4*minute)))
	require.Equal(t, map[string]string{"a resolved": "fuller", "c refired": "fuller"}, contents(c), "a resolution has what changed")
	c = notify(c.Group, 2, with("full", fires("a", 7*minute), fires("b", 0), fires("c", 4*minute)))
	require.Equal(t, map[string]string{"a refired": "full"}, contents(c))

	bad := fires("bad", 0)
	bad.Annotations = NewLabels(map[string]string{"\xff": "1", "\xfe": "2"})
	c = notify(nil, 0, list(bad))
	require.Empty(t, c.Contents.Decode(), "two annotations have one name")
}

// What is common to the alerts is a content of its own only if the alerts do not say it.
func TestAnOpenedEventSaysWhatAlertsShareWithoutAContent(t *testing.T) {
	alert := func(name, summary string) NotifiedAlert {
		a := fires(name, 0)
		a.Labels = NewLabels(map[string]string{"alertname": "Disk", "host": name})
		a.Annotations = NewLabels(map[string]string{"summary": summary, "runbook": "http://runbook"})
		return a
	}
	disk, runbook := NewLabels(map[string]string{"alertname": "Disk"}), NewLabels(map[string]string{"runbook": "http://runbook"})
	one := alert("a", "1")
	for _, tc := range []struct {
		name   string
		n      Notification
		shared bool
	}{
		{"of one alert", Notification{Alerts: list(one), CommonLabels: one.Labels, CommonAnnotations: one.Annotations}, true},
		{"of two alerts", Notification{Alerts: list(one, alert("b", "2")), CommonLabels: disk, CommonAnnotations: runbook}, true},
		{"other labels", Notification{Alerts: list(one), CommonLabels: disk, CommonAnnotations: one.Annotations}, false},
		{"other annotations", Notification{Alerts: list(one), CommonLabels: one.Labels, CommonAnnotations: runbook}, false},
		{"labels of the route", Notification{
			Alerts: list(one), CommonLabels: one.Labels, CommonAnnotations: one.Annotations, RouteLabels: disk,
		}, false},
	} {
		tc.n.Key, tc.n.ExternalURL, tc.n.Stamp = testKey, am0, NewStamp(base, 0, testWriter)
		c := apply(nil, tc.n, testRules)
		opened, notified := c.Events[0], c.Events[len(c.Events)-1]
		require.Equal(t, tc.shared, opened.Opened.Shared, tc.name)
		require.Equal(t, tc.shared, notified.Content == "", tc.name)
		require.Len(t, c.Contents, len(tc.n.Alerts)+map[bool]int{true: 0, false: 1}[tc.shared], tc.name)

		tc.n.Stamp = NewStamp(base.Add(minute), 0, testWriter)
		tc.n.CommonLabels = NewLabels(map[string]string{"new": "1"})
		c = apply(c.Group, tc.n, testRules)
		require.NotEmpty(t, c.Events[len(c.Events)-1].Content, "%s: a change is said", tc.name)
	}
}
