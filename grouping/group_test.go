package grouping

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGroupName(t *testing.T) {
	for _, tc := range []struct {
		labels Labels
		want   string
	}{
		{NewLabels(map[string]string{"alertname": "DiskFull", "cluster": "eu-1"}), "DiskFull"},
		{NewLabels(map[string]string{"cluster": "eu-1", "alertname": ""}), "alertname , cluster eu-1"},
		{NewLabels(map[string]string{"job": "node", "cluster": "eu-1"}), "cluster eu-1, job node"},
		{Labels{}, "team"},
	} {
		g := NewAlertGroup(AlertGroup{Meta: Meta{Key: testKey, GroupLabels: tc.labels}})
		require.Equal(t, tc.want, g.Name, "%v", tc.labels)
	}
}

func TestSeverity(t *testing.T) {
	for word, want := range map[string]Severity{
		"critical": SeverityCritical, "PAGE": SeverityCritical, "Emergency": SeverityCritical, "disaster": SeverityCritical,
		"fatal": SeverityCritical, "warning": SeverityWarning, "warn": SeverityWarning, "major": SeverityWarning,
		"error": SeverityWarning, "high": SeverityWarning, "info": SeverityInfo, "minor": SeverityInfo,
		"notice": SeverityInfo, "low": SeverityInfo, "none": SeverityNone, "": SeverityOther, "ticket": SeverityOther,
	} {
		require.Equal(t, want, (&Alert{Labels: LabelsOf([]Label{{"severity", word}})}).Severity(), "%q", word)
	}
	require.Equal(t, SeverityOther, (&Alert{}).Severity())
}

// The severity is that of the most urgent firing alert. If no alert fires, all alerts
// count. NewestAt is the start of the newest alert with that severity.
func TestGroupSeverity(t *testing.T) {
	alert := func(letter string, status Status, severity string, start time.Duration) *Alert {
		return &Alert{
			Fingerprint: fp(letter),
			Status:      status,
			Labels:      LabelsOf([]Label{{"severity", severity}}),
			StartsAt:    base.Add(start),
		}
	}
	for _, tc := range []struct {
		name   string
		alerts []*Alert
		want   Severity
		newest time.Time
	}{
		{"no alert", nil, SeverityNone, time.Time{}},
		{"the most urgent", []*Alert{
			alert("a", StatusFiring, "info", 9*second), alert("b", StatusFiring, "critical", 0), alert("c", StatusFiring, "critical", second),
		}, SeverityCritical, base.Add(second)},
		{"resolved alerts do not count", []*Alert{
			alert("a", StatusResolved, "critical", 0), alert("b", StatusFiring, "warning", 0), alert("c", StatusUnreported, "critical", 0),
		}, SeverityWarning, base},
		{"unless no alert fires", []*Alert{
			alert("a", StatusResolved, "critical", 0), alert("b", StatusUnreported, "warning", 0),
		}, SeverityCritical, base},
		{"a heartbeat", []*Alert{alert("a", StatusFiring, "none", second)}, SeverityNone, base.Add(second)},
	} {
		g := NewAlertGroup(AlertGroup{Alerts: tc.alerts})
		require.Equal(t, tc.want, g.Severity, tc.name)
		require.True(t, tc.newest.Equal(g.NewestAt), tc.name)
	}
}

func TestNewAlertGroupSorts(t *testing.T) {
	g := NewAlertGroup(AlertGroup{Alerts: []*Alert{{Fingerprint: fp("b")}, {Fingerprint: fp("a")}}})
	require.Equal(t, fp("a"), g.Alerts[0].Fingerprint)
	require.NotNil(t, g.Alert(fp("b")))
	require.Nil(t, g.Alert(fp("c")))
}

// An episode of a group lasts while at least one alert fires.
func TestGroupEpisodes(t *testing.T) {
	g := run(t, []step{
		{minute, am0, list(fires("a", 0)), 0, "O Faaaa N"},
		{2 * minute, am0, list(ended("a", 0, 90*second), fires("b", minute)), 0, "Raaaa Fbbbb N"},
		{4 * minute, am0, list(ended("b", minute, 3*minute)), 0, "Rbbbb N C"},
		{20 * minute, am0, list(fires("a", 18*minute), fires("c", 17*minute)), 0, "O faaaa Fcccc N"},
		{25 * minute, am0, list(ended("a", 18*minute, 24*minute)), 0, "ucccc Raaaa N"},
	})
	require.Equal(t, []Episode{
		{StartsAt: base, EndsAt: base.Add(3 * minute)},
		{StartsAt: base.Add(17 * minute)}, // no end of c was reported
	}, g.Episodes())
	require.True(t, g.ResolvedAt().IsZero())

	g, _ = applied(g, step{30 * minute, am0, list(ended("c", 17*minute, 26*minute)), 0, ""}.notification(0), testRules)
	require.Equal(t, base.Add(26*minute), g.Episodes()[1].EndsAt)
	require.Equal(t, base.Add(30*minute), g.ResolvedAt(), "a time of Muster's clock")
}

func TestEpisodesAreBounded(t *testing.T) {
	var g *AlertGroup
	for i := range time.Duration(maxGroupEpisodes + 20) {
		for _, l := range []string{"a", "b", "c", "d"} {
			// The alerts fire in different minutes, so the group has all their episodes.
			start := (4*i + time.Duration(l[0]-'a')) * minute
			for j, na := range list(fires(l, start), ended(l, start, start+second)) {
				g, _ = appliedAlert(g, testKey, na, NewStamp(base.Add(start), uint16(j), testWriter), testRules)
			}
		}
	}
	checkGroup(t, g)
	require.Len(t, g.Alerts[0].Episodes(), maxEpisodes)
	require.Len(t, g.Episodes(), maxGroupEpisodes)
	newest := time.Duration(4*(maxGroupEpisodes+19)+3) * minute
	require.Equal(t, base.Add(newest), g.Episodes()[maxGroupEpisodes-1].StartsAt)
}

// If Equal ignored a field, its changes would never be stored.
func TestEqualSeesEveryField(t *testing.T) {
	eachField(t, reflect.TypeFor[Alert](), func(change func(v any)) bool {
		var a, b Alert
		change(&b)
		return a.Equal(&b) || b.Equal(&a)
	})
	eachField(t, reflect.TypeFor[Meta](), func(change func(v any)) bool {
		a, b := AlertGroup{}, AlertGroup{}
		change(&b.Meta)
		return a.Equal(&b) || b.Equal(&a)
	})
	eachField(t, reflect.TypeFor[Episode](), func(change func(v any)) bool {
		var e Episode
		change(&e)
		return equalEpisode(Episode{}, e)
	})
	eachField(t, reflect.TypeFor[AlertMutes](), func(change func(v any)) bool {
		var a, b AlertMutes
		change(&b)
		return a.equal(&b) || b.equal(&a)
	})
	eachField(t, reflect.TypeFor[Mute](), func(change func(v any)) bool {
		var b Mute
		change(&b)
		return (&AlertMutes{Mutes: []Mute{{}}}).equal(&AlertMutes{Mutes: []Mute{b}})
	})
	eachField(t, reflect.TypeFor[Ack](), func(change func(v any)) bool {
		var a, b Ack
		change(&b)
		return a.Equal(&b) || b.Equal(&a)
	})
	eachField(t, reflect.TypeFor[Undone](), func(change func(v any)) bool {
		var a, b Undone
		change(&b)
		return equalUndone(&a, &b) || equalUndone(nil, &b)
	})
	eachField(t, reflect.TypeFor[Closing](), func(change func(v any)) bool {
		var a, b Closing
		change(&b)
		return equalClosing(&a, &b) || equalClosing(nil, &b)
	})
	eachField(t, reflect.TypeFor[Note](), func(change func(v any)) bool {
		var a, b Note
		change(&b)
		return a.Equal(&b) || b.Equal(&a)
	})
	eachField(t, reflect.TypeFor[Grafana](), func(change func(v any)) bool {
		var a, b Grafana
		change(&b)
		return a.Equal(&b) || b.Equal(&a)
	})
	for _, b := range []*AlertGroup{
		{ID: "x"},
		{Deleted: "x"},
		{Removed: map[Fingerprint]Stamp{"a": "x"}},
		{Alerts: []*Alert{{}}},
		{Mutes: []*AlertMutes{{}}},
		{Acks: []*Ack{{}}},
		{Notes: []*Note{{}}},
		nil,
	} {
		require.False(t, (&AlertGroup{}).Equal(b))
	}
	require.True(t, (&AlertGroup{}).Equal(&AlertGroup{Version: 3, Notifications: 4}), "counters for display are ignored")
}

func eachField(t *testing.T, typ reflect.Type, equal func(change func(v any)) bool) {
	t.Helper()
	for i := range typ.NumField() {
		if !typ.Field(i).IsExported() {
			continue // it is derived
		}
		require.False(t, equal(func(v any) {
			f := reflect.ValueOf(v).Elem().Field(i)
			switch f.Interface().(type) {
			case time.Time:
				f.Set(reflect.ValueOf(base))
			case Labels:
				f.Set(reflect.ValueOf(LabelsOf([]Label{{"a", ""}})))
			case *SilenceWrite:
				f.Set(reflect.ValueOf(&SilenceWrite{}))
			case Person:
				f.Set(reflect.ValueOf(Person{Verified: true}))
			case *Grafana:
				f.Set(reflect.ValueOf(&Grafana{}))
			case *Closing:
				f.Set(reflect.ValueOf(&Closing{At: base}))
			case *Undone:
				f.Set(reflect.ValueOf(&Undone{At: base}))
			case map[string]float64:
				f.Set(reflect.ValueOf(map[string]float64{"a": 0}))
			case map[string]uint64:
				f.Set(reflect.ValueOf(map[string]uint64{"a": 0}))
			case [][]SilenceMatcher:
				f.Set(reflect.ValueOf([][]SilenceMatcher{{}}))
			case []Episode:
				f.Set(reflect.ValueOf([]Episode{{}}))
			case []Mute:
				f.Set(reflect.ValueOf([]Mute{{}}))
			case Gap:
				f.Set(reflect.ValueOf(Gap{From: base}))
			case MuteKind, Origin:
				f.SetString("a")
			case []Beat:
				f.Set(reflect.ValueOf([]Beat{{}}))
			case Key:
				f.Set(reflect.ValueOf(testKey))
			case bool:
				f.SetBool(true)
			case uint64:
				f.SetUint(1)
			default:
				f.SetString("x")
			}
		}), "%s.%s", typ, typ.Field(i).Name)
	}
}

// bigGroup returns n alerts with a realistic number of labels.
func bigGroup(n int) []NotifiedAlert {
	alerts := make([]NotifiedAlert, n)
	for i := range alerts {
		list := []Label{{"instance", fmt.Sprint("node-", i)}}
		for j := range 11 {
			list = append(list, Label{fmt.Sprint("label_", j), fmt.Sprint("value of ", j)})
		}
		l := LabelsOf(list)
		alerts[i] = NotifiedAlert{
			Fingerprint: l.Fingerprint(), Status: StatusFiring, Labels: l,
			Annotations: NewLabels(map[string]string{"summary": "is down", "runbook": "https://example.net/down"}), StartsAt: base,
		}
	}
	// The order of alerts in a body is not the order of fingerprints.
	rand.Shuffle(n, func(i, j int) { alerts[i], alerts[j] = alerts[j], alerts[i] })
	return alerts
}

func BenchmarkApplyNew10000(b *testing.B) {
	n := Notification{Key: testKey, Alerts: bigGroup(10_000), Stamp: NewStamp(base, 0, testWriter)}
	b.ReportAllocs()
	for b.Loop() {
		if g, _ := applied(nil, n, testRules); g.Counts.Firing != 10_000 {
			b.Fatal(g.Counts)
		}
	}
}

func BenchmarkApplyOneOf10000(b *testing.B) {
	alerts := bigGroup(10_000)
	g, _ := applied(nil, Notification{Key: testKey, Alerts: alerts, ExternalURL: am0, Stamp: NewStamp(base, 0, testWriter)}, testRules)
	next := Notification{
		Key: testKey, Alerts: append([]NotifiedAlert(nil), alerts...), ExternalURL: am0,
		Stamp: NewStamp(base.Add(minute), 0, testWriter),
	}
	next.Alerts[5000].Status, next.Alerts[5000].EndsAt = StatusResolved, base.Add(second)
	b.ReportAllocs()
	for b.Loop() {
		if h, events := applied(g, next, testRules); h.Counts.Resolved != 1 || len(events) != 2 {
			b.Fatal(h.Counts, len(events))
		}
	}
}

func BenchmarkRemove10000(b *testing.B) {
	g, _ := applied(nil, Notification{Key: testKey, Alerts: bigGroup(10_000), Stamp: NewStamp(base, 0, testWriter)}, testRules)
	fps := make([]Fingerprint, 0, len(g.Alerts))
	for _, a := range g.Alerts {
		fps = append(fps, a.Fingerprint)
	}
	for b.Loop() {
		if h, _ := removeAlerts(g, fps, NewStamp(base.Add(minute), 0, testWriter)); len(h.Alerts) != 0 {
			b.Fatal(len(h.Alerts))
		}
	}
}

func BenchmarkMerge10000(b *testing.B) {
	alerts := bigGroup(10_000)
	g, _ := applied(nil, Notification{Key: testKey, Alerts: alerts, Stamp: NewStamp(base, 0, testWriter)}, testRules)
	h, _ := appliedAlert(g, testKey, alerts[0], NewStamp(base.Add(minute), 0, testWriter), testRules)
	b.ReportAllocs()
	for b.Loop() {
		Merge(g, h)
	}
}
