package alertmanager_test

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"muster/alertmanager"
	"muster/grouping"
	"muster/internal/wire"
)

// readGroups returns the groups of an answer.
func readGroups(t *testing.T, answer string) (groups []*wire.APIGroup) {
	t.Helper()
	for g, err := range wire.ReadGroups(strings.NewReader(answer)) {
		require.NoError(t, err)
		groups = append(groups, g)
	}
	return groups
}

func TestObservedAlerts(t *testing.T) {
	alerts, leftOut := alertmanager.Observe(8, readGroups(t, `[{
		"labels": {"alertname": "Down"}, "receiver": {"name": "team.a|b"}, "alerts": [{
			"fingerprint": "0123456789abcdef", "labels": {"alertname": "Down", "i": "1"}, "annotations": {"summary": "s"},
			"startsAt": "2026-11-27T12:00:00.123+02:00", "endsAt": "2026-11-27T10:09:00Z", "updatedAt": "2026-11-27T10:05:00Z",
			"generatorURL": "http://prometheus/g", "receivers": [{"name": "team.a|b"}],
			"status": {"state": "suppressed", "silencedBy": ["s1", "s2"], "inhibitedBy": ["00000000000000aa"], "mutedBy": ["nights"]}
		}, {
			"fingerprint": "odd", "labels": {"alertname": "Down"}, "startsAt": "2026-11-27T10:00:00Z",
			"status": {"state": "unprocessed", "silencedBy": [], "inhibitedBy": [], "mutedBy": []}
		}]
	}]`)...)
	require.Zero(t, leftOut)
	group := grouping.ObservedGroup{Receiver: "team.a|b", GroupLabels: grouping.LabelsOf([]grouping.Label{{Name: "alertname", Value: "Down"}})}
	labels := grouping.LabelsOf([]grouping.Label{{Name: "alertname", Value: "Down"}})
	require.Equal(t, []grouping.ObservedAlert{{
		Group: group, Listed: true, Until: time.Date(2026, 11, 27, 10, 9, 0, 0, time.UTC),
		Alert: grouping.NotifiedAlert{
			Fingerprint: "0123456789abcdef", Status: grouping.StatusFiring,
			Labels:      grouping.LabelsOf([]grouping.Label{{Name: "alertname", Value: "Down"}, {Name: "i", Value: "1"}}),
			Annotations: grouping.LabelsOf([]grouping.Label{{Name: "summary", Value: "s"}}), GeneratorURL: "http://prometheus/g",
			StartsAt: time.Date(2026, 11, 27, 10, 0, 0, 123_000_000, time.UTC),
		},
		Mutes: []grouping.Mute{
			{Kind: grouping.MuteSilence, ID: "s1", From: grouping.OriginAPI},
			{Kind: grouping.MuteSilence, ID: "s2", From: grouping.OriginAPI},
			{Kind: grouping.MuteInhibition, ID: "00000000000000aa", From: grouping.OriginAPI},
			{Kind: grouping.MuteInterval, ID: "nights", From: grouping.OriginAPI},
		},
	}, {
		Group: group,
		Alert: grouping.NotifiedAlert{
			Fingerprint: labels.Fingerprint(), Status: grouping.StatusFiring, Labels: labels,
			StartsAt: time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC),
		},
	}}, alerts)
}

// An alert that Muster could not keep is left out, and the others are not.
func TestAlertsThatAreLeftOut(t *testing.T) {
	const good = `{"fingerprint": "0123456789abcdef", "labels": {"a": "b"}, "startsAt": "2026-11-27T10:00:00Z"}`
	for name, bad := range map[string]string{
		"no start":             `{"labels": {"a": "b"}}`,
		"a start of no year":   `{"labels": {"a": "b"}, "startsAt": "9999-12-31T23:59:59-01:00"}`,
		"too many labels":      `{"labels": {"a": "1", "b": "2", "c": "3"}, "startsAt": "2026-11-27T10:00:00Z"}`,
		"too many annotations": `{"annotations": {"a": "1", "b": "2", "c": "3"}, "startsAt": "2026-11-27T10:00:00Z"}`,
	} {
		alerts, leftOut := alertmanager.Observe(2, readGroups(t, `[{"receiver": {"name": "m"}, "alerts": [`+bad+`,`+good+`]}]`)...)
		require.Equal(t, 1, leftOut, name)
		require.Len(t, alerts, 1, name)
		require.Equal(t, grouping.Fingerprint("0123456789abcdef"), alerts[0].Alert.Fingerprint)
	}
}

// An alert in the groups of several receivers shares its memory. A different one under the
// same fingerprint does not.
func TestAlertsOfSeveralReceiversShareMemory(t *testing.T) {
	group := func(receiver, summary string) string {
		return `{"labels": {"a": "b"}, "receiver": {"name": "` + receiver + `"}, "alerts": [{"fingerprint": "0123456789abcdef",
			"labels": {"a": "b"}, "annotations": {"summary": "` + summary + `"}, "startsAt": "2026-11-27T10:00:00Z", "generatorURL": "http://g"}]}`
	}
	alerts, _ := alertmanager.Observe(8, readGroups(t, "["+group("first", "s")+","+group("second", "s")+","+group("third", "other")+"]")...)
	require.Len(t, alerts, 3)
	require.Equal(t, alerts[0].Alert, alerts[1].Alert)
	require.Equal(t, "second", alerts[1].Group.Receiver)
	values := func(l grouping.Labels) uintptr { return reflect.ValueOf(l).FieldByName("values").Pointer() }
	require.Equal(t, values(alerts[0].Alert.Labels), values(alerts[1].Alert.Labels))
	require.Equal(t, values(alerts[0].Alert.Annotations), values(alerts[1].Alert.Annotations))
	require.Same(t, unsafe.StringData(alerts[0].Alert.GeneratorURL), unsafe.StringData(alerts[1].Alert.GeneratorURL))
	require.Equal(t, "other", alerts[2].Alert.Annotations.Get("summary"))
}

func TestObservedSilences(t *testing.T) {
	read := func(text string) (grouping.Silence, bool) {
		for s, err := range wire.ReadSilences(strings.NewReader("[" + text + "]")) {
			require.NoError(t, err)
			return alertmanager.ObserveSilence(s)
		}
		return grouping.Silence{}, false
	}
	s, ok := read(`{"id": "5f1d", "status": {"state": "expired"}, "createdBy": "ann", "comment": "<deploy>",
		"startsAt": "2026-11-27T12:00:00+02:00", "endsAt": "2026-11-27T11:00:00Z", "updatedAt": "2026-11-27T11:00:00Z",
		"annotations": {"ticket": "7"},
		"matchers": [{"name": "a", "value": "b", "isRegex": false, "isEqual": true}, {"name": "c", "value": "d|e", "isRegex": true}]}`)
	require.True(t, ok)
	at := time.Date(2026, 11, 27, 11, 0, 0, 0, time.UTC)
	require.Equal(t, grouping.Silence{
		ID: "5f1d", CreatedBy: "ann", Comment: "<deploy>", StartsAt: at.Add(-time.Hour), EndsAt: at, UpdatedAt: at,
		Annotations: grouping.LabelsOf([]grouping.Label{{Name: "ticket", Value: "7"}}),
		MatcherSets: [][]grouping.SilenceMatcher{{{Name: "a", Type: "=", Value: "b"}, {Name: "c", Type: "=~", Value: "d|e"}}},
	}, s)
	for _, bad := range []string{`{"comment": "no ID"}`, `{"id": "a", "endsAt": "9999-12-31T23:59:59-01:00"}`} {
		_, ok := read(bad)
		require.False(t, ok, bad)
	}
}
