package wire_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"muster/internal/recording"
	"muster/internal/wire"
)

// Two recorded events have the same signature if and only if they say the same, but for
// their time and the planned end.
func TestSignaturesOfRecordedEvents(t *testing.T) {
	says := map[uint64]string{}
	bySaying := map[string]uint64{}
	repeats := 0
	eventBodies(t, func(t *testing.T, a recording.Entry) {
		for raw, err := range wire.RawEvents(a.Body) {
			require.NoError(t, err)
			e, err := raw.Decode()
			require.NoError(t, err)
			sum, ok := raw.Signature()
			require.Equal(t, e.Data.AlertGrouped != nil, ok, "%s", raw.Text)
			require.Equal(t, e.Data.AlertCreated != nil, raw.IsAlertCreated(), "%s", raw.Text)
			if !ok {
				continue
			}
			form := "map"
			if strings.Contains(string(raw.Text), `"labels":{"labels":[`) {
				form = "list"
			}
			e.At = time.Time{}
			if !e.Data.AlertGrouped.Alert.Details.Resolved {
				e.Data.AlertGrouped.Alert.Details.EndsAt = time.Time{}
			}
			text, err := json.Marshal(e, json.Deterministic(true))
			require.NoError(t, err)
			said := form + string(text)
			if before, known := says[sum]; known {
				require.Equal(t, before, said)
				repeats++
			}
			says[sum] = said
			if before, known := bySaying[said]; known {
				require.Equal(t, before, sum, said)
			}
			bySaying[said] = sum
		}
	})
	require.Greater(t, repeats, 20)
}

func TestSignatureOfEveryChange(t *testing.T) {
	of := func(text string) (uint64, bool) { return wire.RawEvent{Text: []byte(text)}.Signature() }
	sum, ok := of(grouped)
	require.True(t, ok)
	replace := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(grouped) }
	for _, same := range []string{
		replace("03:00:00.5Z", "03:01:00Z"), replace("03:04:00Z", "03:05:00.123Z"), replace("03:00:00.5Z", "03:01:00Z", "03:04:00Z", "03:05:00Z"),
	} {
		other, ok := of(same)
		require.True(t, ok, same)
		require.Equal(t, sum, other, same)
	}
	for _, changed := range []string{
		replace("am-0", "am-1"), replace("02:59:00Z", "02:58:00Z"), replace(`"x"`, `"y"`), replace("{}:{}", "{}:{a}"), replace("team", "other"),
		replace(`03:04:00Z"`, `03:04:00Z","resolved":true`),
	} {
		other, ok := of(changed)
		require.True(t, ok, changed)
		require.NotEqual(t, sum, other, changed)
	}
	resolved := replace(`03:04:00Z"`, `03:04:00Z","resolved":true`)
	sum, _ = of(resolved)
	other, ok := of(strings.Replace(resolved, "03:04:00Z", "03:05:00Z", 1))
	require.True(t, ok)
	require.NotEqual(t, sum, other, "the end of an alert that ended")
	for _, unknown := range []string{
		"", "{}", `{"instance":"a"}`, replace("alertGrouped", "alertCreated"), replace("@timestamp", "time"), replace("endsAt", "ends"),
		replace(`{"labels":"x"}`, `{"endsAt":"x"}`), replace(`{"@`, `{ "@`),
	} {
		_, ok := of(unknown)
		require.False(t, ok, unknown)
	}
	// The content of a text is no field.
	text := replace(`{"labels":"x"}`, `{"summary":"a \"endsAt\":\"b\", \"resolved\":true"}`)
	sum, ok = of(text)
	require.True(t, ok)
	other, _ = of(strings.Replace(text, "03:04:00Z", "03:05:00Z", 1))
	require.Equal(t, sum, other)
	other, _ = of(strings.Replace(text, `\"b\"`, `\"c\"`, 1))
	require.NotEqual(t, sum, other)
}

// The origin is what the whole event says, in both forms.
func TestOriginsOfRecordedEvents(t *testing.T) {
	eventBodies(t, func(t *testing.T, a recording.Entry) {
		for raw, err := range wire.RawEvents(a.Body) {
			require.NoError(t, err)
			e, err := raw.Decode()
			require.NoError(t, err)
			at, instance, ok := raw.Origin()
			require.True(t, ok)
			require.Equal(t, e.At.UTC(), at)
			require.Equal(t, e.Instance, string(instance))
		}
	})
}

func TestOriginOfOtherShapes(t *testing.T) {
	for _, text := range []string{
		"", "{}", "[]", `{"@timestamp":5}`, `{"@timestamp":"yesterday","instance":"a"}`, `{"@timestamp":"2026-11-23T03:00:00Z"}`,
		`{"@timestamp":"2026-11-23T03:00:00Z","instance":7}`, `{"@timestamp":"2026-11-23T03:00:00Z","instance":"a\"b"}`,
		`{"@timestamp":"2026-11-23T03:00:00Z","host":"a","instance":"b"}`, `{"@timestamp":"2026-11-23T03:00:00Z","instance":"a`,
	} {
		_, _, ok := wire.RawEvent{Text: []byte(text)}.Origin()
		require.False(t, ok, text)
	}
}

func BenchmarkSignature(b *testing.B) {
	body, err := os.ReadFile(recorded + "/e1-lifecycle/018.json")
	require.NoError(b, err)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		for raw, err := range wire.RawEvents(body) {
			require.NoError(b, err)
			if _, ok := raw.Signature(); !ok {
				b.Fatal(string(body))
			}
		}
	}
}
