// Muster gives Prometheus Alertmanager a memory: it keeps the state and the
// history of every alert group that Alertmanager notifies it of.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kingpin/v2"
	"github.com/alecthomas/units"
	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	webflag "github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"muster/grouping"
	"muster/internal/demo"
	"muster/receiver"
	"muster/storage"
)

// restoreWait is how long the start waits for the stored groups before it
// serves without them: Alertmanager retries a refused connection, but a probe
// gives up.
const restoreWait = 1500 * time.Millisecond

// healthTimeout is how long a health check waits: less than the probes of
// containers do.
const healthTimeout = 3 * time.Second

// drainWait is how long requests under way may take when Muster stops.
const drainWait = 10 * time.Second

type config struct {
	web      *web.FlagConfig
	log      promslog.Config
	redis    storage.RedisOptions
	file     storage.FileOptions
	outage   string
	group    grouping.Options
	history  time.Duration
	receiver receiver.Options

	memoryRatio float64
}

const defaultListenAddress = ":9095"

func parseFlags(args []string) (config, error) {
	app := kingpin.New("muster", "Keeps the state and the history of Alertmanager's alert groups.")
	app.HelpFlag.Short('h')
	app.Version(version.Print("muster"))
	app.UsageWriter(os.Stdout)
	app.DefaultEnvars()

	c := config{group: grouping.DefaultOptions}
	var (
		maxBody                         units.Base2Bytes
		redisPassword, sentinelPassword string
		redisShards                     string
	)
	c.web = webflag.AddFlags(app, defaultListenAddress)
	app.Flag("web.max-body-size", "Largest webhook body that is accepted. 10,000 alerts are about 9 MB.").
		Default("64MiB").BytesVar(&maxBody)
	app.Flag("web.max-requests", "Webhook requests worked on at once; past it the answer is 503, which Alertmanager sends again.").
		Default("64").IntVar(&c.receiver.MaxRequests)
	app.Flag("web.max-readers", "Requests for pages and for the API answered at once; past it the answer is 503.").
		Default("256").IntVar(&c.receiver.MaxReaders)
	app.Flag("web.max-live-clients", "Open pages that are kept up to date; past it they have to be loaded again.").
		Default("500").IntVar(&c.receiver.MaxLiveClients)
	app.Flag("web.enable-pprof", "Serve profiles of Muster itself under /debug/pprof.").
		BoolVar(&c.receiver.EnablePprof)
	app.Flag("webhook.token-file", "File with a token that a notification must carry as \"Authorization: Bearer …\". It is read anew when it changes.").
		PlaceHolder("FILE").StringVar(&c.receiver.WebhookTokenFile)
	app.Flag("webhook.max-alerts", "Most alerts in one notification; one with more is refused with 413.").
		Default("100000").IntVar(&c.receiver.MaxAlerts)
	app.Flag("webhook.max-labels", "Most labels, and most annotations, of an alert; one with more is left out, and counts as cut from the notification.").
		Default("256").IntVar(&c.receiver.MaxLabels)
	app.Flag("webhook.max-sources", "Most sources, the names after /webhook/; a notification of one more is refused with 503.").
		Default(strconv.Itoa(c.group.MaxSources)).IntVar(&c.group.MaxSources)
	app.Flag("web.external-url", "URL under which readers reach Muster, for links. Its path is the default of --web.route-prefix.").
		PlaceHolder("URL").StringVar(&c.receiver.ExternalURL)
	app.Flag("web.route-prefix", "Path under which Muster serves everything. Only needed if a proxy takes away the path of --web.external-url.").
		PlaceHolder("PATH").StringVar(&c.receiver.RoutePrefix)
	app.Flag("demo", "Play made-up notifications, on the loopback address and in memory alone.").
		BoolVar(&c.receiver.Demo)
	app.Flag("storage.path", "File that keeps the groups, such as data/muster.db. Empty: they are kept in memory alone. Not used with --redis.url.").
		Default("data/muster.db").StringVar(&c.file.Path)
	app.Flag("redis.url", "URL of the Redis that keeps the groups, instead of --storage.path: redis://127.0.0.1:6379/0, rediss:// for TLS, unix:///path/to/socket. "+
		"Sentinels: redis://sentinel-1:26379/0?master_name=mymaster&addr=sentinel-2:26379. Nodes of a cluster: redis://node-1:6379?addr=node-2:6379.").
		PlaceHolder("URL").StringVar(&c.redis.URL)
	app.Flag("redis.password-file", "File with the password of the Redis, instead of one in the URL.").
		PlaceHolder("FILE").StringVar(&redisPassword)
	app.Flag("redis.sentinel-password-file", "File with the password of the Sentinels, instead of one in the URL.").
		PlaceHolder("FILE").StringVar(&sentinelPassword)
	app.Flag("redis.tls-ca-file", "File with the certificates that sign those of the Redis, instead of the system's. For a URL with rediss://, as the next three.").
		PlaceHolder("FILE").StringVar(&c.redis.TLS.CAFile)
	app.Flag("redis.tls-cert-file", "File with a client certificate for the Redis. It is read anew for each connection.").
		PlaceHolder("FILE").StringVar(&c.redis.TLS.CertFile)
	app.Flag("redis.tls-key-file", "File with the key of the client certificate.").
		PlaceHolder("FILE").StringVar(&c.redis.TLS.KeyFile)
	app.Flag("redis.tls-server-name", "Name that the certificates of the Redis have, where it is not the host that is connected to.").
		PlaceHolder("NAME").StringVar(&c.redis.TLS.ServerName)
	app.Flag("redis.key-prefix", "Prefix of all keys in Redis.").
		Default("muster").StringVar(&c.redis.KeyPrefix)
	app.Flag("redis.shards", "Parts over which the groups are spread, each in one slot of a cluster. The same for all replicas; a change begins anew. 0: 1, in a cluster 16.").
		Default("0").StringVar(&redisShards)
	app.Flag("storage.outage", "What to do with a notification while the storage fails: degrade (keep it in memory, write it back later) or strict (answer 503).").
		Default(string(storage.OutageDegrade)).EnumVar(&c.outage, string(storage.OutageDegrade), string(storage.OutageStrict))
	app.Flag("group.wait", "How long a new group settles before its first flush. Set it to Alertmanager's group_wait.").
		Default(c.group.Wait.String()).DurationVar(&c.group.Wait)
	app.Flag("group.interval", "Time between flushes of a group. Set it to Alertmanager's group_interval.").
		Default(c.group.Interval.String()).DurationVar(&c.group.Interval)
	app.Flag("group.settle", "How long after a resolution a firing from another Alertmanager is held to be an older view. Set it to Alertmanager's --cluster.peer-timeout.").
		Default(c.group.Settle.String()).DurationVar(&c.group.Settle)
	app.Flag("group.stale-after", "How long a firing group may be without a notification before it is marked stale. More than Alertmanager's repeat_interval.").
		Default(c.group.StaleAfter.String()).DurationVar(&c.group.StaleAfter)
	app.Flag("group.max-alerts", "Most alerts kept of a group. For a new one goes the oldest that does not fire; where all fire the new one counts as cut. 0: no limit.").
		Default(strconv.Itoa(c.group.MaxAlerts)).IntVar(&c.group.MaxAlerts)
	app.Flag("retention.groups", "How long a group is kept after its last alert stopped firing.").
		Default(c.group.Retention.String()).DurationVar(&c.group.Retention)
	app.Flag("retention.max-groups", "Most groups kept. For a new one goes the oldest that is resolved, else the oldest that is unreported; where all fire it is refused with 503. 0: no limit.").
		Default(strconv.Itoa(c.group.MaxGroups)).IntVar(&c.group.MaxGroups)
	app.Flag("retention.history", "How long the history is kept.").
		Default("720h").DurationVar(&c.history)
	app.Flag("auto-gomemlimit.ratio", "Share of the container's memory that Go keeps to, by GOMEMLIMIT. 0: it is left as it is.").
		Default("0.9").FloatVar(&c.memoryRatio)
	promslogflag.AddFlags(app, &c.log)
	_, err := app.Parse(args)
	if err != nil {
		return c, err
	}
	if c.memoryRatio < 0 || c.memoryRatio > 1 {
		return c, fmt.Errorf("--auto-gomemlimit.ratio: %g is not between 0 and 1", c.memoryRatio)
	}
	c.receiver.MaxBodySize = int64(maxBody)
	// Not by kingpin: it does not say which flag is wrong.
	if c.redis.Shards, err = strconv.Atoi(redisShards); err != nil {
		return c, fmt.Errorf("--redis.shards: %q is no number", redisShards)
	}
	if c.redis.Password, err = secretFrom("redis.password-file", redisPassword); err != nil {
		return c, err
	}
	if c.redis.SentinelPassword, err = secretFrom("redis.sentinel-password-file", sentinelPassword); err != nil {
		return c, err
	}
	c.receiver.Groups = c.group
	if c.receiver.RoutePrefix == "" {
		external, err := url.Parse(c.receiver.ExternalURL)
		if err != nil {
			return c, fmt.Errorf("--web.external-url: %w", err)
		}
		c.receiver.RoutePrefix = external.Path
	}
	if c.receiver.Demo {
		c.redis.URL, c.file.Path = "", ""
		if slices.Equal(*c.web.WebListenAddresses, []string{defaultListenAddress}) {
			*c.web.WebListenAddresses = []string{"127.0.0.1" + defaultListenAddress}
		}
	}
	return c, nil
}

// secretFrom reads the file that a flag names, if it names one.
func secretFrom(flag, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("--%s: %s is empty", flag, file)
	}
	return secret, nil
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "healthcheck" {
		os.Exit(healthcheck(os.Args[2:]))
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

// healthcheck asks a running Muster whether it is healthy, for containers that
// have no other program to ask with.
func healthcheck(args []string) int {
	app := kingpin.New("muster healthcheck", "Asks a running Muster whether it is healthy.")
	target := app.Flag("url", "Where Muster is.").Default("http://127.0.0.1" + defaultListenAddress + "/-/healthy").String()
	if _, err := app.Parse(args); err != nil {
		fmt.Fprintf(os.Stderr, "error: %s, try --help\n", err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, *target, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		fmt.Fprintln(os.Stderr, res.Status)
		return 1
	}
	return 0
}

// serve builds the house in one line, from the storage up to the web, and runs
// it until a signal or a failure ends it.
func serve(c config, logger *slog.Logger) error {
	logger.Info("Starting Muster", "version", version.Info(), "build", version.BuildContext())
	limitMemory(c.memoryRatio, memlimit.FromCgroup, logger)
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("muster"))
	clock := grouping.NewClock()

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
	server, err := receiver.New(manager, backend.status, reg, reg, logger, c.receiver)
	if err != nil {
		return err
	}
	manager.Watch(server.Publish)
	httpServer := receiver.NewHTTPServer(server, logger)
	httpServer.RegisterOnShutdown(server.Drain)

	// They are stopped in this order, each before what it calls.
	var (
		group run.Group
		lost  error // what the storage could not bring to its backend
	)
	group.Add(run.SignalHandler(context.Background(), syscall.SIGINT, syscall.SIGTERM))
	group.Add(func() error {
		if err := restore(manager, backend, logger); err != nil {
			return err
		}
		return web.ListenAndServe(httpServer, c.web, logger)
	}, func(error) {
		server.Drain()
		ctx, cancel := context.WithTimeout(context.Background(), drainWait)
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
		lost = backend.run(ctx)
		return lost
	})

	signal.Ignore(syscall.SIGHUP) // sent by habit to reload; there is no file to reload
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
			restored: restored,
			close:    func() error { return nil },
		}, nil
	}
	if err != nil {
		return opened{}, err
	}
	joined, err := storage.NewManager(memory, storage.InstrumentDurable(backend, reg), clock, reg, logger,
		storage.ManagerOptions{Outage: storage.Outage(c.outage)})
	if err != nil {
		return opened{}, errors.Join(err, backend.Close())
	}
	return opened{
		groups: joined, status: joined.Status, run: joined.Run, restored: joined.Restored(), close: backend.Close,
	}, nil
}

// addRun adds a life that ends with its context.
func addRun(group *run.Group, fn func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	group.Add(func() error { return fn(ctx) }, func(error) { cancel() })
}
