package receiver_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"muster/internal/wire/wiretest"
	"muster/receiver"
)

// usualAlerts is the maximum number of alerts of a made-up message.
const usualAlerts = 20

// requireSameMessage asserts that the parser of usual messages returns what the general
// decoder returns, or nothing.
func requireSameMessage(t require.TestingT, text []byte, maxAlerts int) (usual bool) {
	got, usual := receiver.DecodeUsual(text, maxAlerts)
	if usual {
		want, valid := receiver.DecodeAny(text, maxAlerts)
		require.True(t, valid, "%q", text)
		require.Equal(t, want, got, "%q", text)
		got.Release() // the next message must have nothing of this one
	}
	return usual
}

// What Alertmanager sends is usual.
func TestRecordedBodiesAreUsual(t *testing.T) {
	for name, body := range recorded(t) {
		require.True(t, requireSameMessage(t, body, 10_000), name)
	}
}

func TestUnusualBodies(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(corpus, "other-senders", "*.json"))
	require.NoError(t, err)
	for _, path := range paths {
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		requireSameMessage(t, body, usualAlerts)
	}
	for _, r := range rejections400() {
		require.False(t, requireSameMessage(t, []byte(r.body), usualAlerts), r.body)
	}
	require.True(t, requireSameMessage(t, []byte(wiretest.Body()), usualAlerts))
	require.True(t, requireSameMessage(t, []byte(wiretest.Many(usualAlerts)+"\n"), usualAlerts))
	for name, body := range map[string]string{
		"too many alerts":         wiretest.Many(usualAlerts + 1),
		"unknown name":            wiretest.Body(wiretest.Version, wiretest.Version+`,"new":1`),
		"repeated name":           wiretest.Body(wiretest.Version, wiretest.Version+","+wiretest.Version),
		"unknown alert name":      wiretest.Body(wiretest.Fingerprint, `"panelURL":""`),
		"repeated label":          wiretest.Body(wiretest.Labels, `{"a":"b","a":"b"}`),
		"null labels":             wiretest.Body(wiretest.Labels, `null`),
		"surrogate pair":          wiretest.Body(wiretest.Labels, `{"a":"\ud83d\ude00"}`),
		"invalid UTF-8":           wiretest.Body(wiretest.Labels, "{\"a\":\"\xff\"}"),
		"invalid after an escape": wiretest.Body(wiretest.Labels, "{\"a\":\"\\n\xff\"}"),
		"control character":       wiretest.Body(wiretest.Labels, "{\"a\":\"\n\"}"),
		"unknown escape":          wiretest.Body(wiretest.Labels, `{"a":"\x"}`),
		"bad digit":               wiretest.Body(wiretest.Labels, `{"a":"\u00g0"}`),
		"odd time":                wiretest.Body(wiretest.Start, `"startsAt":"2026-11-23 03:00:00Z"`),
		"no time":                 wiretest.Body(wiretest.Start, `"startsAt":"0001-01-01T00:00:00Z"`),
		"unknown status":          wiretest.Body(wiretest.Status, `[{"status":"odd"`),
		"leading zero":            wiretest.Body(wiretest.Truncated, `"truncatedAlerts":00`),
		"fraction":                wiretest.Body(wiretest.Truncated, `"truncatedAlerts":1.0`),
		"large number":            wiretest.Body(wiretest.Truncated, `"truncatedAlerts":18446744073709551615`),
		"white space":             wiretest.Body(wiretest.Version, " "+wiretest.Version),
		"trailing comma":          wiretest.Body(wiretest.Labels, `{"a":"b",}`),
		"two values":              wiretest.Body() + "{}",
	} {
		require.False(t, requireSameMessage(t, []byte(body), usualAlerts), name)
	}
	for cut := range len(wiretest.Body()) {
		require.False(t, requireSameMessage(t, []byte(wiretest.Body()[:cut]), usualAlerts), cut)
	}
}

// Random messages are decoded equally, odd ones and those with some random bytes, too.
func TestUsualBodiesAreDecodedEqually(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := plainMessage()
		usual := plain.draw(t)
		require.True(t, requireSameMessage(t, []byte(usual), usualAlerts), usual)
		odd := plain
		odd.texts = append(odd.texts, `\ud83d\ude00`, `\ud83d`, `\x`, "\xff", "\\n\xff", "\x1f")
		odd.times = append(odd.times, "2026-11-23T3:00:00Z", "2026-11-23T03:00:00,5Z", "2026-11-23T03:00:00+24:00", "9999-12-31T23:59:59-01:00",
			"0001-01-01T00:00:00Z", "")
		odd.statuses = append(odd.statuses, "odd", "")
		odd.numbers = append(odd.numbers, "00", "-1", "1.5", "null", "18446744073709551615")
		odd.alerts = append(odd.alerts, 0, usualAlerts+1)
		odd.repeated = []int{0, 0, 0, 1}
		body := odd.draw(t)
		requireSameMessage(t, []byte(body), usualAlerts)
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			at := rapid.IntRange(0, len(body)-1).Draw(t, "at")
			with := rapid.SampledFrom([]string{`"`, ",", ":", "{", "}", "[", "]", `\`, "0", "Z", " ", "\x00", "\xc3", ""}).Draw(t, "with")
			body = body[:at] + with + body[at+1:]
		}
		requireSameMessage(t, []byte(body), usualAlerts)
	})
}

// randomMessage has the values from which a message is drawn.
type randomMessage struct {
	texts, times, statuses, numbers []string // without quotes
	alerts                          []int    // how many
	repeated                        []int    // how many fields are repeated
}

func plainMessage() randomMessage {
	return randomMessage{
		texts: []string{
			"a", "alertname", `\n\"\\\/\b\f\r\t`, `\u0026`, `\u00e9\u20AC`, "é", "😀", `\u0000`, "",
			strings.Repeat("x", 200), strings.Repeat("é", 64),
		},
		times:    []string{"2026-11-23T03:00:00Z", "2026-11-23T03:00:00.123456789Z", "2026-11-23T03:00:00+01:00", "2026-11-23T03:00:00-00:00"},
		statuses: []string{"firing", "resolved"},
		numbers:  []string{"0", "7", "12345", "999999999999999999"},
		alerts:   []int{1, 2, 3, usualAlerts},
		repeated: []int{0},
	}
}

// draw returns a message.
func (m randomMessage) draw(t *rapid.T) string {
	draw := func(name string, from []string) string {
		return `"` + name + `":"` + rapid.SampledFrom(from).Draw(t, name) + `"`
	}
	labels := func(name string) string {
		var pairs []string
		names := rapid.Permutation(m.texts).Draw(t, "names")
		for i := range rapid.IntRange(0, 3).Draw(t, name) {
			pairs = append(pairs, draw(names[i], m.texts))
		}
		return `"` + name + `":{` + strings.Join(pairs, ",") + "}"
	}
	object := func(needed int, fields ...string) string {
		kept := fields[:len(fields)-rapid.IntRange(0, len(fields)-needed).Draw(t, "missing")]
		kept = append(slices.Clone(kept), kept[:rapid.SampledFrom(m.repeated).Draw(t, "repeated")]...)
		return "{" + strings.Join(rapid.Permutation(kept).Draw(t, "order"), ",") + "}"
	}
	var alerts []string
	for range rapid.SampledFrom(m.alerts).Draw(t, "alerts") {
		alerts = append(alerts, object(2, draw("status", m.statuses), draw("startsAt", m.times), labels("labels"), draw("endsAt", m.times),
			labels("annotations"), draw("generatorURL", m.texts), draw("fingerprint", m.texts)))
	}
	return object(3, `"version":"4"`, draw("groupKey", m.texts[:8]), `"alerts":[`+strings.Join(alerts, ",")+"]", labels("groupLabels"),
		`"truncatedAlerts":`+rapid.SampledFrom(m.numbers).Draw(t, "truncated"), labels("commonLabels"), labels("commonAnnotations"),
		labels("routeLabels"), draw("receiver", m.texts), draw("status", m.texts), draw("notification_reason", m.texts),
		draw("externalURL", m.texts))
}

// The parser of usual messages returns what the general decoder returns, or nothing.
func FuzzUsual(f *testing.F) {
	for _, body := range recorded(f) {
		if len(body) < 1<<12 { // larger inputs only repeat
			f.Add(body)
		}
	}
	for _, r := range rejections400() {
		if len(r.body) < 1<<12 {
			f.Add([]byte(r.body))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) { requireSameMessage(t, text, usualAlerts) })
}
