package grouping

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/template"
	"github.com/stretchr/testify/require"
)

// The corpus was recorded from real Alertmanagers. Its index.md files explain why each
// body was sent.
const corpus = "../testdata/corpus"

// message holds the fields of Alertmanager's webhook message that the domain reads.
type message struct {
	template.Data

	Version         string `json:"version"`
	GroupKey        string `json:"groupKey"`
	TruncatedAlerts uint64 `json:"truncatedAlerts"`
}

// arrival is one line of a scenario's meta.jsonl.
type arrival struct {
	File     string  `json:"file"`
	Received float64 `json:"received"`
	Path     string  `json:"path"`
}

var quoted = regexp.MustCompile(`\\([\\.+*?()|\[\]{}^$])`)

// readScenario returns the notifications of a scenario in the order of their arrival.
// It skips custom payloads without a group key. The answer of the recording receiver
// does not matter.
func readScenario(t *testing.T, name string) []Notification {
	t.Helper()
	f, err := os.Open(filepath.Join(corpus, name, "meta.jsonl"))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	var ns []Notification
	for lines, i := bufio.NewScanner(f), uint16(0); lines.Scan(); i++ {
		var a arrival
		require.NoError(t, json.Unmarshal(lines.Bytes(), &a))
		if n, ok := readBody(t, filepath.Join(name, a.File)); ok {
			path, _, _ := strings.Cut(a.Path, "?")
			if n.Source = path[strings.LastIndex(path, "/")+1:]; n.Source == "hook" {
				n.Source = "default"
			}
			n.Stamp = NewStamp(time.UnixMilli(int64(a.Received*1000)), 4*i, testWriter)
			ns = append(ns, n)
		}
	}
	require.NotEmpty(t, ns)
	return ns
}

func readBody(t *testing.T, name string) (Notification, bool) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(corpus, name))
	require.NoError(t, err)
	var m message
	if json.Unmarshal(body, &m) != nil || m.GroupKey == "" {
		return Notification{}, false
	}
	n := Notification{
		Key:         Key{Receiver: quoted.ReplaceAllString(m.Receiver, "$1"), GroupKey: m.GroupKey},
		GroupLabels: NewLabels(m.GroupLabels), CommonLabels: NewLabels(m.CommonLabels),
		CommonAnnotations: NewLabels(m.CommonAnnotations), RouteLabels: NewLabels(m.RouteLabels),
		ExternalURL: m.ExternalURL, Reason: m.NotificationReason, Truncated: m.TruncatedAlerts,
	}
	for _, a := range m.Alerts {
		n.Alerts = append(n.Alerts, NotifiedAlert{
			Fingerprint: Fingerprint(a.Fingerprint), Status: Status(a.Status), Labels: NewLabels(a.Labels),
			Annotations: NewLabels(a.Annotations), GeneratorURL: a.GeneratorURL, StartsAt: a.StartsAt, EndsAt: a.EndsAt,
		})
	}
	return n, true
}

// replayed is the result of a replay for one group. story holds its abbreviated events
// in order. The events of each notification end with N, or with C if the group closes.
type replayed struct {
	group *AlertGroup
	story []string
}

// replay applies each notification as often as times says, and returns the groups.
func replay(t *testing.T, ns []Notification, r rules, times int) map[ID]*replayed {
	t.Helper()
	groups := map[ID]*replayed{}
	for _, n := range ns {
		g := groups[n.ID()]
		if g == nil {
			g = &replayed{}
			groups[n.ID()] = g
		}
		for i := range times {
			again := n
			again.Stamp = stampOfReading(n.Stamp.reading()+uint64(i), testWriter)
			before := snapshot(t, g.group)
			next, events := applied(g.group, again, r)
			require.Equal(t, before, snapshot(t, g.group), "apply must not change its argument")
			checkGroup(t, next)
			checkEvents(t, next, again.Stamp, events)
			g.group = next
			g.story = append(g.story, abbreviate(events)...)
		}
	}
	return groups
}

// letters maps kinds of events to abbreviations for the tables.
var letters = map[EventKind]string{
	EventOpened: "O", EventFired: "F", EventRefired: "f", EventReopened: "o", EventResolved: "R",
	EventUnreported: "u", EventReturned: "b", EventNotified: "N", EventClosed: "C", EventExpired: "X", EventStale: "S",
}

func abbreviate(events []Event) []string {
	story := make([]string, 0, len(events))
	for _, e := range events {
		story = append(story, letters[e.Kind]+short(e.Fingerprint))
	}
	return story
}

func short(fp Fingerprint) string { return string(fp[:min(4, len(fp))]) }

// describe formats an alert for the tables: the first four digits of its fingerprint,
// status, start, end, number of episodes, and whether it is disputed.
func describe(a *Alert) string {
	clock := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format("15:04:05.999999999")
	}
	s := fmt.Sprintf("%s %s %s %s %d", short(a.Fingerprint), a.Status, clock(a.StartsAt), clock(a.EndsAt), len(a.Episodes()))
	if a.Disputed {
		s += " disputed"
	}
	return s
}

// TestCorpus replays bodies of real Alertmanagers and compares the result with tables.
// The tables were written from the index of the corpus and from the times in the
// bodies, not from the results of the code.
func TestCorpus(t *testing.T) {
	for _, sc := range corpusTable {
		t.Run(sc.name, func(t *testing.T) {
			groups := replay(t, readScenario(t, sc.name), rules{settle: sc.settle}, 1)
			require.Len(t, groups, len(sc.groups))
			for _, want := range sc.groups {
				got := find(t, groups, want)
				require.Equal(t, want.state, got.group.State, "%+v", got.group.Key)
				var alerts []string
				for _, a := range got.group.Alerts {
					alerts = append(alerts, describe(a))
				}
				require.Equal(t, table(want.alerts), alerts, "%+v", got.group.Key)
				if want.story != "" {
					require.Equal(t, strings.Fields(want.story), got.story, "%+v", got.group.Key)
				}
			}
		})
	}
}

// find returns the only group that matches the expectation.
func find(t *testing.T, groups map[ID]*replayed, want wantGroup) *replayed {
	t.Helper()
	var found []*replayed
	for _, g := range groups {
		k := g.group.Key
		if (want.source == "" || k.Source == want.source) && (want.receiver == "" || k.Receiver == want.receiver) &&
			strings.Contains(k.GroupKey, want.key) && (want.not == "" || !strings.Contains(k.GroupKey, want.not)) {
			found = append(found, g)
		}
	}
	require.Len(t, found, 1, "%+v", want)
	return found[0]
}

func table(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// scenarios lists the directories of recorded notifications. It skips 14b, which has
// the output of Alertmanager's event recorder and no notifications.
func scenarios(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(corpus, "*", "meta.jsonl"))
	require.NoError(t, err)
	var names []string
	for _, p := range paths {
		if name := filepath.Base(filepath.Dir(p)); name != "14b-event-recorder" {
			names = append(names, name)
		}
	}
	return names
}

func TestEveryScenarioIsReplayed(t *testing.T) {
	var tested []string
	for _, sc := range corpusTable {
		tested = append(tested, sc.name)
	}
	require.ElementsMatch(t, scenarios(t), append(tested, "15-labels", "15-labels-am025", "16-big-group"))
}

// These scenarios have one alert per notification, with unusual labels.
func TestCorpusOddLabels(t *testing.T) {
	for name, want := range map[string]int{"15-labels": 20, "15-labels-am025": 7} {
		groups := replay(t, readScenario(t, name), rules{settle: 15 * time.Second}, 1)
		require.Len(t, groups, want, name)
		for _, g := range groups {
			require.Equal(t, StateFiring, g.group.State)
			require.Equal(t, []string{"O", "F" + short(g.group.Alerts[0].Fingerprint), "N"}, g.story)
		}
	}
	groups := replay(t, readScenario(t, "15-labels"), rules{}, 1)
	old := find(t, groups, wantGroup{key: `alertname="OldAlert"`}).group.Alerts[0]
	require.True(t, time.Date(2019, 3, 4, 3, 6, 7, 123456789, time.UTC).Equal(old.StartsAt), "the UTC offset counts")
	future := find(t, groups, wantGroup{key: `alertname="FutureAlert"`}).group
	require.True(t, future.Alerts[0].StartsAt.After(future.LastNotifiedAt))
	require.Equal(t, "all-kinds", find(t, groups, wantGroup{key: `instance="c:9100"`}).group.Receiver)
}

func TestCorpusBigGroup(t *testing.T) {
	groups := replay(t, readScenario(t, "16-big-group"), rules{settle: 15 * time.Second}, 1)
	g := find(t, groups, wantGroup{})
	require.Equal(t, Counts{Resolved: 100}, g.group.Counts)
	// opened, 100 fired, notified; 100 resolved, notified, closed
	require.Len(t, g.story, 102+102)
}

// A retry, a repeat and an HA duplicate look the same. None of them may change
// anything.
func TestEachBodyTwiceIsEachBodyOnce(t *testing.T) {
	for _, name := range scenarios(t) {
		t.Run(name, func(t *testing.T) {
			r := rules{settle: 15 * time.Second}
			ns := readScenario(t, name)
			once, twice := replay(t, ns, r, 1), replay(t, ns, r, 2)
			require.Len(t, twice, len(once))
			for id, want := range once {
				got := twice[id]
				require.Equal(t, timeless(want.group), timeless(got.group))
				notified := func(s string) bool { return s == "N" }
				require.Equal(t, slices.DeleteFunc(slices.Clone(want.story), notified),
					slices.DeleteFunc(slices.Clone(got.story), notified), "a repeat must not make events")
			}
		})
	}
}

// timeless returns the parts of a group that must not depend on the number of repeats.
func timeless(g *AlertGroup) map[string]any {
	alerts := map[Fingerprint]any{}
	for _, a := range g.Alerts {
		alerts[a.Fingerprint] = []any{
			describe(a), a.Labels, a.Annotations, a.GeneratorURL, a.ReportedBy, a.FirstSeenAt, a.ChangedAt, a.Episodes(),
		}
	}
	m := g.Meta
	m.Stamp, m.UpdatedAt, m.LastNotifiedAt, m.CompleteAt = "", time.Time{}, time.Time{}, time.Time{}
	return map[string]any{"meta": m, "alerts": alerts, "state": g.State, "counts": g.Counts, "episodes": g.Episodes()}
}

// Labels.Fingerprint must compute the same fingerprints as Alertmanager, in
// notifications and in answers of its API.
func TestCorpusFingerprints(t *testing.T) {
	n := 0
	require.NoError(t, filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		// Grafana's fingerprints include hidden labels. The recorder's are decimal.
		if err == nil && d.IsDir() && (d.Name() == "other-senders" || d.Name() == "14b-event-recorder") {
			return filepath.SkipDir
		}
		if err != nil || filepath.Ext(path) != ".json" {
			return err
		}
		body, err := os.ReadFile(path)
		var v any
		if err == nil && json.Unmarshal(body, &v) == nil {
			n += checkFingerprints(t, path, v)
		}
		return err
	}))
	require.Greater(t, n, 700)
}

// checkFingerprints checks all fingerprints in decoded JSON and returns their number.
func checkFingerprints(t *testing.T, file string, v any) (n int) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			n += checkFingerprints(t, file, x)
		}
	case map[string]any:
		fp, _ := v["fingerprint"].(string)
		set, isSet := v["labels"].(map[string]any)
		if fp != "" && isSet {
			var list []Label
			for name, value := range set {
				list = append(list, Label{name, value.(string)})
			}
			l := LabelsOf(list)
			require.Equal(t, Fingerprint(fp), l.Fingerprint(), "%s: %v", file, l)
			require.True(t, l.Fingerprint().Valid())
			n++
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			n += checkFingerprints(t, file, v[key])
		}
	}
	return n
}

// Bodies of other senders are accepted unchanged, including their fingerprints.
func TestOtherSenders(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus, "other-senders", "*.json"))
	require.NoError(t, err)
	require.Len(t, files, 7)
	for _, f := range files {
		n, ok := readBody(t, filepath.Join("other-senders", filepath.Base(f)))
		require.True(t, ok, f)
		n.Stamp = NewStamp(base, 0, testWriter)
		g, events := applied(nil, n, rules{})
		checkGroup(t, g)
		checkEvents(t, g, n.Stamp, events)
		require.Len(t, g.Alerts, len(n.Alerts), f)
	}
}
