package main

import (
	"encoding/json"
	"maps"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGoalsHaveNamesAndWords(t *testing.T) {
	names := map[string]bool{}
	for _, g := range goals {
		require.False(t, names[g.name()], "%s is the name of two goals", g.name())
		names[g.name()] = true
		require.NotContains(t, describe(g.row), "%!", g.row)
		require.NotNil(t, g.value, g.name())
	}
}

// Only what a selected goal compares is measured. Two builds are compared without floors.
func TestOnlySelectedRowsAreNeeded(t *testing.T) {
	b := &bench{pick: regexp.MustCompile(`^new/10/redis/index$`)}
	require.True(t, b.needs("new/10", redisMuster))
	require.True(t, b.needs("new/10", indexFloor))
	require.False(t, b.needs("new/1", redisMuster))
	require.False(t, b.needs("new/10", sameFloor))
	require.True(t, b.needsAny([]string{"repeat/", "new/"}, indexFloor))
	require.False(t, b.needsAny([]string{"repeat/"}, indexFloor))
	b.base = "muster-base"
	require.True(t, b.needs("new/10", redisMuster))
	require.False(t, b.needs("new/10", indexFloor))
	b.pick = regexp.MustCompile("")
	for _, floor := range []string{alertmanager, readFloor, decodeFloor, sonicFloor, indexFloor, sameFloor} {
		require.False(t, b.needsAny([]string{""}, floor))
	}
}

func TestBodiesAreJSON(t *testing.T) {
	n := notification{group: "g", first: 3, alerts: 2, truncated: 1, startsAt: time.Now(), rare: "needle"}
	for _, n.resolved = range []bool{false, true} {
		var message struct {
			TruncatedAlerts int
			Alerts          []struct {
				Status, EndsAt string
				Labels         map[string]string
			}
		}
		require.NoError(t, json.Unmarshal(n.webhook(), &message))
		require.Equal(t, 1, message.TruncatedAlerts)
		require.Len(t, message.Alerts, 2)
		require.Equal(t, "app-7c9d8b6f5d-00004", message.Alerts[1].Labels["pod"])
		require.Equal(t, "needle", message.Alerts[1].Labels["rare"])
		require.Equal(t, n.resolved, message.Alerts[0].Status == "resolved")
		var posted []struct{ Labels map[string]string }
		require.NoError(t, json.Unmarshal(n.posted(), &posted))
		require.Equal(t, message.Alerts[0].Labels, posted[0].Labels)
	}
}

// A body says what is common to its alerts as Alertmanager does.
func TestBodiesSayWhatIsCommon(t *testing.T) {
	for _, alerts := range []int{1, 2} {
		var message struct {
			CommonLabels, CommonAnnotations map[string]string
			Alerts                          []struct{ Labels, Annotations map[string]string }
		}
		require.NoError(t, json.Unmarshal(notification{group: "g", first: 3, alerts: alerts, startsAt: time.Now()}.webhook(), &message))
		ls, annotations := message.Alerts[0].Labels, message.Alerts[0].Annotations
		for _, a := range message.Alerts[1:] {
			maps.DeleteFunc(ls, func(name, value string) bool { return a.Labels[name] != value })
			maps.DeleteFunc(annotations, func(name, value string) bool { return a.Annotations[name] != value })
		}
		require.Equal(t, ls, message.CommonLabels, "of %d alerts", alerts)
		require.Equal(t, annotations, message.CommonAnnotations, "of %d alerts", alerts)
	}
}

func TestEventsAreJSON(t *testing.T) {
	n := notification{group: "g", first: 3, alerts: 2, startsAt: time.Now()}
	var events []struct {
		Data struct {
			AlertGrouped struct {
				Alert struct {
					Details struct {
						Labels map[string]string
						EndsAt time.Time
					}
				}
				GroupInfo struct{ GroupKey string }
			}
		}
	}
	require.NoError(t, json.Unmarshal(n.grouped(time.Now()), &events))
	require.Len(t, events, 2)
	var message struct {
		GroupKey string
		Alerts   []struct{ Labels map[string]string }
	}
	require.NoError(t, json.Unmarshal(n.webhook(), &message))
	second := events[1].Data.AlertGrouped
	require.Equal(t, message.GroupKey, second.GroupInfo.GroupKey)
	require.Equal(t, message.Alerts[1].Labels, second.Alert.Details.Labels)
	require.True(t, second.Alert.Details.EndsAt.After(time.Now()))
}

func TestEffectsAreThoseOfTheGroup(t *testing.T) {
	text := "*1\r\n$5\r\nMULTI\r\n*4\r\n$4\r\nHSET\r\n$3\r\ng:a\r\n$1\r\nm\r\n$2\r\nx\n\r\n" +
		"*4\r\n$4\r\nXADD\r\n$3\r\nlog\r\n$3\r\n1-2\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n#TS:1\r\n" +
		"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$3\r\ng:b\r\n$1\r\nm\r\n*1\r\n$4\r\nEXEC\r\n"
	commands, err := effects([]byte(text), "g:a")
	require.NoError(t, err)
	require.Len(t, commands, 2)
	require.Equal(t, "x\n", string(commands[0][3]))
	require.Equal(t, "*", string(commands[1][2]))
	_, err = effects([]byte("*1\r\n+OK\r\n"), "g:a")
	require.ErrorContains(t, err, "instead of")
}

func TestMedianAndQuantile(t *testing.T) {
	samples := []sample{{rate: 4}, {rate: 1}, {rate: 2}, {rate: 3}}
	require.InDelta(t, 2.5, median(samples, rate), 0)
	require.InDelta(t, 2, median(samples[1:], rate), 0)
	o := outcome{latencies: []time.Duration{1, 2, 3, 4}}
	require.Equal(t, time.Duration(3), o.quantile(0.5))
	require.Equal(t, time.Duration(4), o.quantile(0.99))
}

func TestRequestsAreRepeated(t *testing.T) {
	a, b := []byte("a"), []byte("b")
	require.Equal(t, [][]byte{a, b, a}, cycle([][]byte{a, b}, 3))
	require.Equal(t, [][]byte{a}, cycle([][]byte{a, b}, 1))
}
