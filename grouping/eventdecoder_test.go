package grouping

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Events of a stream are decoded as each of them alone, also if alerts change their labels, and
// if a text is damaged.
func TestEventsOfAStreamAreDecodedAsEachAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := []Labels{
			{},
			NewLabels(map[string]string{"a": "1"}), NewLabels(map[string]string{"a": "1", "b": `"}<&` + "\xff\u2028"}),
			NewLabels(map[string]string{"a": "11"}), NewLabels(map[string]string{"b": "1"}),
		}
		var decoder EventDecoder
		got, want := []Event{}, []Event{}
		for range rapid.IntRange(1, 20).Draw(t, "events") {
			var e Event
			drawFields(t, reflect.ValueOf(&e).Elem())
			e.Fingerprint = rapid.SampledFrom([]Fingerprint{"", "a", "b"}).Draw(t, "fingerprint")
			e.GroupID = rapid.SampledFrom([]ID{"", "a", "g"}).Draw(t, "group")
			e.Labels = rapid.SampledFrom(labels).Draw(t, "labels")
			stored, err := e.Encode()
			if err != nil {
				continue
			}
			text := []byte(stored)
			if at := rapid.IntRange(-len(text), len(text)-1).Draw(t, "damage"); at >= 0 {
				text[at] = rapid.SampledFrom([]byte("\"\\{}[],:x0 \xff")).Draw(t, "byte")
			}
			got = decoder.Append(got, text)
			if alone, err := DecodeEvent(string(text)); err == nil {
				want = append(want, alone)
			}
			clear(text) // it is not kept
		}
		require.Equal(t, want, got)
	})
}

func TestEventsOfAlertsShareTheirLabels(t *testing.T) {
	var decoder EventDecoder
	var events []Event
	for range 2 {
		e := Event{ID: string(NewStamp(base, 0, testWriter)) + "000000", Kind: EventFired, Fingerprint: "a", Labels: testLabels("a")}
		text, err := e.Encode()
		require.NoError(t, err)
		events = decoder.Append(events, []byte(text))
	}
	require.Len(t, events, 2)
	require.Same(t, &events[0].Labels.values[0], &events[1].Labels.values[0])
	require.Equal(t, testLabels("a"), events[1].Labels)
}

func testLabels(name string) Labels { return NewLabels(map[string]string{"alertname": name}) }

func TestADecoderKeepsFewLabels(t *testing.T) {
	var decoder EventDecoder
	long := strings.Repeat("x", 1<<20)
	for i := range 20 {
		e := Event{Kind: EventFired, Fingerprint: Fingerprint(fmt.Sprint(i % 7)), Labels: testLabels(long + fmt.Sprint(i))}
		text, err := e.Encode()
		require.NoError(t, err)
		require.Equal(t, e.Labels, decoder.Append(nil, []byte(text))[0].Labels)
		kept := 0
		for _, known := range decoder.known {
			kept += known.size
		}
		require.Equal(t, decoder.bytes, kept)
		require.LessOrEqual(t, kept, maxKnownBytes)
	}
}

// Alerts that fire by turns are mostly known, even if the labels of all are too large.
func TestADecoderKnowsMostOfTooManyAlerts(t *testing.T) {
	const alerts, turns = 60, 10
	long := strings.Repeat("x", maxKnownBytes*6/5/alerts)
	var decoder EventDecoder
	shared, before := 0, map[int]*string{}
	for range turns {
		for i := range alerts {
			e := Event{Kind: EventFired, Fingerprint: Fingerprint(fmt.Sprint(i)), Labels: testLabels(long + fmt.Sprint(i))}
			text, err := e.Encode()
			require.NoError(t, err)
			labels := decoder.Append(nil, []byte(text))[0].Labels
			if before[i] == &labels.values[0] {
				shared++
			}
			before[i] = &labels.values[0]
		}
	}
	require.Greater(t, shared, alerts*turns/3)
}

func BenchmarkDecodeEvents(b *testing.B) {
	made := apply(nil, Notification{Key: testKey, ExternalURL: am0, Stamp: NewStamp(base, 0, testWriter), Alerts: bigGroup(10_000)}, testRules)
	var texts [][]byte
	for i := range made.Events {
		text, err := made.Events[i].Encode()
		require.NoError(b, err)
		texts = append(texts, []byte(text))
	}
	for name, decoder := range map[string]*EventDecoder{"each alone": nil, "of a stream": {}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var events []Event
			for n := 0; b.Loop(); n++ {
				events = decoder.Append(events[:0], texts[n%len(texts)])
			}
		})
	}
}

// The labels of many alerts need memory, but not also for their texts.
func TestADecoderKeepsNoTexts(t *testing.T) {
	made := apply(nil, Notification{Key: testKey, ExternalURL: am0, Stamp: NewStamp(base, 0, testWriter), Alerts: bigGroup(10_000)}, testRules)
	var texts []string
	for i := range made.Events {
		text, err := made.Events[i].Encode()
		require.NoError(t, err)
		texts = append(texts, text)
	}
	var decoder EventDecoder
	before := liveHeap()
	var events []Event
	for _, text := range texts {
		events = decoder.Append(events[:0], []byte(text))
	}
	perAlert := (liveHeap() - before) / len(made.Events)
	require.NotEmpty(t, decoder.known)
	require.Less(t, perAlert, 650, "bytes")
	runtime.KeepAlive([]any{made, texts})
}

func liveHeap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
