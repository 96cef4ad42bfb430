package receiver

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"go/types"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/alertmanager/template"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/wire"
	"muster/internal/wire/wiretest"
)

// fill sets every field of a struct to a unique value, including fields of
// later Alertmanager versions.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.Date(2026, 11, 23, 3, 0, *n, *n, time.UTC)))
			return
		}
		for f, field := range v.Fields() {
			if f.IsExported() {
				fill(t, field, n)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(fmt.Sprint("name", *n)), reflect.ValueOf(fmt.Sprint("value", *n)))
	case reflect.String:
		v.SetString(fmt.Sprint("text", *n))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	default:
		require.Fail(t, "a kind of field that this test does not know", v.Kind().String())
	}
}

// theirMessage is a copy of Alertmanager's wire.Message. Importing its
// package would compile 240 other packages under the race detector.
type theirMessage struct {
	*template.Data

	Version         string `json:"version"`
	GroupKey        string `json:"groupKey"`
	TruncatedAlerts uint64 `json:"truncatedAlerts"`
}

// TestTheirMessage compares theirMessage with the source of Alertmanager.
func TestTheirMessage(t *testing.T) {
	folder, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/alertmanager").Output()
	require.NoError(t, err)
	source, err := parser.ParseFile(gotoken.NewFileSet(), filepath.Join(strings.TrimSpace(string(folder)), "notify/webhook/webhook.go"),
		nil, 0)
	require.NoError(t, err)
	var theirs, ours []string
	ast.Inspect(source, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Message" {
			return true
		}
		message, ok := spec.Type.(*ast.StructType)
		require.True(t, ok)
		for _, field := range message.Fields.List {
			line := types.ExprString(field.Type)
			for _, name := range field.Names {
				line = name.Name + " " + line + " " + field.Tag.Value
			}
			theirs = append(theirs, line)
		}
		return false
	})
	for field := range reflect.TypeFor[theirMessage]().Fields() {
		line := field.Type.String()
		if !field.Anonymous {
			line = field.Name + " " + line + " `" + string(field.Tag) + "`"
		}
		ours = append(ours, line)
	}
	require.Equal(t, theirs, ours)
}

// Muster reads every field that Alertmanager writes.
func TestEveryFieldOfAMessageIsRead(t *testing.T) {
	var theirs theirMessage
	n := 0
	fill(t, reflect.ValueOf(&theirs).Elem(), &n)
	theirs.Version = versionAlertmanager
	for i := range theirs.Alerts {
		theirs.Alerts[i].Status = []string{"firing", "resolved"}[i%2]
	}
	text, err := json.Marshal(theirs)
	require.NoError(t, err)
	ours, left, err := testDecoder.decode(text)
	require.NoError(t, err)
	again, err := json.Marshal(ours)
	require.NoError(t, err)
	require.JSONEq(t, string(text), string(again))

	kept := testDecoder.notification(ours, "prod", &left)
	require.Equal(t, theirs.GroupKey, kept.GroupKey)
	require.Equal(t, theirs.Receiver, kept.Receiver)
	require.Equal(t, theirs.TruncatedAlerts, kept.Truncated)
	require.Equal(t, theirs.NotificationReason, kept.Reason)
	require.Equal(t, theirs.ExternalURL, kept.ExternalURL)
	for _, set := range []struct {
		want map[string]string
		got  grouping.Labels
	}{
		{theirs.GroupLabels, kept.GroupLabels},
		{theirs.CommonLabels, kept.CommonLabels},
		{theirs.CommonAnnotations, kept.CommonAnnotations},
		{theirs.RouteLabels, kept.RouteLabels},
		{theirs.Alerts[0].Labels, kept.Alerts[0].Labels},
		{theirs.Alerts[1].Annotations, kept.Alerts[1].Annotations},
	} {
		require.NotEmpty(t, set.want)
		require.Equal(t, grouping.NewLabels(set.want), set.got)
	}
	require.Equal(t, theirs.Alerts[1].StartsAt, kept.Alerts[1].StartsAt)
	require.Equal(t, theirs.Alerts[1].EndsAt, kept.Alerts[1].EndsAt)
	require.Equal(t, theirs.Alerts[1].GeneratorURL, kept.Alerts[1].GeneratorURL)
	require.Zero(t, kept.Alerts[0].EndsAt, "a firing alert has no end")
}

func TestFieldPath(t *testing.T) {
	for pointer, want := range map[jsontext.Pointer]string{
		"":                               "",
		"/groupKey":                      "groupKey",
		"/alerts/3/startsAt":             "alerts[3].startsAt",
		"/alerts/0/labels/a~1b":          `alerts[0].labels."a/b"`,
		"/alerts/0/labels/":              `alerts[0].labels.""`,
		"/alerts/0/labels/x\n":           `alerts[0].labels."x\n"`,
		"/5":                             `"5"`,
		"/alerts/0/labels/été":           `alerts[0].labels."été"`,
		"/alerts/99999999999999999999/x": `alerts."99999999999999999999".x`,
		jsontext.Pointer("/" + strings.Repeat("x", 65)):       `"` + strings.Repeat("x", 40) + `…"`,
		jsontext.Pointer("/x" + strings.Repeat("/0", 10_000)): "x" + strings.Repeat("[0]", 20) + "…",
	} {
		require.Equal(t, want, fieldPath(pointer), "%.60s", pointer)
	}
}

// testDecoder has limits that no test reaches.
var testDecoder = newDecoder(1_000_000, 10_000)

// allocated returns the bytes in use after garbage collection.
func allocated() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// The estimate is at least the memory that decoding needs, and not much more.
func TestDecodedSize(t *testing.T) {
	labels := func(n int) string {
		var pairs []string
		for i := range n {
			pairs = append(pairs, fmt.Sprintf(`"l%d":"x"`, i))
		}
		return "{" + strings.Join(pairs, ",") + "}"
	}
	many := func(n int, labels string) string {
		var alerts []string
		for range n {
			alerts = append(alerts, `{"status":"firing","labels":`+labels+`,"startsAt":"2026-11-23T03:00:00Z"}`)
		}
		whole := wiretest.Body()
		return whole[:strings.Index(whole, "[{")+1] + strings.Join(alerts, ",") + whole[strings.Index(whole, "}]")+1:]
	}
	for name, text := range map[string]string{
		"tiny": many(4000, `{"a":"b"}`), "usual": wiretest.Many(2000), "nine labels": many(2000, labels(9)),
		"many labels": many(200, labels(256)),
		"long":        many(200, `{"a":"`+strings.Repeat("x", 10_000)+`"}`),
	} {
		estimate := float64(decodedSize([]byte(text)))
		// Equal strings and label sets of a message in the usual form share their memory.
		took := decodedMemory(t, name, text, testDecoder.decode)
		require.Greater(t, estimate, 0.9*took, "%s: %d bytes became %.0f", name, len(text), took)
		took = decodedMemory(t, name, text, testDecoder.decodeAny)
		require.Greater(t, estimate, 0.9*took, "%s: %d bytes became %.0f", name, len(text), took)
		require.Less(t, estimate, 3*took, "%s: %d bytes became %.0f", name, len(text), took)
	}
}

// The estimate is at least the memory that decoded events need, also if they share no text.
func TestDecodedSizeOfEvents(t *testing.T) {
	repeat := func(n int, event func(i int) string) string {
		events := make([]string, n)
		for i := range events {
			events[i] = event(i)
		}
		return wiretest.Events(events...)
	}
	strange := func(i int) string {
		return wiretest.Grouped(i, 0, "payments", fmt.Sprint("p", i), `"cluster"`, fmt.Sprintf(`"c%d"`, i), `"team"`, fmt.Sprintf(`"t%d"`, i))
	}
	muted := func(int) string { return wiretest.Event(0, "am-0", `"silenceMutedAlert":{`+aSilence+`, `+muted035+`}`) }
	old := func(int) string {
		return wiretest.Event(0, "am-0", `"alertGrouped":{"alert":{"hash":"77", `+fires034+`}, `+inGroup034+`}`)
	}
	inhibited := func(int) string {
		return wiretest.Event(0, "am-0", `"inhibitionMutedAlert":{"inhibitRules":[{`+rule+`}], `+muted035+`, "inhibitingFingerprints":["1"]}`)
	}
	for name, text := range map[string]string{
		"usual": wiretest.GroupedMany(1000, 0), "strange": repeat(1000, strange), "silenced": repeat(1000, muted),
		"inhibited": repeat(1000, inhibited), "old": repeat(1000, old), "notification": largeDelivery(1000),
	} {
		before := allocated()
		all := observe(t, text)
		took := float64(allocated() - before)
		require.NotEmpty(t, all)
		require.Greater(t, float64(decodedSize([]byte(text))), 0.9*took, "%s: %d bytes became %.0f", name, len(text), took)
	}
}

// largeDelivery returns a notification about n alerts.
func largeDelivery(n int) string {
	alerts := make([]string, n)
	for i := range alerts {
		alerts[i] = fmt.Sprintf(`{"fingerprint":"%d"}`, i)
	}
	return wiretest.Event(0, "am-0", `"notification":{"firingAlerts":[`+strings.Join(alerts, ",")+`], `+flushed035+`}`)
}

// decodedMemory returns the bytes that a decoded message and its notification need.
func decodedMemory(t *testing.T, name, text string, decode func([]byte) (*wire.Message, rejectedAlerts, error)) float64 {
	t.Helper()
	before := allocated()
	m, left, err := decode([]byte(text))
	require.NoError(t, err, name)
	n := testDecoder.notification(m, "x", &left)
	took := allocated() - before
	require.NotEmpty(t, n.Alerts, name)
	require.NotEmpty(t, m.Alerts, name)
	return float64(took)
}
