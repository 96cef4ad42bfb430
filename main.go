// Muster gives Prometheus Alertmanager a memory. It receives Alertmanager's
// notifications, and stores the state and the history of every alert group.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/oklog/run"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"

	"muster/grouping"
	"muster/internal/demo"
	"muster/internal/reply"
	"muster/receiver"
)

// restoreWait is how long the start waits for the stored groups. After that Muster
// serves without them, because a probe would fail otherwise. Alertmanager would retry.
const restoreWait = 1500 * time.Millisecond

// drainWait is the maximum time for open requests at a shutdown. They also get at most
// half of --shutdown.timeout.
const drainWait = 10 * time.Second

func main() {
	if len(os.Args) > 1 && os.Args[1] == "healthcheck" {
		if err := healthcheck(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	c, err := parseFlags(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %s, try --help\n", err)
		os.Exit(1)
	}
	logger := slog.New(reply.LogRequestIDs(promslog.New(&c.log).Handler()))
	if err := serve(c, logger); err != nil {
		logger.Error("Muster stopped", "err", err)
		os.Exit(1)
	}
}

// serve builds all parts and runs them until a signal or a failure stops them.
func serve(c config, logger *slog.Logger) error {
	logger.Info("Starting Muster", "version", version.Info(), "build", version.BuildContext())
	limitMemory(c.memoryRatio, memlimit.FromCgroup, logger)
	c.applyMemoryLimit(debug.SetMemoryLimit(-1))
	gc := tuneGC()
	defer gc.stop()
	m, err := build(c, logger)
	if err != nil {
		return err
	}
	// Parsing and compressing what the pages need takes several megabytes once.
	debug.FreeOSMemory()
	defer func() {
		if err := m.storage.Close(); err != nil {
			logger.Debug("Closing the storage failed", "err", err)
		}
	}()
	return m.run(c, gc, logger)
}

// run runs all parts until a signal or a failure stops them. The group stops its
// members in this order: each one before those that it calls.
func (m *muster) run(c config, gc *gcTuner, logger *slog.Logger) error {
	var (
		group    run.Group
		lost     error     // set if the storage could not write all groups to its backend
		deadline time.Time // of the shutdown; set when the HTTP server is stopped
		restored = make(chan struct{})
	)
	group.Add(run.SignalHandler(context.Background(), syscall.SIGINT, syscall.SIGTERM))
	group.Add(func() error {
		if err := restore(m.manager, m.storage.Restored(), logger); err != nil {
			return err
		}
		close(restored)
		return m.server.Run(context.Background())
	}, func(error) {
		m.drain()
		deadline = time.Now().Add(c.shutdownTimeout)
		ctx, cancel := context.WithTimeout(context.Background(), min(drainWait, c.shutdownTimeout/2))
		defer cancel()
		if err := m.http.Shutdown(ctx); err != nil {
			logger.Warn("Open requests were aborted", "err", err)
		}
	})
	if c.pages.Demo {
		addRun(&group, func(ctx context.Context) error {
			prefix := strings.TrimRight(c.router.RoutePrefix, "/")
			return demo.Play(ctx, demo.Target{
				Handler: m.router, WebhookPath: prefix + receiver.Path, EventsPath: prefix + receiver.EventsPath, Polls: m.manager, People: m.manager,
			}, logger)
		})
	}
	// Before the stored groups are restored, the silences that a poll lists would look new, and a
	// checkpoint would have no groups.
	addRun(&group, after(restored, func(ctx context.Context) error { return m.poller.Run(ctx, m.manager) }))
	addRun(&group, after(restored, func(ctx context.Context) error { return m.manager.RecordLife(ctx, m.storage.Restored()) }))
	addRun(&group, after(restored, func(ctx context.Context) error { return m.manager.KeepCheckpoints(ctx, m.storage.Restored()) }))
	// A collection would take CPU time from the rest of the restore.
	addRun(&group, after(restored, func(ctx context.Context) error { return gc.run(ctx, m.storage.Restored()) }))
	addRun(&group, m.past.Run)
	addRun(&group, m.manager.Run)
	addRun(&group, func(ctx context.Context) error {
		err := m.storage.Run(ctx)
		ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
		defer cancel()
		lost = m.storage.Drain(ctx)
		return cmp.Or(lost, err)
	})
	addRun(&group, m.log.Run)

	signal.Ignore(syscall.SIGHUP)  // operators send it to reload a config file, which Muster does not have
	signal.Ignore(syscall.SIGXFSZ) // if the file may not grow, the write fails and the storage handles it
	err := group.Run()
	if lost != nil {
		return lost
	}
	if errors.Is(err, run.ErrSignal) || errors.Is(err, http.ErrServerClosed) {
		logger.Info("Stopped", "cause", err)
		return nil
	}
	return err
}

// limitMemory sets Go's memory limit to a ratio of the container's limit. Near the limit
// the garbage collector works harder, so that the kernel does not kill the process. It
// does nothing if the container has no limit, or if GOMEMLIMIT is set.
func limitMemory(ratio float64, limit memlimit.Provider, logger *slog.Logger) {
	if ratio == 0 {
		return
	}
	bytes, err := memlimit.Set(memlimit.WithRatio(ratio), memlimit.WithProvider(limit))
	switch {
	case errors.Is(err, memlimit.ErrCgroupsNotSupported):
	case err != nil:
		logger.Warn("Reading the container's memory limit failed", "err", err)
	case bytes < math.MaxInt64:
		logger.Info("Go's memory limit set", "bytes", bytes, "ratio", ratio)
	}
}

// restore loads the stored groups into the manager. It does not wait longer than
// restoreWait for the backend. Pages then say that they are not complete.
func restore(manager *grouping.Manager, restored <-chan struct{}, logger *slog.Logger) error {
	select {
	case <-restored:
	case <-time.After(restoreWait):
		logger.Warn("Serving before the stored groups are restored")
	}
	_, err := manager.RestoreGroups(context.Background())
	return err
}

// after returns a function that calls fn when the channel is closed. It does nothing if its
// context ends before.
func after(ready <-chan struct{}, fn func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-ready:
			return fn(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// addRun adds a function that runs until its context is cancelled.
func addRun(group *run.Group, fn func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	group.Add(func() error { return fn(ctx) }, func(error) { cancel() })
}
