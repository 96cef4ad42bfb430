package grouping

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What the encoders write is what the JSON library writes, byte for byte. The values are
// drawn by reflection, so that a new field is drawn too.
func TestUsualObjectsAreEncodedLikeTheLibraryDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			a Alert
			m Meta
			e Event
		)
		drawFields(t, reflect.ValueOf(&a).Elem())
		drawFields(t, reflect.ValueOf(&m).Elem())
		drawFields(t, reflect.ValueOf(&e).Elem())
		for _, c := range []struct {
			usual  usualObject
			stored any
		}{
			{&a, a.stored()},
			{&m, storedMeta{&m, jsontext.Value(m.Unknown)}},
			{&e, storedEvent{&e, jsontext.Value(e.Unknown)}},
		} {
			want, err := json.Marshal(c.stored, encoding)
			got, ok := encodeObject("prefix", c.usual)
			if ok {
				require.NoError(t, err)
				require.Equal(t, "prefix"+string(want), got)
			}
		}
	})
}

// What the encoders write is decoded as the JSON library decodes it, or declined.
func TestUsualObjectsAreDecodedLikeTheLibraryDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			a Alert
			m Meta
			e Event
		)
		drawFields(t, reflect.ValueOf(&a).Elem())
		drawFields(t, reflect.ValueOf(&m).Elem())
		drawFields(t, reflect.ValueOf(&e).Elem())
		for _, c := range []struct {
			stored, got, want any
			read              func(any) func(*objectReader)
		}{
			{
				a.stored(), &storedAlert{Alert: &Alert{}}, &storedAlert{Alert: &Alert{}},
				func(v any) func(*objectReader) { return v.(*storedAlert).decode },
			},
			{
				storedMeta{&m, jsontext.Value(m.Unknown)},
				&storedMeta{Meta: &Meta{}}, &storedMeta{Meta: &Meta{}},
				func(v any) func(*objectReader) { return v.(*storedMeta).Meta.decode },
			},
			{
				storedEvent{&e, jsontext.Value(e.Unknown)},
				&storedEvent{Event: &Event{}}, &storedEvent{Event: &Event{}},
				func(v any) func(*objectReader) { return v.(*storedEvent).Event.decode },
			},
		} {
			text, err := json.Marshal(c.stored, encoding)
			if err != nil {
				continue
			}
			// A damaged text is declined, or means the same for both.
			if at := rapid.IntRange(-len(text), len(text)-1).Draw(t, "damage"); at >= 0 {
				text[at] = rapid.SampledFrom([]byte("\"\\{}[],:x0 \xff")).Draw(t, "byte")
			}
			if decodedObject(text, c.read(c.got)) {
				require.NoError(t, json.Unmarshal(text, c.want), "%s", text)
				require.Equal(t, decoded(c.want), decoded(c.got), "%s", text)
			}
		}
	})
}

// decoded returns the value that a stored form stands for.
func decoded(stored any) any {
	if s, ok := stored.(*storedAlert); ok {
		s.complete()
		return s.Alert
	}
	return stored
}

// What a notification usually stores is not left to the library.
func TestUsualObjectsDoNotDecline(t *testing.T) {
	n := Notification{Key: testKey, ExternalURL: am0, Stamp: NewStamp(base, 0, testWriter), Alerts: bigGroup(3), Truncated: 1}
	made := apply(nil, n, testRules)
	g, events := made.Group, made.Events
	values := []usualObject{&g.Meta, g.Alerts[0]}
	for i := range events {
		values = append(values, &events[i])
	}
	for _, v := range values {
		_, ok := encodeObject("", v)
		require.True(t, ok, "%+v", v)
	}
	for i := range events {
		text, err := events[i].Encode()
		require.NoError(t, err)
		var read Event
		require.True(t, decodedObject([]byte(text[len(events[i].ID):]), read.decode), text)
		require.Equal(t, events[i], read)
	}
	head := headText(t, g)
	require.True(t, decodedObject([]byte(head[StampLen:]), new(Meta).decode), head)
	alert := alertText(t, g.Alerts[0])
	require.True(t, decodedObject([]byte(alert[StampLen:]), (&storedAlert{Alert: &Alert{}}).decode), alert)
	g.Alerts[0].Unknown = `{"x":1}`
	_, ok := encodeObject("", g.Alerts[0])
	require.False(t, ok)
	alert = alertText(t, g.Alerts[0])
	require.False(t, decodedObject([]byte(alert[StampLen:]), (&storedAlert{Alert: &Alert{}}).decode), alert)
}

// headText returns the text of the head of a document.
func headText(t require.TestingT, d Document) string {
	text, err := d.AppendHead(nil)
	require.NoError(t, err)
	return string(text)
}

// alertText returns the text of the record of an alert.
func alertText(t require.TestingT, a *Alert) string {
	text, err := appendAlert(nil, a)
	require.NoError(t, err)
	return string(text)
}

// recordsOf returns the records that a write changes.
func recordsOf(t require.TestingT, w Write) []RecordWrite {
	var records RecordWrites
	require.NoError(t, w.AppendRecords(&records))
	return records.List
}

// drawFields sets most fields of a struct.
func drawFields(t *rapid.T, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		if f.CanSet() && rapid.IntRange(0, 2).Draw(t, v.Type().Field(i).Name) > 0 {
			drawValue(t, f)
		}
	}
}

func drawValue(t *rapid.T, f reflect.Value) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\xff\xfe<&>\u2028\x00", `"\`}))
	switch f.Interface().(type) {
	case time.Time:
		at := time.Unix(rapid.Int64Range(-70_000_000_000, 260_000_000_000).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		if rapid.IntRange(0, 9).Draw(t, "zone") > 0 {
			at = at.UTC()
		}
		f.Set(reflect.ValueOf(at))
		return
	case Labels:
		f.Set(reflect.ValueOf(NewLabels(rapid.MapOfN(rapid.StringN(0, 4, -1), text, 0, 3).Draw(t, "labels"))))
		return
	case *Grafana:
		f.Set(reflect.ValueOf(&Grafana{}))
		return
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(text.Draw(t, "text"))
	case reflect.Bool:
		f.SetBool(true)
	case reflect.Int, reflect.Int64:
		f.SetInt(rapid.SampledFrom([]int64{1, -1, math.MaxInt64}).Draw(t, "n"))
	case reflect.Uint64:
		f.SetUint(rapid.SampledFrom([]uint64{1, math.MaxUint64}).Draw(t, "n"))
	case reflect.Pointer:
		f.Set(reflect.New(f.Type().Elem()))
		drawFields(t, f.Elem())
	case reflect.Struct:
		drawFields(t, f)
	case reflect.Slice:
		for range rapid.IntRange(0, 2).Draw(t, "elements") {
			element := reflect.New(f.Type().Elem()).Elem()
			drawFields(t, element)
			f.Set(reflect.Append(f, element))
		}
	default:
		t.Fatalf("no value for a %s", f.Type())
	}
}

func BenchmarkEncodeAlert(b *testing.B) {
	g := apply(nil, Notification{Key: testKey, ExternalURL: am0, Stamp: NewStamp(base, 0, testWriter), Alerts: bigGroup(1)}, testRules).Group
	var text []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if text, err = appendAlert(text[:0], g.Alerts[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAlert(b *testing.B) {
	g := apply(nil, Notification{Key: testKey, ExternalURL: am0, Stamp: NewStamp(base, 0, testWriter), Alerts: bigGroup(1)}, testRules).Group
	text := alertText(b, g.Alerts[0])
	b.ReportAllocs()
	for b.Loop() {
		var read AlertGroup
		if err := (alertRecords{}).decode(&read, string(g.Alerts[0].Fingerprint), []byte(text)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	made := apply(nil, Notification{Key: testKey, ExternalURL: am0, Stamp: NewStamp(base, 0, testWriter), Alerts: bigGroup(1)}, testRules)
	text, err := made.Events[1].Encode()
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEvent(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecodeGroups decodes the stored form of groups with ten alerts each, which have labels
// like those of Kubernetes. It also reports how much memory such a group then needs.
func BenchmarkDecodeGroups(b *testing.B) {
	var stored []StoredDocument
	for n := range 1000 {
		var alerts []NotifiedAlert
		for i := range 10 {
			l := NewLabels(map[string]string{
				"alertname": "KubePodCrashLooping", "cluster": "eu-1", "container": "app", "instance": "10.0.0.1:8443",
				"job": "kube-state-metrics", "namespace": fmt.Sprint("ns-", n), "prometheus": "monitoring/k8s", "severity": "warning",
				"pod": fmt.Sprintf("app-7c9d8b6f5d-%05d", i), "uid": fmt.Sprint(n, "-", i),
			})
			alerts = append(alerts, NotifiedAlert{
				Fingerprint: l.Fingerprint(), Status: StatusFiring, Labels: l, StartsAt: base, Annotations: NewLabels(map[string]string{
					"description": fmt.Sprintf("Pod app-7c9d8b6f5d-%05d (app) is in waiting state (reason: CrashLoopBackOff) on cluster eu-1.", i),
					"runbook_url": "https://runbooks.example.com/kubernetes/kubepodcrashlooping", "summary": "Pod is crash looping.",
				}),
			})
		}
		key := Key{Source: "prod", Receiver: "team", GroupKey: fmt.Sprint(n)}
		g := apply(nil, Notification{
			Key: key, ExternalURL: am0, Stamp: NewStamp(base, 0, testWriter), Alerts: alerts,
			GroupLabels: NewLabels(map[string]string{"namespace": fmt.Sprint("ns-", n)}),
		}, testRules).Group
		records := []StoredRecord{{HeadRecord, []byte(headText(b, g))}}
		for _, a := range g.Alerts {
			records = append(records, StoredRecord{alertRecords{}.name(a.Fingerprint), []byte(alertText(b, a))})
		}
		stored = append(stored, StoredDocument{ID: g.ID, Records: records})
	}
	groups := make([]Document, len(stored))
	decodeAll := func() {
		for i := range stored {
			var err error
			if groups[i], err = stored[i].Decode(); err != nil {
				b.Fatal(err)
			}
		}
	}
	before := liveHeap()
	decodeAll()
	live := liveHeap() - before
	b.ReportAllocs()
	for b.Loop() {
		decodeAll()
	}
	b.ReportMetric(float64(live)/float64(len(stored)), "live-B/group")
}
