package wire

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// Most groups have one alert, whose labels and annotations are also the common ones. They are
// in memory once, whatever comes first in the message.
func TestAnAlertAloneHasTheCommonLabels(t *testing.T) {
	const (
		common = `"commonLabels":{"alertname":"x","pod":"a"},"commonAnnotations":{"summary":"down"}`
		alerts = `"alerts":[{"status":"firing","labels":{"alertname":"x","pod":"a"},"annotations":{"summary":"down"},` +
			`"startsAt":"2026-11-27T05:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"0123456789abcdef"}]`
		rest = `"version":"4","groupKey":"{}:{}","status":"firing","receiver":"r","groupLabels":{"alertname":"x"},"externalURL":""`
	)
	for _, body := range []string{"{" + alerts + "," + rest + "," + common + "}", "{" + common + "," + rest + "," + alerts + "}"} {
		m, ok := Parse([]byte(body), 10)
		require.True(t, ok, body)
		require.Equal(t, memoryOf(m.Alerts[0].Labels), memoryOf(m.CommonLabels))
		require.Equal(t, memoryOf(m.Alerts[0].Annotations), memoryOf(m.CommonAnnotations))
	}
}

// memoryOf returns where the values are.
func memoryOf(l grouping.Labels) uintptr { return reflect.ValueOf(l).FieldByName("values").Pointer() }

// A parser remembers the labels of the last message, but none that need much memory.
func TestParsersKeepNothingLarge(t *testing.T) {
	var p parser
	read := func(labels string) (l grouping.Labels) {
		p.text, p.at = []byte(labels), 0
		require.True(t, p.labelsOf(&l, &p.labels), labels)
		p.recycle()
		return l
	}
	require.Equal(t, read(`{"b":"1","a":"2"}`), p.labels.set)
	require.Equal(t, grouping.NewLabels(map[string]string{"a": "2", "b": "1"}), p.labels.set)
	many := `{"` + strings.Join(strings.Split(strings.Repeat("x", maxLabels+1), ""), `":"","`) + `":""}`
	for i := range maxLabels + 1 {
		many = strings.Replace(many, `"x"`, `"`+strings.Repeat("n", i)+`"`, 1)
	}
	long := strings.Repeat("x", maxText)
	for _, labels := range []string{`{"a":"1` + long + `"}`, `{"b` + long + `":""}`, many} {
		require.NotZero(t, read(labels))
		require.Zero(t, p.labels)
	}
}
