package storage

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/alicebob/miniredis/v2"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/file"
	"muster/storage/redis"
)

// The data of each schema is in testdata/schema-<n>: a file, the keys of a Redis,
// and the contents of both as JSON. `go test ./storage -run TestStoredBefore
// -update` writes the data of the current schema. Run it once, when the schema is
// new.
var update = flag.Bool("update", false, "write the testdata of the current schema")

// stored is the content of a storage, as values of the domain.
type stored struct {
	Groups []*grouping.AlertGroup
	Events []flatEvent
	Source *grouping.SourceDocument `json:",omitempty"` // "prod"; nil: nothing is stored
	Muster *grouping.SourceDocument `json:",omitempty"` // Muster itself; nil: nothing is stored
	// Changed holds the changed events. Contents holds those of all events.
	Changed  []flatEvent                 `json:",omitempty"`
	Contents map[string]grouping.Content `json:",omitempty"`
}

// flatEvent is an event whose JSON has the fields of its notification, as it is stored.
type flatEvent struct {
	grouping.Event
	grouping.Notified

	Hidden *struct{} `json:"Notified,omitempty"`
}

func readStored(t *testing.T, s grouping.GroupStorage) string {
	t.Helper()
	var all stored
	for g, err := range s.LoadAll(t.Context()) {
		require.NoError(t, err)
		all.Groups = append(all.Groups, g)
	}
	slices.SortFunc(all.Groups, func(a, b *grouping.AlertGroup) int { return a.CreatedAt.Compare(b.CreatedAt) })
	page, err := s.Events(t.Context(), grouping.EventQuery{Limit: 1000})
	require.NoError(t, err)
	for _, e := range page.Events {
		all.Events = append(all.Events, flatEvent{Event: e, Notified: e.Notification()})
	}
	var events []grouping.Event
	for e, err := range s.StreamEvents(t.Context(), time.Time{}) {
		require.NoError(t, err)
		if events = append(events, e); e.Kind == grouping.EventChanged {
			all.Changed = append(all.Changed, flatEvent{Event: e})
		}
	}
	require.Len(t, events, len(all.Events)+len(all.Changed))
	all.Contents, err = s.Contents(t.Context(), events)
	require.NoError(t, err)
	all.Source, all.Muster = readSource(t, s, "prod"), readSource(t, s, "")
	text, err := json.MarshalIndent(all, "", " ")
	require.NoError(t, err)
	return string(text)
}

// readSource returns the document of a source, or nil if nothing is stored.
func readSource(t *testing.T, s grouping.GroupStorage, source string) *grouping.SourceDocument {
	t.Helper()
	d, err := s.LoadSource(t.Context(), source)
	require.NoError(t, err)
	if d.IsTombstone() {
		return nil
	}
	return d
}

// record writes one of everything: alerts that fire, alerts that resolve and fire
// again, a removed alert, a deleted group, unusual texts, a truncated message, the
// document of a source, an alert that only changed, one that is muted, what people wrote, and
// a time in which Muster was not running.
func record(t *testing.T, s grouping.GroupStorage) {
	t.Helper()
	m, err := grouping.NewManager(s, grouping.NewClock(), nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	odd := grouping.NewLabels(map[string]string{"alertname": "Größe ☃", "empty": "", "quote": `"\<&>` + "\u2028\n"})
	key := grouping.Key{Source: "prod", Receiver: "team.a/ü", GroupKey: `{}/{a=~"b|c"}:{x="\n"}`}
	start := time.Date(2026, 11, 23, 3, 0, 0, 123_456_789, time.UTC)
	for i, status := range []grouping.Status{grouping.StatusFiring, grouping.StatusResolved, grouping.StatusFiring} {
		a := grouping.NotifiedAlert{
			Fingerprint: odd.Fingerprint(), Status: status, Labels: odd, Annotations: grouping.NewLabels(map[string]string{"summary": "Pod & <b>"}),
			GeneratorURL: "http://prometheus/graph?g0.expr=up", StartsAt: start.Add(time.Duration(i/2) * time.Hour),
		}
		if status == grouping.StatusResolved {
			a.EndsAt = start.Add(30 * time.Minute)
		}
		_, err := m.Ingest(t.Context(), grouping.Notification{
			Key: key, Alerts: []grouping.NotifiedAlert{a, firing("other")},
			GroupLabels: grouping.LabelsOf([]grouping.Label{{Name: "x", Value: "\n"}}), CommonLabels: odd,
			CommonAnnotations: grouping.NewLabels(map[string]string{"summary": "Pod & <b>"}), ExternalURL: "http://alertmanager:9093",
			Truncated: uint64(i), Stamp: m.Stamp(),
		})
		require.NoError(t, err)
	}
	for _, name := range []string{"a", "b"} {
		_, err := m.AddAlertToGroup(t.Context(), testKey, firing(name))
		require.NoError(t, err)
	}
	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), testKey.ID(), firing("a").Fingerprint))
	changed := firing("b")
	changed.Annotations, changed.StartsAt = odd, start
	_, err = m.AddAlertToGroup(t.Context(), testKey, changed)
	require.NoError(t, err)
	removed := groupKey("gone")
	_, err = m.AddAlertToGroup(t.Context(), removed, firing("gone"))
	require.NoError(t, err)
	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), removed.ID(), firing("gone").Fingerprint))

	w := newWriter(s)
	d := w.MustStoreSource(t, w.SourceChange(grouping.NewSourceDocument("prod"), a("kept", "Pod & <b>"), a("removed", "1")))
	c := w.SourceChange(d)
	c.Source = d.WithoutSilences(c.Stamp, "removed").WithSilences(c.Stamp, grouping.Silence{
		ID: "whole", StartsAt: start, EndsAt: start.Add(time.Hour), UpdatedAt: start, CreatedBy: "ann", Annotations: odd,
		MatcherSets: [][]grouping.SilenceMatcher{{{Name: "alertname", Type: "=~", Value: "Größe ☃|b"}}},
	}).WithAlertmanagers(c.Stamp, grouping.Alertmanager{
		ExternalURL: "http://alertmanager:9093", Version: "0.35.0", StartedAt: start, PolledAt: start,
		Failed: map[string]uint64{"slack": 1},
	})
	w.MustStoreSource(t, c)
	recordObservations(t, m, start)
	recordPeople(t, m)
	recordGap(t, s)
}

// recordPeople writes an acknowledgement, one that was undone, and a note.
func recordPeople(t *testing.T, m *grouping.Manager) {
	t.Helper()
	mira := grouping.Person{Name: "mira ☃", Verified: true}
	for i := range 2 {
		ack := grouping.AckRequest{By: mira, Note: fmt.Sprint("Pod & <b> ", i), Until: time.Now().Add(longRetention)}
		g, err := m.Acknowledge(t.Context(), testKey.ID(), ack)
		require.NoError(t, err)
		if i == 0 {
			_, err = m.Unacknowledge(t.Context(), testKey.ID(), grouping.UnackRequest{By: grouping.Person{Name: "jo"}, Ack: g.Acks[0].ID})
			require.NoError(t, err)
		}
	}
	_, err := m.AddNote(t.Context(), testKey.ID(), grouping.NoteRequest{By: mira, ID: "n-1", Text: "first\nsecond"})
	require.NoError(t, err)
}

// recordGap writes the life of a process that ended a minute ago, and the gap since then.
func recordGap(t *testing.T, s grouping.GroupStorage) {
	t.Helper()
	minuteAgo := func() time.Time { return time.Now().Add(-time.Minute) }
	for i, host := range []func() time.Time{minuteAgo, time.Now} {
		clock := grouping.NewClockOf(host, func() time.Duration { return 0 })
		opts := grouping.DefaultOptions
		opts.OnlyMuster = true
		m, err := grouping.NewManager(s, clock, nil, prometheus.NewRegistry(), promslog.NewNopLogger(), opts)
		require.NoError(t, err)
		stored := make(chan struct{})
		close(stored)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.RecordLife(ctx, stored) }()
		require.Eventually(t, func() bool {
			d, err := s.LoadSource(t.Context(), "")
			return err == nil && len(d.Lives) == 1 && len(d.Gaps) == i
		}, 10*time.Second, time.Millisecond)
		cancel()
		require.NoError(t, <-ended)
	}
}

// recordObservations writes what mutes an alert and a delivery about it.
func recordObservations(t *testing.T, m *grouping.Manager, start time.Time) {
	t.Helper()
	b := firing("b").Fingerprint
	muted := func(kind grouping.MuteKind, id string) grouping.Observation {
		return grouping.Observation{Origin: grouping.OriginEvent, At: start, Muted: &grouping.ObservedMute{
			Fingerprint: b, Mute: grouping.Mute{Kind: kind, ID: id, Rule: "node & <down>"},
		}}
	}
	require.NoError(t, m.Observe(t.Context(), testKey.Source, []grouping.Observation{
		muted(grouping.MuteInhibition, "00112233445566aa"), muted(grouping.MuteSilence, "whole"),
		{Origin: grouping.OriginEvent, Instance: "am-0", At: start, Delivery: &grouping.ObservedDelivery{
			Firing:   []grouping.Fingerprint{b},
			Delivery: grouping.Delivery{Receiver: "pager", Integration: "pagerduty", Index: 1, Reason: "first notification", Flush: "u/1"},
		}},
	}))
}

// dump holds the keys of a Redis, by type.
type dump struct {
	Hashes  map[string]map[string]string
	Sorted  map[string][]goredis.Z
	Streams map[string][]goredis.XMessage
	Strings map[string]string
}

func dumpRedis(t *testing.T, client *goredis.Client) dump {
	t.Helper()
	ctx := t.Context()
	d := dump{map[string]map[string]string{}, map[string][]goredis.Z{}, map[string][]goredis.XMessage{}, map[string]string{}}
	keys, err := client.Keys(ctx, "*").Result()
	require.NoError(t, err)
	for _, key := range keys {
		kind, err := client.Type(ctx, key).Result()
		require.NoError(t, err)
		switch kind {
		case "hash":
			d.Hashes[key], err = client.HGetAll(ctx, key).Result()
		case "zset":
			d.Sorted[key], err = client.ZRangeWithScores(ctx, key, 0, -1).Result()
		case "stream":
			d.Streams[key], err = client.XRange(ctx, key, "-", "+").Result()
		case "string":
			d.Strings[key], err = client.Get(ctx, key).Result()
		default:
			require.Fail(t, "cannot dump a key of this type", "%s %s", key, kind)
		}
		require.NoError(t, err)
	}
	return d
}

func (d dump) restore(t *testing.T, client *goredis.Client) {
	t.Helper()
	ctx := t.Context()
	for key, fields := range d.Hashes {
		require.NoError(t, client.HSet(ctx, key, fields).Err())
	}
	for key, members := range d.Sorted {
		require.NoError(t, client.ZAdd(ctx, key, members...).Err())
	}
	for key, messages := range d.Streams {
		for _, m := range messages {
			require.NoError(t, client.XAdd(ctx, &goredis.XAddArgs{Stream: key, ID: m.ID, Values: m.Values}).Err())
		}
	}
	for key, value := range d.Strings {
		require.NoError(t, client.Set(ctx, key, value, 0).Err())
	}
}

// longRetention keeps the history of old testdata.
const longRetention = 100 * 365 * 24 * time.Hour

func longFile(path string) file.Options {
	o := fileAt(path)
	o.HistoryRetention = longRetention
	return o
}

// miniClient returns a Redis on a new miniredis, and a plain client of the same
// server.
func miniClient(t *testing.T) (*testRedis, *goredis.Client) {
	t.Helper()
	r := openRedis(t, redis.Options{URL: "redis://" + miniredis.RunT(t).Addr(), HistoryRetention: longRetention})
	return r, r.client
}

func writeTestdata(t *testing.T, folder string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(folder, 0o750))
	f, err := file.Open(longFile(filepath.Join(folder, "muster.db")), promslog.NewNopLogger())
	require.NoError(t, err)
	record(t, f)
	r, client := miniClient(t)
	record(t, r)
	keys, err := json.MarshalIndent(dumpRedis(t, client), "", " ")
	require.NoError(t, err)
	for name, text := range map[string]string{"file.json": readStored(t, f), "redis.json": readStored(t, r), "keys.json": string(keys)} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text+"\n"), 0o600))
	}
	require.NoError(t, f.Close())
}

func testdata(t *testing.T, parts ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, parts...)...))
	require.NoError(t, err)
	return text
}

// Data of each schema must be readable, and it must be possible to change it.
func TestStoredBefore(t *testing.T) {
	if *update {
		writeTestdata(t, filepath.Join("testdata", "schema-"+durable.Schema))
	}
	folders, err := filepath.Glob("testdata/schema-*")
	require.NoError(t, err)
	require.Contains(t, folders, "testdata/schema-"+durable.Schema)
	for _, folder := range folders {
		version := filepath.Base(folder)
		checkStored := func(t *testing.T, s grouping.GroupStorage, before string) {
			t.Helper()
			require.JSONEq(t, before, readStored(t, s))
			m, err := grouping.NewManager(s, grouping.NewClock(), nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
			require.NoError(t, err)
			_, err = m.RestoreGroups(t.Context())
			require.NoError(t, err)
			g, err := m.AddAlertToGroup(t.Context(), testKey, firing("new"))
			require.NoError(t, err)
			require.Len(t, g.Alerts, 2)
		}
		t.Run(version+", file", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "muster.db")
			require.NoError(t, os.WriteFile(path, testdata(t, version, "muster.db"), 0o600))
			f, err := file.Open(longFile(path), promslog.NewNopLogger())
			require.NoError(t, err)
			defer func() { require.NoError(t, f.Close()) }()
			checkStored(t, f, string(testdata(t, version, "file.json")))
		})
		t.Run(version+", Redis", func(t *testing.T) {
			var d dump
			require.NoError(t, json.Unmarshal(testdata(t, version, "keys.json"), &d))
			r, client := miniClient(t)
			d.restore(t, client)
			checkStored(t, r, string(testdata(t, version, "redis.json")))
		})
	}
}
