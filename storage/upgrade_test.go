package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/grouping"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// The data of each schema is in testdata/schema-<n>: a file, the keys of a Redis,
// and the contents of both as JSON. `go test ./storage -run TestStoredBefore
// -update` writes the data of the current schema. Run it once, when the schema is
// new.
var update = flag.Bool("update", false, "write the testdata of the current schema")

// stored is the content of a storage, as values of the domain.
type stored struct {
	Groups []*grouping.AlertGroup
	Events []grouping.Event
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
	all.Events = page.Events
	text, err := json.MarshalIndent(all, "", " ")
	require.NoError(t, err)
	return string(text)
}

// record writes one of everything: alerts that fire, alerts that resolve and fire
// again, a removed alert, a deleted group, unusual texts and a truncated message.
func record(t *testing.T, s grouping.GroupStorage) {
	t.Helper()
	m, err := grouping.NewManager(s, grouping.NewClock(), nil, prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	odd := grouping.Labels{"alertname": "Größe ☃", "empty": "", "quote": `"\<&>` + "\u2028\n"}
	key := grouping.Key{Source: "prod", Receiver: "team.a/ü", GroupKey: `{}/{a=~"b|c"}:{x="\n"}`}
	start := time.Date(2026, 11, 23, 3, 0, 0, 123_456_789, time.UTC)
	for i, status := range []grouping.Status{grouping.StatusFiring, grouping.StatusResolved, grouping.StatusFiring} {
		a := grouping.NotifiedAlert{
			Fingerprint: odd.Fingerprint(), Status: status, Labels: odd, Annotations: grouping.Labels{"summary": "Pod & <b>"},
			GeneratorURL: "http://prometheus/graph?g0.expr=up", StartsAt: start.Add(time.Duration(i/2) * time.Hour),
		}
		if status == grouping.StatusResolved {
			a.EndsAt = start.Add(30 * time.Minute)
		}
		_, err := m.Ingest(t.Context(), grouping.Notification{
			Key: key, Alerts: []grouping.NotifiedAlert{a, firing("other")}, GroupLabels: grouping.Labels{"x": "\n"}, CommonLabels: odd,
			CommonAnnotations: grouping.Labels{"summary": "Pod & <b>"}, ExternalURL: "http://alertmanager:9093",
			Truncated: uint64(i), Stamp: m.Stamp(),
		})
		require.NoError(t, err)
	}
	for _, name := range []string{"a", "b"} {
		_, err := m.AddAlertToGroup(t.Context(), testKey, firing(name))
		require.NoError(t, err)
	}
	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), testKey.ID(), firing("a").Fingerprint))
	removed := groupKey("gone")
	_, err = m.AddAlertToGroup(t.Context(), removed, firing("gone"))
	require.NoError(t, err)
	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), removed.ID(), firing("gone").Fingerprint))
}

// dump holds the keys of a Redis, by type.
type dump struct {
	Hashes  map[string]map[string]string
	Sorted  map[string][]redis.Z
	Streams map[string][]redis.XMessage
	Strings map[string]string
}

func dumpRedis(t *testing.T, client *redis.Client) dump {
	t.Helper()
	ctx := t.Context()
	d := dump{map[string]map[string]string{}, map[string][]redis.Z{}, map[string][]redis.XMessage{}, map[string]string{}}
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

func (d dump) restore(t *testing.T, client *redis.Client) {
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
			require.NoError(t, client.XAdd(ctx, &redis.XAddArgs{Stream: key, ID: m.ID, Values: m.Values}).Err())
		}
	}
	for key, value := range d.Strings {
		require.NoError(t, client.Set(ctx, key, value, 0).Err())
	}
}

// longRetention keeps the history of old testdata.
const longRetention = 100 * 365 * 24 * time.Hour

// miniClient returns a Redis on a new miniredis, and a plain client of the same
// server.
func miniClient(t *testing.T) (*Redis, *redis.Client) {
	t.Helper()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return openRedis(t, RedisOptions{URL: "redis://" + server.Addr(), HistoryRetention: longRetention}), client
}

func writeTestdata(t *testing.T, folder string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(folder, 0o750))
	f, err := OpenFile(FileOptions{Path: filepath.Join(folder, "muster.db"), HistoryRetention: longRetention})
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
		writeTestdata(t, filepath.Join("testdata", "schema-"+schema))
	}
	folders, err := filepath.Glob("testdata/schema-*")
	require.NoError(t, err)
	require.Contains(t, folders, "testdata/schema-"+schema)
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
			f := openTestFile(t, FileOptions{Path: writeFile(t, testdata(t, version, "muster.db")), HistoryRetention: longRetention})
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

// Data of a newer schema must not be changed, and the error must name the schema.
func TestStoredByANewerVersion(t *testing.T) {
	const want = "a newer version of Muster (schema 2, this version reads schema 1)"
	t.Run("file", func(t *testing.T) {
		f := openTestFile(t, FileOptions{})
		require.NoError(t, f.update("test", func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("2")) }))
		require.NoError(t, f.Close())
		before, err := os.ReadFile(f.opts.Path)
		require.NoError(t, err)
		_, err = OpenFile(FileOptions{Path: f.opts.Path})
		requireSentence(t, err, f.opts.Path)
		require.ErrorContains(t, err, want)
		after, err := os.ReadFile(f.opts.Path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(before, after), "the file was changed")
	})
	t.Run("Redis", func(t *testing.T) {
		server, r, w := mini(t, RedisOptions{})
		g := w.add(t, groupKey("g"), a("x", "1"))
		server.HSet(r.groupKey(g.ID), fieldSchema, "2")
		fields := func() map[string]string {
			keys, err := server.HKeys(r.groupKey(g.ID))
			require.NoError(t, err)
			all := map[string]string{}
			for _, k := range keys {
				all[k] = server.HGet(r.groupKey(g.ID), k)
			}
			return all
		}
		before := maps.Clone(fields())
		_, err := r.Load(t.Context(), g.ID)
		require.ErrorContains(t, err, want)
		for _, base := range []*grouping.AlertGroup{g, nil} {
			_, err = r.Store(t.Context(), w.change(base, g.Key, a("x", "2")))
			var damaged *grouping.DamagedGroupError
			require.ErrorAs(t, err, &damaged)
			require.ErrorContains(t, err, want)
		}
		require.ErrorContains(t, r.Delete(context.Background(), grouping.Change{Base: g, Stamp: w.Stamp()}), want)
		require.Equal(t, before, fields())
	})
}

// Fields that a later version added to a group, an alert or an event are unknown to
// this version. They must survive when this version writes the record.
func TestWhatALaterVersionAddedStays(t *testing.T) {
	const added = `"later":[1,{"x":"y"}]`
	later := func(record string) string { return strings.Replace(record, "{", "{"+added+",", 1) }
	// A record of a kind that a later version added.
	const unknownName, unknownText = "later:1", "00000197d5a3c8000000aaaaaaaaaaaa" + `{"x":1}`
	fields := []string{grouping.HeadRecord, "a:" + string(firing("a").Fingerprint)}
	id := testKey.ID()
	r, client := miniClient(t)
	f := openTestFile(t, FileOptions{})
	for name, test := range map[string]struct {
		storage grouping.GroupStorage
		get     func(field string) string
		set     func(field, value string)
	}{
		"redis": {
			r, func(field string) string {
				value, err := client.HGet(t.Context(), r.groupKey(id), field).Result()
				require.NoError(t, err)
				return value
			}, func(field, value string) {
				require.NoError(t, client.HSet(t.Context(), r.groupKey(id), field, value).Err())
			},
		},
		"file": {
			f, func(field string) (value string) {
				require.NoError(t, f.view("get", func(tx *bbolt.Tx) error {
					value = string(tx.Bucket(bucketGroups).Get([]byte(string(id) + field)))
					return nil
				}))
				return value
			}, func(field, value string) {
				require.NoError(t, f.update("set", func(tx *bbolt.Tx) error {
					return tx.Bucket(bucketGroups).Put([]byte(string(id)+field), []byte(value))
				}))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			start := func() *grouping.Manager {
				reg, logger := prometheus.NewRegistry(), promslog.NewNopLogger()
				m, err := grouping.NewManager(test.storage, grouping.NewClock(), nil, reg, logger, grouping.DefaultOptions)
				require.NoError(t, err)
				return m
			}
			first, err := start().AddAlertToGroup(t.Context(), testKey, firing("a"))
			require.NoError(t, err)
			before := map[string]string{}
			for _, field := range fields {
				before[field] = later(test.get(field))
				test.set(field, before[field])
			}
			test.set(unknownName, unknownText)

			ended := firing("a")
			ended.Status, ended.EndsAt = grouping.StatusResolved, ended.StartsAt.Add(time.Minute)
			g, err := start().AddAlertToGroup(t.Context(), testKey, ended)
			require.NoError(t, err)
			require.Equal(t, grouping.StatusResolved, g.Alerts[0].Status)
			for _, field := range fields {
				require.NotEqual(t, before[field], test.get(field), "the record must have been written again")
				require.Contains(t, test.get(field), added)
			}
			require.Equal(t, unknownText, test.get(unknownName))
			// An older version has written the same records without the unknown
			// fields.
			joined := grouping.Merge(first, g)
			require.Equal(t, g.Unknown, joined.Unknown)
			require.JSONEq(t, "{"+added+"}", joined.Alerts[0].Unknown)

			// A record that nobody here has read must not make the group undeletable.
			require.NoError(t, start().RemoveAlertFromGroup(t.Context(), id, firing("a").Fingerprint))
			_, err = test.storage.Load(t.Context(), id)
			require.ErrorIs(t, err, grouping.ErrGroupNotFound)
		})
	}

	e := grouping.Event{ID: string(grouping.NewClock().Stamp()) + "000000", Kind: grouping.EventFired, GroupID: id}
	text, err := e.Encode()
	require.NoError(t, err)
	e, err = grouping.DecodeEvent(later(text))
	require.NoError(t, err)
	again, err := e.Encode()
	require.NoError(t, err)
	require.Contains(t, again, added)
	require.Equal(t, text, strings.Replace(again, ","+added, "", 1))
}
