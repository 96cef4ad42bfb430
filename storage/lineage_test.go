package storage

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/redis"
	"muster/storage/storagetest"
)

// timeMachine is a Redis that can restore an earlier state of all keys at once, as
// after a failover to a replica that lagged.
type timeMachine struct {
	*testRedis

	saved map[string]string
}

func (m *timeMachine) save(t *testing.T) {
	t.Helper()
	m.saved = map[string]string{}
	keys, err := m.client.Keys(t.Context(), m.opts.KeyPrefix+":*").Result()
	require.NoError(t, err)
	for _, key := range keys {
		m.saved[key], err = m.client.Dump(t.Context(), key).Result()
		require.NoError(t, err)
	}
}

func (m *timeMachine) goBack(t *testing.T) {
	t.Helper()
	keys, err := m.client.Keys(t.Context(), m.opts.KeyPrefix+":*").Result()
	require.NoError(t, err)
	_, err = m.client.TxPipelined(t.Context(), func(pipe goredis.Pipeliner) error {
		pipe.Del(t.Context(), keys...)
		for key, dump := range m.saved {
			pipe.Restore(t.Context(), key, 0, dump)
		}
		return nil
	})
	require.NoError(t, err)
}

// chronicle collects the events that replicas acknowledged.
type chronicle struct {
	ids map[string]grouping.ID
	n   int
}

// add fires n new alerts of the group, one notification each.
func (c *chronicle) add(t *testing.T, r replica, group string, n int) {
	t.Helper()
	key := testKey
	key.GroupKey = group
	for range n {
		c.n++
		a := firing(fmt.Sprint(c.n))
		out, err := r.Ingest(t.Context(), grouping.Notification{Key: key, Alerts: []grouping.NotifiedAlert{a}})
		require.NoError(t, err)
		for _, e := range out.Events {
			c.ids[e.ID] = e.GroupID
		}
	}
}

// inRedisAt is inRedis for the keys of a client.
func inRedisAt(t *testing.T, r *testRedis) map[grouping.ID]*grouping.AlertGroup {
	t.Helper()
	groups := map[grouping.ID]*grouping.AlertGroup{}
	for g, err := range r.LoadAll(context.Background()) {
		require.NoError(t, err)
		groups[g.ID] = g
	}
	return groups
}

// eventIDs returns the IDs of all events in the history of a group, or of all
// groups if group is "".
func eventIDs(t *testing.T, d durable.Backend, group grouping.ID) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	q := grouping.EventQuery{Group: group, Limit: grouping.MaxLimit}
	for {
		page, err := d.Events(context.Background(), q)
		require.NoError(t, err)
		for _, e := range page.Events {
			ids[e.ID] = true
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return ids
		}
	}
}

// require waits until all acknowledged events are in the history and in the
// timelines.
func (c *chronicle) require(t *testing.T, d durable.Backend) {
	t.Helper()
	require.Eventually(t, func() bool {
		all, timelines := eventIDs(t, d, ""), map[grouping.ID]map[string]bool{}
		missing := 0
		for id, group := range c.ids {
			if timelines[group] == nil {
				timelines[group] = eventIDs(t, d, group)
			}
			if !all[id] || !timelines[group][id] {
				missing++
			}
		}
		return missing == 0
	}, 10*time.Second, 20*time.Millisecond, "acknowledged events are missing")
}

// requireInCopies waits until the copies of the replicas have all acknowledged events.
func (c *chronicle) requireInCopies(t *testing.T, replicas ...replica) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, r := range replicas {
			held := map[string]bool{}
			for _, e := range r.storage.memory.EventsSince(allEvents) {
				held[e.ID] = true
			}
			for id := range c.ids {
				if !held[id] {
					return false
				}
			}
		}
		return true
	}, 10*time.Second, 5*time.Millisecond)
}

func TestARollbackThatIsOvertaken(t *testing.T) {
	server := storagetest.StartRedis(t)
	for _, shards := range []int{1, 5} {
		t.Run(fmt.Sprintf("%d shards", shards), func(t *testing.T) {
			t.Parallel()
			opts := redis.Options{URL: "unix://" + server.Socket, KeyPrefix: fmt.Sprint("past", shards), Shards: shards}
			past := &timeMachine{testRedis: openRedis(t, opts)}
			one := startReplicaOn(t, past.again(t), TieredOptions{})
			other := startReplicaOn(t, past.again(t), TieredOptions{})
			c := &chronicle{ids: map[string]grouping.ID{}}
			groups := []string{"a", "b", "c", "d", "e", "f"}
			both := func(n int) {
				for _, g := range groups {
					c.add(t, one, g+"1", n)
					c.add(t, other, g+"2", n)
				}
			}
			both(2)
			past.save(t)
			both(2)
			past.goBack(t)
			both(5) // more writes than were lost, so that the sequence number exceeds the old one
			c.require(t, past)
			one.clean(t)
			other.clean(t)
			lost := testutil.ToFloat64(one.storage.lostWrites) + testutil.ToFloat64(other.storage.lostWrites)
			require.GreaterOrEqual(t, lost, float64(2*2*len(groups)), "every lost write must be counted")

			// A replica that starts now finds the same groups that the others have.
			for g, err := range past.LoadAll(t.Context()) {
				require.NoError(t, err)
				require.Eventually(t, func() bool {
					own, err := one.Get(context.Background(), g.ID)
					return err == nil && g.Equal(own)
				}, 5*time.Second, 5*time.Millisecond)
			}
		})
	}
}

// If a replica has ended, the other replicas still have its events.
func TestARollbackAfterItsWriterEnded(t *testing.T) {
	server := storagetest.StartRedis(t)
	past := &timeMachine{testRedis: openOn(t, server)}
	one := startReplicaOn(t, past.again(t), TieredOptions{})
	ended, stop := runReplica(t, past.again(t), grouping.NewClock(), TieredOptions{})
	c := &chronicle{ids: map[string]grouping.ID{}}
	c.add(t, one, "a", 2)
	past.save(t)
	c.add(t, ended, "b", 3)
	require.Eventually(t, func() bool { return len(one.storage.memory.EventsSince("0")) == len(c.ids) }, 5*time.Second, time.Millisecond,
		"the events of the other replica must be in the copy")
	stop()
	past.goBack(t)
	c.add(t, one, "c", 10)
	c.require(t, past)
}

// After a failover to a host whose clock is behind, new entries come before the
// entries that were read. A reader that waits for later entries misses them.
func TestARollbackToALogWithEarlierEntries(t *testing.T) {
	server := storagetest.StartRedis(t)
	past := &timeMachine{testRedis: openOn(t, server)}
	one := startReplicaOn(t, past.again(t), TieredOptions{})
	other := startReplicaOn(t, past.again(t), TieredOptions{})
	c := &chronicle{ids: map[string]grouping.ID{}}
	c.add(t, one, "a", 2)
	past.save(t)
	later := fmt.Sprintf("%d-*", time.Now().Add(time.Hour).UnixMilli())
	at, err := past.Position(t.Context())
	require.NoError(t, err)
	require.NoError(t, past.client.HIncrBy(t.Context(), past.opts.KeyPrefix+":{0}:meta", "seq", 1).Err())
	require.NoError(t, past.client.XAdd(t.Context(), &goredis.XAddArgs{Stream: past.opts.KeyPrefix + ":{0}:log", ID: later, Values: []any{
		"seq", at[0].Seq + 1, "epoch", at[0].Epoch, "id", string(testKey.ID()),
		"token", string(one.Stamp()), "writer", "w", "previous", at[0].Token,
	}}).Err())
	c.add(t, one, "b", 2)
	c.add(t, other, "c", 2)
	past.goBack(t)
	c.add(t, one, "d", 10)
	c.add(t, other, "e", 10)
	c.require(t, past)
	for _, r := range []replica{one, other} {
		require.Eventually(t, func() bool {
			n, err := r.List(context.Background(), grouping.ListQuery{})
			return err == nil && len(n.Groups) == 5
		}, 10*time.Second, 5*time.Millisecond, "each replica must see the later writes of the other")
	}
}

// Keys that an eviction policy or an operator deleted are restored before the next
// comparison of the index.
func TestARemovedKeyComesBack(t *testing.T) {
	server := storagetest.StartRedis(t)
	for _, name := range []string{"g:", "t:", "index", "h", "log", "meta"} {
		for _, then := range []string{"quiet", "writes"} {
			t.Run(strings.TrimSuffix(name, ":")+" "+then, func(t *testing.T) {
				t.Parallel()
				r := openRedis(t, redis.Options{URL: "unix://" + server.Socket, KeyPrefix: name + then, Shards: 2})
				one := startReplicaOn(t, r.again(t), TieredOptions{CompareInterval: time.Hour})
				other := startReplicaOn(t, r.again(t), TieredOptions{CompareInterval: time.Hour})
				c := &chronicle{ids: map[string]grouping.ID{}}
				for i := range 10 {
					c.add(t, one, fmt.Sprint("one", i), 2)
					c.add(t, other, fmt.Sprint("other", i), 2)
				}
				c.requireInCopies(t, one, other)
				before := inRedisAt(t, r)
				require.Len(t, before, 20)
				keys, err := r.client.Keys(t.Context(), r.opts.KeyPrefix+":*:"+name+"*").Result()
				require.NoError(t, err)
				require.NotEmpty(t, keys)
				require.NoError(t, r.client.Del(t.Context(), keys...).Err())
				if then == "writes" {
					for i := range 10 {
						c.add(t, one, fmt.Sprint("one", i), 1)
					}
				}
				c.require(t, r)
				require.Eventually(t, func() bool { return len(inRedisAt(t, r)) == 20 }, 10*time.Second, 20*time.Millisecond)
				if then == "quiet" {
					after := inRedisAt(t, r)
					for id, g := range before {
						require.True(t, g.Equal(after[id]))
					}
				}
			})
		}
	}
}

// A trimmed log or a time without writes is not a loss.
func TestATrimmedLogIsNotALoss(t *testing.T) {
	server := miniredis.RunT(t)
	r := openRedis(t, redis.Options{URL: "redis://" + server.Addr(), MaxLog: 5})
	one := startReplicaOn(t, openRedis(t, r.opts), TieredOptions{})
	other := startReplicaOn(t, openRedis(t, r.opts), TieredOptions{})
	c := &chronicle{ids: map[string]grouping.ID{}}
	var wg sync.WaitGroup
	for i, m := range []replica{one, other} {
		wg.Go(func() {
			for n := range 100 {
				key := testKey
				key.GroupKey = fmt.Sprint(i, n%10)
				_, err := m.Ingest(context.Background(), grouping.Notification{Key: key, Alerts: []grouping.NotifiedAlert{firing(fmt.Sprint(n))}})
				require.NoError(t, err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, r.client.XTrimMaxLen(t.Context(), r.opts.KeyPrefix+":{0}:log", 1).Err())
	c.add(t, one, "last", 1)
	one.backend.fail("everything", refused)
	c.add(t, one, "outage", 5)
	one.backend.heal()
	one.clean(t)
	c.require(t, r)
	for _, m := range []replica{one, other} {
		require.Zero(t, testutil.ToFloat64(m.storage.lostWrites))
	}
}

func TestLedger(t *testing.T) {
	var l ledger
	l.started("a")
	require.False(t, l.finished("a", true))
	require.False(t, l.missed(), "the position was not checked since then")
	l.beforePositionCheck()
	require.True(t, l.missed())
	l.seenInLog("a")
	require.False(t, l.missed())

	l.started("b")
	l.seenInLog("b") // before the answer of the backend
	l.finished("b", true)
	l.started("c")
	l.finished("c", false)
	l.beforePositionCheck()
	require.False(t, l.missed())

	l.started("d")
	l.started("e")
	l.finished("d", true)
	l.clear()
	l.beforePositionCheck()
	require.False(t, l.missed())
	require.True(t, l.finished("e", true), "the write may be in the part of the log that was not read")
	require.False(t, l.missed())
}
