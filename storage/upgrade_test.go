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

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"muster/grouping"
)

// What each schema wrote lies in testdata/schema-<n>: a file, the keys of a
// Redis, and what both hold. `go test ./storage -run TestStoredBefore -update`
// writes that of the present schema, once, when it is new.
var update = flag.Bool("update", false, "write testdata of the present schema")

// stored is what is read back, in the words of the domain.
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

// record writes one of everything: alerts that fire, resolved and fired again,
// an alert that was removed, a group that was deleted, odd texts, a message that
// was cut.
func record(t *testing.T, s grouping.GroupStorage) {
	t.Helper()
	m, err := grouping.NewManager(s, grouping.NewClock(), prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
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
			CommonAnnotations: grouping.Labels{"summary": "Pod & <b>"}, ExternalURL: "http://alertmanager:9093", Truncated: uint64(i), Stamp: m.Stamp(),
		})
		require.NoError(t, err)
	}
	for _, name := range []string{"a", "b"} {
		_, err := m.AddAlertToGroup(t.Context(), testKey, firing(name))
		require.NoError(t, err)
	}
	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), testKey.ID(), firing("a").Fingerprint))
	gone := groupKey("gone")
	_, err = m.AddAlertToGroup(t.Context(), gone, firing("gone"))
	require.NoError(t, err)
	require.NoError(t, m.RemoveAlertFromGroup(t.Context(), gone.ID(), firing("gone").Fingerprint))
}

// dump is the keys of a Redis, by their type.
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
			require.Fail(t, "a key of a type that is not dumped", "%s %s", key, kind)
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

// far keeps the history of old testdata.
const far = 100 * 365 * 24 * time.Hour

// miniClient returns a Redis of our own and a plain client of it.
func miniClient(t *testing.T) (*Redis, *redis.Client) {
	t.Helper()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return openRedis(t, RedisOptions{URL: "redis://" + server.Addr(), HistoryRetention: far}), client
}

func writeTestdata(t *testing.T, folder string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(folder, 0o750))
	f, err := OpenFile(FileOptions{Path: filepath.Join(folder, "muster.db"), HistoryRetention: far})
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

// What each schema wrote is read as it was meant, and goes on.
func TestStoredBefore(t *testing.T) {
	if *update {
		writeTestdata(t, filepath.Join("testdata", "schema-"+schema))
	}
	folders, err := filepath.Glob("testdata/schema-*")
	require.NoError(t, err)
	require.Contains(t, folders, "testdata/schema-"+schema)
	for _, folder := range folders {
		version := filepath.Base(folder)
		goesOn := func(t *testing.T, s grouping.GroupStorage, before string) {
			t.Helper()
			require.JSONEq(t, before, readStored(t, s))
			m, err := grouping.NewManager(s, grouping.NewClock(), prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
			require.NoError(t, err)
			_, err = m.RestoreGroups(t.Context())
			require.NoError(t, err)
			g, err := m.AddAlertToGroup(t.Context(), testKey, firing("new"))
			require.NoError(t, err)
			require.Len(t, g.Alerts, 2)
		}
		t.Run(version+", file", func(t *testing.T) {
			f := openTestFile(t, FileOptions{Path: writeFile(t, testdata(t, version, "muster.db")), HistoryRetention: far})
			goesOn(t, f, string(testdata(t, version, "file.json")))
		})
		t.Run(version+", Redis", func(t *testing.T) {
			var d dump
			require.NoError(t, json.Unmarshal(testdata(t, version, "keys.json"), &d))
			r, client := miniClient(t)
			d.restore(t, client)
			goesOn(t, r, string(testdata(t, version, "redis.json")))
		})
	}
}

// What a newer schema wrote is left alone, and said.
func TestStoredByANewerVersion(t *testing.T) {
	const said = "a newer version of Muster (schema 2, this one reads 1)"
	t.Run("file", func(t *testing.T) {
		f := openTestFile(t, FileOptions{})
		require.NoError(t, f.update("test", func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("2")) }))
		require.NoError(t, f.Close())
		before, err := os.ReadFile(f.opts.Path)
		require.NoError(t, err)
		_, err = OpenFile(FileOptions{Path: f.opts.Path})
		requireSentence(t, err, f.opts.Path)
		require.ErrorContains(t, err, said)
		after, err := os.ReadFile(f.opts.Path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(before, after), "it was written to")
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
		require.ErrorContains(t, err, said)
		for _, base := range []*grouping.AlertGroup{g, nil} {
			_, err = r.Store(t.Context(), w.change(base, g.Key, a("x", "2")))
			var damaged *grouping.DamagedGroupError
			require.ErrorAs(t, err, &damaged)
			require.ErrorContains(t, err, said)
		}
		require.ErrorContains(t, r.Delete(context.Background(), grouping.Change{Base: g, Stamp: w.Stamp()}), said)
		require.Equal(t, before, fields())
	})
}

// What a later version adds to a record of a group, an alert or an event is not
// understood, but is there still after this version has written the record.
func TestWhatALaterVersionAddedStays(t *testing.T) {
	const added = `"later":[1,{"x":"y"}]`
	later := func(record string) string { return strings.Replace(record, "{", "{"+added+",", 1) }
	fields := []string{fieldMeta, fieldAlert + string(firing("a").Fingerprint)}
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
				m, err := grouping.NewManager(test.storage, grouping.NewClock(), prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
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

			ended := firing("a")
			ended.Status, ended.EndsAt = grouping.StatusResolved, ended.StartsAt.Add(time.Minute)
			g, err := start().AddAlertToGroup(t.Context(), testKey, ended)
			require.NoError(t, err)
			require.Equal(t, grouping.StatusResolved, g.Alerts[0].Status)
			for _, field := range fields {
				require.NotEqual(t, before[field], test.get(field), "it was written")
				require.Contains(t, test.get(field), added)
			}
			// One that had no place for it has written the same records without.
			joined := grouping.Merge(first, g)
			require.Equal(t, g.Unknown, joined.Unknown)
			require.JSONEq(t, "{"+added+"}", joined.Alerts[0].Unknown)
		})
	}

	e := grouping.Event{ID: string(grouping.NewClock().Stamp()) + "000000", Kind: grouping.EventFired, GroupID: id}
	text, err := encodeEvent(&e)
	require.NoError(t, err)
	e, err = decodeEvent(later(text))
	require.NoError(t, err)
	again, err := encodeEvent(&e)
	require.NoError(t, err)
	require.Contains(t, again, added)
	require.Equal(t, text, strings.Replace(again, ","+added, "", 1))
}
