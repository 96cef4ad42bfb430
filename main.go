// Muster gives Prometheus Alertmanager a memory: it keeps the state and the
// history of every alert group that Alertmanager notifies it of.
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
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"

	"muster/grouping"
	"muster/internal/demo"
	"muster/receiver"
	"muster/storage"
	"muster/web"
)

// restoreWait is how long the start waits for the stored groups before it
// serves without them: Alertmanager retries a refused connection, but a probe
// gives up.
const restoreWait = 1500 * time.Millisecond

// drainWait is how long requests under way may take when Muster stops: half of
// the time for a stop, and no more than this.
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
	logger := promslog.New(&c.log)
	if err := serve(c, logger); err != nil {
		logger.Error("Muster stopped", "err", err)
		os.Exit(1)
	}
}

// serve builds the house in one line, from the storage up to the web, and runs
// it until a signal or a failure ends it.
func serve(c config, logger *slog.Logger) error {
	logger.Info("Starting Muster", "version", version.Info(), "build", version.BuildContext())
	limitMemory(c.memoryRatio, memlimit.FromCgroup, logger)
	notifications, responses := receiver.DefaultMemory(debug.SetMemoryLimit(-1))
	c.receiver.MaxNotificationMemory = cmp.Or(c.receiver.MaxNotificationMemory, notifications)
	c.receiver.MaxResponseMemory = cmp.Or(c.receiver.MaxResponseMemory, responses)
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("muster"))
	clock := grouping.NewClock()
	edge, err := web.Load(*c.web.WebConfigFile, reg, logger)
	if err != nil {
		return err
	}

	backend, err := openStorage(c, clock, reg, logger)
	if err != nil {
		return err
	}
	defer func() {
		if err := backend.close(); err != nil {
			logger.Debug("The storage was not closed cleanly", "err", err)
		}
	}()
	manager, err := grouping.NewManager(backend.groups, clock, reg, logger, c.group)
	if err != nil {
		return err
	}
	c.receiver.Problems = edge.Problems
	server, err := receiver.New(manager, backend.status, reg, reg, logger, c.receiver)
	if err != nil {
		return err
	}
	manager.Watch(server.Publish)
	httpServer := receiver.NewHTTPServer(server, logger)
	httpServer.RegisterOnShutdown(server.Drain)
	guarded := web.New(edge, httpServer, logger, c.edge(server.RecordRejection))

	// They are stopped in this order, each before what it calls.
	var (
		group run.Group
		lost  error     // what the storage could not bring to its backend
		end   time.Time // of a stop; set before all but the first are stopped
	)
	group.Add(run.SignalHandler(context.Background(), syscall.SIGINT, syscall.SIGTERM))
	group.Add(func() error {
		if err := restore(manager, backend, logger); err != nil {
			return err
		}
		return guarded.Run(context.Background())
	}, func(error) {
		server.Drain()
		end = time.Now().Add(c.shutdownTimeout)
		ctx, cancel := context.WithTimeout(context.Background(), min(drainWait, c.shutdownTimeout/2))
		defer cancel()
		if err := httpServer.Shutdown(ctx); err != nil {
			logger.Warn("Requests were cut off", "err", err)
		}
	})
	if c.receiver.Demo {
		addRun(&group, func(ctx context.Context) error {
			return demo.Play(ctx, server, strings.TrimRight(c.receiver.RoutePrefix, "/")+"/webhook", logger)
		})
	}
	addRun(&group, manager.Run)
	addRun(&group, func(ctx context.Context) error {
		err := backend.run(ctx)
		ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), end)
		defer cancel()
		lost = backend.drain(ctx)
		return cmp.Or(lost, err)
	})

	signal.Ignore(syscall.SIGHUP)  // sent by habit to reload; there is no file to reload
	signal.Ignore(syscall.SIGXFSZ) // a file that may not grow is a fault of the storage
	err = group.Run()
	if lost != nil {
		return lost
	}
	if errors.Is(err, run.ErrSignal) || errors.Is(err, http.ErrServerClosed) {
		logger.Info("Stopped", "cause", err)
		return nil
	}
	return err
}

// limitMemory makes Go keep to a share of what the container may use, so that
// the collector works harder before the kernel kills. Where there is no limit,
// or GOMEMLIMIT sets one, nothing happens.
func limitMemory(ratio float64, limit memlimit.Provider, logger *slog.Logger) {
	if ratio == 0 {
		return
	}
	kept, err := memlimit.Set(memlimit.WithRatio(ratio), memlimit.WithProvider(limit))
	switch {
	case errors.Is(err, memlimit.ErrCgroupsNotSupported):
	case err != nil:
		logger.Warn("The container's memory limit could not be read", "err", err)
	case kept < math.MaxInt64:
		logger.Info("Go keeps to a share of the container's memory", "bytes", kept, "ratio", ratio)
	}
}

// restore makes the manager know the stored groups. A backend that cannot be
// reached is not waited for: pages then say that they are partial.
func restore(manager *grouping.Manager, backend opened, logger *slog.Logger) error {
	select {
	case <-backend.restored:
	case <-time.After(restoreWait):
		logger.Warn("Serving before the stored groups are restored")
	}
	_, err := manager.RestoreGroups(context.Background())
	return err
}

// opened is a storage with its life.
type opened struct {
	groups   grouping.GroupStorage
	status   func() grouping.StorageStatus
	run      func(context.Context) error
	drain    func(context.Context) error // after run
	restored <-chan struct{}
	close    func() error
}

func openStorage(c config, clock *grouping.Clock, reg prometheus.Registerer, logger *slog.Logger) (opened, error) {
	memory := storage.NewMemory(storage.MemoryOptions{HistoryRetention: c.history})
	var backend interface {
		storage.Durable
		Close() error
	}
	var err error
	switch {
	case c.redis.URL != "":
		c.redis.Retention, c.redis.HistoryRetention = c.group.Retention, c.history
		backend, err = storage.NewRedis(c.redis, logger)
	case c.file.Path != "":
		c.file.HistoryRetention = c.history
		backend, err = storage.OpenFile(c.file)
	default:
		restored := make(chan struct{})
		close(restored)
		return opened{
			groups:   storage.Instrument(memory, "memory", reg),
			status:   func() grouping.StorageStatus { return grouping.StorageStatus{Mode: "memory", Healthy: true} },
			run:      func(ctx context.Context) error { <-ctx.Done(); return nil },
			drain:    func(context.Context) error { return nil },
			restored: restored,
			close:    func() error { return nil },
		}, nil
	}
	if err != nil {
		return opened{}, err
	}
	joined, err := storage.NewTiered(memory, storage.InstrumentDurable(backend, reg), clock, reg, logger,
		storage.TieredOptions{Outage: c.outage})
	if err != nil {
		return opened{}, errors.Join(err, backend.Close())
	}
	return opened{
		groups: joined, status: joined.Status, run: joined.Run, drain: joined.Drain, restored: joined.Restored(), close: backend.Close,
	}, nil
}

// addRun adds a life that ends with its context.
func addRun(group *run.Group, fn func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	group.Add(func() error { return fn(ctx) }, func(error) { cancel() })
}
