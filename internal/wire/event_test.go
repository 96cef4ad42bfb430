package wire_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/recording"
	"muster/internal/wire"
	"muster/internal/wire/wiretest"
)

const recorded = "../../testdata/events"

// eventBodies calls fn for each recorded request of the event recorder.
func eventBodies(t *testing.T, fn func(t *testing.T, e recording.Entry)) {
	t.Helper()
	for _, r := range recording.All(t) {
		t.Run(r.Name, func(t *testing.T) {
			for _, e := range r.Of(recording.Event) {
				fn(t, e)
			}
		})
	}
}

// The notes of the recordings say how many events of which types a body has.
func TestRecordedEventsAreRead(t *testing.T) {
	counts := regexp.MustCompile(`(\w+)(?: x(\d+))?(?:,|$)`)
	number := regexp.MustCompile(`^\[\d+\] `)
	events := 0
	eventBodies(t, func(t *testing.T, a recording.Entry) {
		expected := map[string]int{}
		for _, m := range counts.FindAllStringSubmatch(number.ReplaceAllString(a.Note, ""), -1) {
			n := 1
			if m[2] != "" {
				n, _ = strconv.Atoi(m[2])
			}
			expected[m[1]] += n
		}
		types := map[string]int{}
		for raw, err := range wire.RawEvents(a.Body) {
			require.NoError(t, err)
			e, err := raw.Decode()
			require.NoError(t, err, "%s", raw.Text)
			require.Empty(t, e.Data.Unknown)
			require.NotEmpty(t, e.Instance)
			types[e.Data.Type()]++
			events++
			for _, l := range labelled(e) {
				require.Equal(t, l.labels.Fingerprint(), grouping.Fingerprint(l.fingerprint), "%s", raw.Text)
			}
		}
		require.Equal(t, expected, types, a.File)
	})
	require.Greater(t, events, 1000)
}

type labelledAlert struct {
	fingerprint wire.EventFingerprint
	labels      wire.EventLabels
}

// labelled returns all alerts of the event whose labels it has.
func labelled(e *wire.Event) (all []labelledAlert) {
	add := func(details *wire.AlertDetails) {
		if details != nil {
			all = append(all, labelledAlert{details.Fingerprint, details.Labels})
		}
	}
	d := &e.Data
	switch {
	case d.AlertCreated != nil:
		add(&d.AlertCreated.Alert)
	case d.AlertGrouped != nil:
		add(d.AlertGrouped.Alert.Details)
	case d.AlertResolved != nil:
		add(d.AlertResolved.Alert.Details)
	case d.Notification != nil:
		for i := range d.Notification.Alerts {
			add(d.Notification.Alerts[i].Details)
		}
	case d.SilenceMutedAlert != nil:
		all = append(all, labelledAlert{d.SilenceMutedAlert.Alert.Fingerprint, d.SilenceMutedAlert.Alert.Labels})
	case d.InhibitionMutedAlert != nil:
		all = append(all, labelledAlert{d.InhibitionMutedAlert.Alert.Fingerprint, d.InhibitionMutedAlert.Alert.Labels})
	}
	return all
}

// Everything that a receiver was told of has a fingerprint, in both forms.
func TestToldAlertsHaveFingerprints(t *testing.T) {
	told := 0
	eventBodies(t, func(t *testing.T, a recording.Entry) {
		for raw, err := range wire.RawEvents(a.Body) {
			require.NoError(t, err)
			e, err := raw.Decode()
			require.NoError(t, err)
			n := e.Data.Notification
			if n == nil {
				continue
			}
			details := map[wire.EventFingerprint]*wire.AlertDetails{}
			for _, a := range n.Alerts {
				details[a.Fingerprint] = a.Details
			}
			for _, a := range n.Firing {
				told++
				require.NotNil(t, details[a.Fingerprint], "%s", raw.Text)
				require.False(t, details[a.Fingerprint].Resolved)
			}
			for _, a := range n.Resolved {
				if a.Fingerprint == "" {
					continue // it was not sent: send_resolved is false
				}
				told++
				require.NotNil(t, details[a.Fingerprint], "%s", raw.Text)
				require.True(t, details[a.Fingerprint].Resolved)
			}
		}
	})
	require.Greater(t, told, 100)
}

const grouped = `{"@timestamp":"2026-11-27T03:00:00.5Z","instance":"am-0","data":{"alertGrouped":{"alert":{"fingerprint":"1","details":` +
	`{"fingerprint":"1","labels":{"labels":"x"},"startsAt":"2026-11-27T02:59:00Z","endsAt":"2026-11-27T03:04:00Z"}},` +
	`"groupInfo":{"groupKey":"{}:{}","receiverName":"team"}}}}`

// read returns the events of a body and the errors of its elements.
func read(body string) (events []*wire.Event, faults []string) {
	for raw, err := range wire.RawEvents([]byte(body)) {
		var e *wire.Event
		if err == nil {
			e, err = raw.Decode()
		}
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		events = append(events, e)
	}
	return events, faults
}

// A label may have the name of the list in the older form.
func TestALabelNamedLabels(t *testing.T) {
	events, faults := read(grouped)
	require.Empty(t, faults)
	require.Len(t, events, 1)
	a := events[0].Data.AlertGrouped.Alert
	require.Equal(t, wire.EventFingerprint("0000000000000001"), a.Fingerprint)
	require.Equal(t, grouping.NewLabels(map[string]string{"labels": "x"}), a.Details.Labels.Labels)
	require.Equal(t, time.Date(2026, 11, 27, 2, 59, 0, 0, time.UTC), a.Details.StartsAt)
}

// One bad event costs no other one.
func TestBadEventsCostNoOthers(t *testing.T) {
	for name, test := range map[string]struct {
		bad   string
		fault string // a part of the error; "": a type that is not known
	}{
		"a type that is not known": {`{"@timestamp":"2026-11-27T03:00:00Z","data":{"alertPondered":{"x":[1]}}}`, ""},
		"a number":                 {`7`, "number"},
		"no type":                  {`{"@timestamp":"2026-11-27T03:00:00Z","instance":"a","data":{}}`, "no type"},
		"no data":                  {`{}`, "no type"},
		"no time":                  {strings.Replace(grouped, "@timestamp", "x", 1), "no time"},
		"an odd time":              {strings.Replace(grouped, "2026-11-27T03:00:00.5Z", "today", 1), "today"},
		"a name twice":             {strings.Replace(grouped, `"instance"`, `"instance":"b","instance"`, 1), "instance"},
		"a fingerprint of words":   {strings.Replace(grouped, `"fingerprint":"1"`, `"fingerprint":"one"`, 1), "fingerprint"},
		"a fingerprint too large":  {strings.Replace(grouped, `"fingerprint":"1"`, `"fingerprint":"18446744073709551616"`, 1), "fingerprint"},
		"a number as a label":      {strings.Replace(grouped, `{"labels":"x"}`, `{"a":1}`, 1), "must be texts by name"},
		"no UTF-8":                 {strings.Replace(grouped, "am-0", "am-\xff", 1), "UTF-8"},
		"a matcher of no type": {`{"@timestamp":"2026-11-27T03:00:00Z",` +
			`"data":{"silenceCreated":{"silence":{"matchers":[{"type":"TYPE_X"}]}}}}`, "is not a type of matchers"},
	} {
		t.Run(name, func(t *testing.T) {
			events, faults := read("[" + grouped + "," + test.bad + ", " + grouped + "]")
			if test.fault == "" {
				require.Empty(t, faults)
				require.Len(t, events, 3)
				require.Equal(t, "alertPondered", events[1].Data.Type())
				return
			}
			require.Len(t, events, 2)
			require.Len(t, faults, 1)
			require.Contains(t, faults[0], test.fault)
		})
	}
}

// What is no JSON ends the body. The events before it are good.
func TestACutBodyOfEvents(t *testing.T) {
	for name, body := range map[string]string{
		"cut":       "[" + grouped + "," + grouped[:50],
		"not ended": "[" + grouped,
		"no comma":  "[" + grouped + grouped + "]",
		"more":      "[" + grouped + "]x",
	} {
		t.Run(name, func(t *testing.T) {
			events, faults := read(body)
			require.Len(t, events, 1)
			require.Len(t, faults, 1)
		})
	}
	events, faults := read("[]")
	require.Empty(t, events)
	require.Empty(t, faults)
	_, faults = read("")
	require.Len(t, faults, 1)
	_, faults = read("<html>")
	require.Len(t, faults, 1)
}

func BenchmarkDecodeEvent(b *testing.B) {
	older, err := os.ReadFile(recorded + "/e1-lifecycle/018.json")
	require.NoError(b, err)
	for version, body := range map[string][]byte{"0.34": older, "0.35": []byte(wiretest.Grouped(0, 0))} {
		b.Run(version, func(b *testing.B) {
			for b.Loop() {
				for raw, err := range wire.RawEvents(body) {
					require.NoError(b, err)
					if _, err := raw.Decode(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
