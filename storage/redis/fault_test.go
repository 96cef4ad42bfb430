package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/storagetest"
)

// The answers of Redis when it refuses a command.
func TestRedisRefusals(t *testing.T) {
	for answer, want := range map[string]string{
		"LOADING Redis is loading the dataset in memory":                         "loading",
		"READONLY You can't write against a read only replica.":                  "readonly",
		"OOM command not allowed when used memory > 'maxmemory'.":                "oom",
		"MISCONF Redis is configured to save RDB snapshots":                      "misconf",
		"BUSY Redis is busy running a script.":                                   "busy",
		"NOREPLICAS Not enough good replicas to write.":                          "noreplicas",
		"NOAUTH Authentication required.":                                        "auth",
		"WRONGPASS invalid username-password pair or user is disabled.":          "auth",
		"NOPERM this user has no permissions to run the 'evalsha' command":       "auth",
		"CLUSTERDOWN The cluster is down":                                        "clusterdown",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is no": "masterdown",
		"ERR max number of clients reached":                                      "maxclients",
		"ERR something else":                                                     "other",
	} {
		server, r, w := mini(t, Options{})
		g := w.Add(t, groupKey("g"), a("x", "1"))
		server.SetError(answer)
		for op, call := range map[string]func() error{
			"store":       func() error { _, err := w.Store(t.Context(), w.Change(g, g.Key)); return err },
			"delete":      func() error { return w.Delete(t.Context(), grouping.Change{Base: g, Stamp: w.Stamp()}) },
			"load":        func() error { _, err := w.Load(t.Context(), g.ID); return err },
			"index":       func() error { _, err := w.Size(t.Context()); return err },
			"ping":        func() error { return w.Ping(t.Context()) },
			"events":      func() error { _, err := w.Events(t.Context(), grouping.EventQuery{}); return err },
			"position":    func() error { _, err := r.Position(t.Context()); return err },
			"push events": func() error { return r.PushEvents(t.Context(), w.Change(g, g.Key).Events, nil) },
			"trace": func() error {
				_, err := r.CheckLineage(t.Context(), []durable.Position{{StreamID: "1-1", Token: "x"}})
				return err
			},
			"absent":  func() error { _, err := r.MissingEvents(t.Context(), w.Change(g, g.Key).Events); return err },
			"lacking": func() error { _, err := r.FindLosses(t.Context(), []grouping.ID{g.ID}); return err },
			"events of": func() error {
				_, _, err := r.LoadEvents(t.Context(), []durable.LogEntry{{ID: g.ID, Position: durable.Position{Token: string(g.Stamp)}}})
				return err
			},
			"time":   func() error { _, err := r.Now(t.Context()); return err },
			"follow": func() error { return r.FollowLog(t.Context(), make([]durable.Position, 1), nil) },
		} {
			err := call()
			var fault *grouping.StorageError
			require.ErrorAs(t, err, &fault, op)
			require.Equal(t, []string{"redis", op}, []string{fault.Backend, fault.Op})
			require.Equal(t, want, faultReason(err), "%s: %v", op, err)
		}
		for g, err := range w.LoadAll(t.Context()) {
			require.Nil(t, g)
			require.ErrorIs(t, err, grouping.ErrStorage, "a fault ends the stream")
		}
		server.SetError("")
		require.True(t, w.MustLoad(t, g.Key).Equal(g))
	}
}

func TestFaultReason(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{context.DeadlineExceeded, "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{&net.OpError{Err: os.ErrDeadlineExceeded}, "timeout"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "refused"},
		{syscall.ECONNRESET, "closed"},
		{syscall.EPIPE, "closed"},
		{io.EOF, "closed"},
		{net.ErrClosed, "closed"},
		{redis.ErrClosed, "closed"},
		{redis.ErrPoolTimeout, "pool"},
		{errors.New("disk on fire"), "other"},
	} {
		err := &grouping.StorageError{Backend: "redis", Op: "store", Err: fmt.Errorf("x: %w", test.err)}
		require.Equal(t, test.want, faultReason(err), "%v", test.err)
	}
}

// If no server listens on the address, the fault is known at once.
func TestRedisIsNotThere(t *testing.T) {
	server := miniredis.RunT(t)
	r, err := New(withDefaults(Options{URL: "redis://" + server.Addr()}))
	require.NoError(t, err)
	server.Close()
	w := newWriter(r)
	_, err = w.Store(t.Context(), w.Change(nil, groupKey("g"), a("x", "1")))
	require.ErrorIs(t, err, grouping.ErrStorage)
	require.Equal(t, "refused", faultReason(err))
	require.NoError(t, r.Close())
	err = r.Ping(t.Context())
	require.ErrorIs(t, err, grouping.ErrStorage)
	require.Equal(t, "closed", faultReason(err))
}

// A call to a server that hangs ends after half a second, at the deadline of the
// caller, or when the caller is cancelled: at the earliest of these. The server may
// still apply the command.
func TestRedisHangs(t *testing.T) {
	server := storagetest.StartRedis(t)
	r, err := New(withDefaults(Options{URL: "unix://" + server.Socket}))
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	w := &writer{GroupStorage: openOn(t, server), Clock: grouping.NewClock()}
	w.GroupStorage.(*Storage).opts.KeyPrefix = "muster"
	g := w.Add(t, groupKey("g"), a("x", "1"))
	c := w.Change(g, g.Key, a("x", "2"))
	require.NoError(t, r.Ping(t.Context()))

	server.Pause(t, true)
	started := time.Now()
	_, err = r.Store(t.Context(), c)
	require.ErrorIs(t, err, grouping.ErrStorage)
	require.Equal(t, "timeout", faultReason(err))
	require.Less(t, time.Since(started), 5*time.Second)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	_, err = r.Load(ctx, g.ID)
	cancel()
	require.Equal(t, "timeout", faultReason(err))
	require.ErrorIs(t, err, grouping.ErrStorage, "a slow Redis is a fault")

	cause := errors.New("the client went away")
	ctx, away := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(20*time.Millisecond, func() { away(cause) })
	_, err = r.Events(ctx, grouping.EventQuery{})
	timer.Stop()
	require.Error(t, err)
	if ctx.Err() != nil {
		require.ErrorIs(t, err, cause)
		require.NotErrorIs(t, err, grouping.ErrStorage)
	}

	server.Pause(t, false)
	stored := w.MustStore(t, c) // the same write again
	require.Equal(t, []int64{2, 2}, []int64{stored.Version, stored.Notifications}, "the write must be applied once")
	require.Equal(t, "2", storagetest.Values(w.MustLoad(t, g.Key))["x"])
	page, err := w.Events(t.Context(), grouping.EventQuery{})
	require.NoError(t, err)
	require.Len(t, page.Events, 2)
}

// A server without free memory must refuse the whole write.
func TestRedisIsFull(t *testing.T) {
	server := storagetest.StartRedis(t)
	r := openOn(t, server)
	w := newWriter(r)
	g := w.Add(t, groupKey("g"), a("x", "1"), a("y", "1"))
	require.NoError(t, r.client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	_, err := w.Store(t.Context(), w.Change(g, g.Key, a("x", "2"), a("z", "1")))
	require.Equal(t, "oom", faultReason(err))
	_, err = w.Store(t.Context(), w.Removal(g, "y"))
	require.Equal(t, "oom", faultReason(err))
	_, err = r.Position(t.Context())
	require.Equal(t, "oom", faultReason(err), "Position must fail if writes fail")
	require.NoError(t, r.client.ConfigSet(t.Context(), "maxmemory", "0").Err())
	require.True(t, w.MustLoad(t, g.Key).Equal(g))
	page, err := w.Events(t.Context(), grouping.EventQuery{})
	require.NoError(t, err)
	require.Len(t, page.Events, 1)
}

func TestRedisIsAReplica(t *testing.T) {
	server := storagetest.StartRedis(t)
	r := openOn(t, server)
	w := newWriter(r)
	g := w.Add(t, groupKey("g"), a("x", "1"))
	require.NoError(t, r.client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
	_, err := w.Store(t.Context(), w.Change(g, g.Key))
	require.Equal(t, "readonly", faultReason(err))
	require.True(t, w.MustLoad(t, g.Key).Equal(g), "reads must still succeed")
}

// Status page, metrics and the log show reasons, and the runbook says what to do about each.
func TestTheRunbookHasEveryReason(t *testing.T) {
	runbook, err := os.ReadFile("../../docs/RUNBOOK.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(runbook), "\n## MusterStorageDown\n")
	section, _, _ = strings.Cut(section, "\n## ")
	reasons := []string{
		reasonStalled, reasonTLS, reasonAuth, durable.ReasonTimeout, durable.ReasonRefused, durable.ReasonClosed, durable.ReasonDamaged,
		durable.ReasonMoved, durable.ReasonShards, durable.ReasonSchema, durable.ReasonOther,
	}
	for _, f := range faultPrefixes {
		reasons = append(reasons, f.reason)
	}
	for _, reason := range reasons {
		require.Contains(t, section, "`"+reason+"`")
	}
}
