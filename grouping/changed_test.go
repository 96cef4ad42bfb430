package grouping

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A changed event says that the content or the start of an alert changed, if the write
// has no other event of the alert.
func TestChangedEvents(t *testing.T) {
	says := func(summary string, alert NotifiedAlert) NotifiedAlert {
		alert.Annotations = NewLabels(map[string]string{"summary": summary})
		return alert
	}
	link := func(alert NotifiedAlert) NotifiedAlert {
		alert.GeneratorURL = "http://prometheus/new"
		return alert
	}
	var c Change
	for i, step := range []struct {
		what    string
		alerts  []NotifiedAlert
		changed []string
	}{
		{"first", list(says("1", fires("a", 0)), says("1", fires("b", 0))), nil},
		{"repeated", list(says("1", fires("a", 0)), says("1", fires("b", 0))), nil},
		{"annotations", list(says("2", fires("a", 0)), says("2", fires("b", 0))), []string{"a", "b"}},
		{"generator URL", list(link(says("2", fires("a", 0))), says("2", fires("b", 0))), []string{"a"}},
		{"start moved back", list(link(says("2", fires("a", -minute))), says("2", fires("b", 0))), []string{"a"}},
		{"omitted", list(says("2", fires("b", 0))), nil},
		{"returned with other annotations", list(says("3", fires("a", -minute)), says("2", fires("b", 0))), nil},
		{"resolved with other annotations", list(says("3", fires("a", -minute)), says("4", ended("b", 0, minute))), nil},
		{"a resolution listed again", list(says("3", fires("a", -minute)), says("4", ended("b", 0, minute))), nil},
		{"refired", list(says("5", fires("a", -minute)), says("5", fires("b", 20*minute))), []string{"a"}},
	} {
		before := c.Group
		stamp := NewStamp(base.Add(3*minute*time.Duration(i)), 0, testWriter)
		n := Notification{Key: testKey, Alerts: step.alerts, ExternalURL: am0, Stamp: stamp}
		c = apply(before, n, testRules)
		var changed []string
		for j, e := range c.Changed {
			require.Equal(t, fmt.Sprintf("%s%06x", stamp, len(c.Events)+j), e.ID, step.what)
			require.Equal(t, EventChanged, e.Kind)
			require.Equal(t, c.Group.ID, e.GroupID)
			require.Equal(t, StatusFiring, e.Was)
			a := c.Group.Alert(e.Fingerprint)
			require.True(t, e.StartsAt.Equal(a.StartsAt))
			require.Equal(t, a.content(), c.Contents.Decode()[e.Content], step.what)
			changed = append(changed, map[Fingerprint]string{fp("a"): "a", fp("b"): "b"}[e.Fingerprint])
		}
		require.ElementsMatch(t, step.changed, changed, step.what)
		checkEvents(t, c.Group, stamp, c.Events)
		again := apply(c.Group, n, testRules)
		require.Empty(t, again.Changed, "%s, twice", step.what)
	}
	require.NotContains(t, EventKinds(), EventChanged)
	require.NotContains(t, TransitionKinds(), EventChanged)
}
