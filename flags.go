package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/alecthomas/units"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	webflag "github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"muster/grouping"
	"muster/receiver"
	"muster/storage"
)

type config struct {
	web      *web.FlagConfig
	log      promslog.Config
	redis    storage.RedisOptions
	file     storage.FileOptions
	outage   storage.Outage
	group    grouping.Options
	history  time.Duration
	receiver receiver.Options

	shutdownTimeout time.Duration
	memoryRatio     float64

	severityLabel string
	severities    []string
}

const defaultListenAddress = ":9095"

// newFlags returns the flags, which are parsed into the configuration.
func newFlags(c *config) *kingpin.Application {
	app := kingpin.New("muster", "Keeps the state and the history of Alertmanager's alert groups.")
	app.HelpFlag.Short('h')
	app.Version(version.Print("muster"))
	app.UsageWriter(os.Stdout)
	app.DefaultEnvars()

	c.group = grouping.DefaultOptions
	c.web = webflag.AddFlags(app, defaultListenAddress)
	set(app.Flag("web.max-body-size", "Largest webhook body that is accepted. 10,000 alerts are about 9 MB.").
		Default("64MiB"), &c.receiver.MaxBodySize, size)
	set(app.Flag("web.max-requests", "Webhook requests worked on at once; past it the answer is 503, which Alertmanager sends again.").
		Default("64"), &c.receiver.MaxRequests, count(1))
	set(app.Flag("web.max-readers", "Maximum number of answers to readers that are made at once; past it the answer is 503.").
		Default("256"), &c.receiver.MaxReaders, count(1))
	set(app.Flag("web.max-response-memory", "Maximum bytes of answers that wait for their readers; past it the answer is 503. 0: a sixteenth of Go's memory limit, at most 64MiB.").
		Default("0"), &c.receiver.MaxResponseMemory, memorySize)
	set(app.Flag("web.max-live-clients", "Open pages that are kept up to date; past it they have to be loaded again.").
		Default("500"), &c.receiver.MaxLiveClients, count(1))
	app.Flag("web.enable-pprof", "Serve profiles of Muster itself under /debug/pprof.").
		BoolVar(&c.receiver.EnablePprof)
	app.Flag("webhook.token-file", "File with a token that a notification must carry as \"Authorization: Bearer …\". It is read anew when it changes.").
		PlaceHolder("FILE").StringVar(&c.receiver.WebhookTokenFile)
	set(app.Flag("webhook.max-memory", "Maximum bytes that notifications take in memory, decoded; past it the answer is 503, which Alertmanager sends again. "+
		"A larger one is taken alone. 0: a quarter of Go's memory limit, at most 256MiB.").
		Default("0"), &c.receiver.MaxNotificationMemory, memorySize)
	set(app.Flag("webhook.max-alerts", "Most alerts in one notification; one with more is refused with 413.").
		Default("100000"), &c.receiver.MaxAlerts, count(1))
	set(app.Flag("webhook.max-labels", "Most labels, and most annotations, of an alert; one with more is left out, and counts as cut from the notification.").
		Default("256"), &c.receiver.MaxLabels, count(1))
	set(app.Flag("webhook.max-sources", "Most sources, the names after /webhook/; a notification of one more is refused with 503.").
		Default(strconv.Itoa(c.group.MaxSources)), &c.group.MaxSources, count(1))
	app.Flag("ui.heartbeat-matcher", "Matchers of the alerts that always fire, as in a filter; repeatable, one match is enough. The default matches Watchdog and names with DeadMansSwitch.").
		PlaceHolder("MATCHERS").SetValue(&heartbeatFlag{to: &c.group.Heartbeats})
	app.Flag("ui.severity-label", "Label that holds an alert's severity.").
		Default(grouping.DefaultSeverityLabel).StringVar(&c.severityLabel)
	app.Flag("ui.severities", "Words for a severity beside the known ones, as critical=WORD,WORD; critical, warning, info or none. A word that is not known ranks beside warning. Repeatable.").
		PlaceHolder("SEVERITY=WORDS").StringsVar(&c.severities)
	set(app.Flag("web.external-url", "URL under which readers reach Muster, for links. Its path is the default of --web.route-prefix.").
		PlaceHolder("URL"), &c.receiver.ExternalURL, webURL)
	set(app.Flag("web.route-prefix", "Path under which Muster serves everything. Only needed if a proxy takes away the path of --web.external-url.").
		PlaceHolder("PATH"), &c.receiver.RoutePrefix, routePrefix)
	app.Flag("demo", "Play made-up notifications, on the loopback address and in memory alone.").
		BoolVar(&c.receiver.Demo)
	app.Flag("storage.path", "File that keeps the groups, such as data/muster.db. Empty: they are kept in memory alone. Not used with --redis.url.").
		Default("data/muster.db").StringVar(&c.file.Path)
	app.Flag("redis.url", "URL of the Redis that keeps the groups, instead of --storage.path: redis://127.0.0.1:6379/0, rediss:// for TLS, unix:///path/to/socket. "+
		"Sentinels: redis://sentinel-1:26379/0?master_name=mymaster&addr=sentinel-2:26379. Nodes of a cluster: redis://node-1:6379?addr=node-2:6379.").
		PlaceHolder("URL").StringVar(&c.redis.URL)
	set(app.Flag("redis.password-file", "File with the password of the Redis, instead of one in the URL. It is read for each connection.").
		PlaceHolder("FILE"), &c.redis.PasswordFile, secretFile)
	set(app.Flag("redis.sentinel-password-file", "File with the password of the Sentinels, instead of one in the URL. It is read for each connection.").
		PlaceHolder("FILE"), &c.redis.SentinelPasswordFile, secretFile)
	app.Flag("redis.tls-ca-file", "File with the certificates that sign those of the Redis, instead of the system's. It is read for each connection. For a URL with rediss://, as the next three.").
		PlaceHolder("FILE").StringVar(&c.redis.TLS.CAFile)
	app.Flag("redis.tls-cert-file", "File with a client certificate for the Redis. It is read for each connection.").
		PlaceHolder("FILE").StringVar(&c.redis.TLS.CertFile)
	app.Flag("redis.tls-key-file", "File with the key of the client certificate.").
		PlaceHolder("FILE").StringVar(&c.redis.TLS.KeyFile)
	app.Flag("redis.tls-server-name", "Name that the certificates of the Redis have, where it is not the host that is connected to.").
		PlaceHolder("NAME").StringVar(&c.redis.TLS.ServerName)
	app.Flag("redis.key-prefix", "Prefix of all keys in Redis.").
		Default("muster").StringVar(&c.redis.KeyPrefix)
	set(app.Flag("redis.shards", "Parts over which the groups are spread, each in one slot of a cluster. The same for all replicas; a change begins anew. 0: 1, in a cluster 16.").
		Default("0"), &c.redis.Shards, count(0))
	set(app.Flag("storage.outage", "What to do with a notification while the storage fails: degrade (keep it in memory, write it back later) or strict (answer 503).").
		Default(string(storage.OutageDegrade)), &c.outage, oneOf(storage.OutageDegrade, storage.OutageStrict))
	set(app.Flag("shutdown.timeout", "Maximum time for a stop: requests under way are finished, then what only memory holds is written to the storage. Give the process 5 s more.").
		Default("20s"), &c.shutdownTimeout, duration(0))
	set(app.Flag("group.wait", "How long a new group settles before its first flush. Set it to Alertmanager's group_wait.").
		Default(c.group.Wait.String()), &c.group.Wait, duration(0))
	set(app.Flag("group.interval", "Time between flushes of a group. Set it to Alertmanager's group_interval.").
		Default(c.group.Interval.String()), &c.group.Interval, duration(time.Millisecond))
	set(app.Flag("group.settle", "How long after a resolution a firing from another Alertmanager is held to be an older view. Set it to Alertmanager's --cluster.peer-timeout.").
		Default(c.group.Settle.String()), &c.group.Settle, duration(0))
	set(app.Flag("group.stale-after", "How long a firing group may be without a notification before it is marked stale. More than Alertmanager's repeat_interval.").
		Default(c.group.StaleAfter.String()), &c.group.StaleAfter, duration(time.Millisecond))
	set(app.Flag("group.max-alerts", "Most alerts kept of a group. For a new one goes the oldest that does not fire; where all fire the new one counts as cut. 0: no limit.").
		Default(strconv.Itoa(c.group.MaxAlerts)), &c.group.MaxAlerts, count(0))
	set(app.Flag("retention.groups", "How long a group is kept after its last alert stopped firing.").
		Default(c.group.Retention.String()), &c.group.Retention, duration(time.Millisecond))
	set(app.Flag("retention.max-groups", "Most groups kept. For a new one goes the oldest that is resolved, else the oldest that is unreported; where all fire it is refused with 503. 0: no limit.").
		Default(strconv.Itoa(c.group.MaxGroups)), &c.group.MaxGroups, count(0))
	set(app.Flag("retention.history", "How long the history is kept.").
		Default("720h"), &c.history, duration(time.Millisecond))
	set(app.Flag("auto-gomemlimit.ratio", "Share of the container's memory that Go keeps to, by GOMEMLIMIT. 0: it is left as it is.").
		Default("0.9"), &c.memoryRatio, share)
	promslogflag.AddFlags(app, &c.log)
	for _, name := range []string{promslogflag.LevelFlagName, promslogflag.FormatFlagName} {
		f := app.GetFlag(name)
		f.SetValue(namedValue{f.Model().Value, name})
	}
	ignoreVariables(app)
	return app
}

func parseFlags(args []string) (config, error) {
	var c config
	return c, parseInto(newFlags(&c), &c, args)
}

// parseInto parses the flags into the configuration, and completes it.
func parseInto(app *kingpin.Application, c *config, args []string) error {
	if _, err := app.Parse(args); err != nil {
		return cmp.Or(checkBooleans(app), err)
	}
	if err := grouping.SetSeverities(c.severityLabel, c.severities); err != nil {
		return fmt.Errorf("--ui.severities: %w", err)
	}
	c.receiver.Groups = c.group
	if external, err := url.Parse(c.receiver.ExternalURL); err == nil && c.receiver.RoutePrefix == "" {
		c.receiver.RoutePrefix = external.Path
	}
	if c.receiver.Demo {
		c.redis.URL, c.file.Path = "", ""
		if slices.Equal(*c.web.WebListenAddresses, []string{defaultListenAddress}) {
			*c.web.WebListenAddresses = []string{"127.0.0.1" + defaultListenAddress}
		}
	}
	return nil
}

// checkBooleans names the variable, and the flag that is on or off, of which
// kingpin says only that a text is no boolean.
func checkBooleans(app *kingpin.Application) error {
	for _, f := range app.Model().Flags {
		text := os.Getenv(f.Envar)
		if !f.IsBoolFlag() || f.Envar == "" || text == "" {
			continue
		}
		if _, err := strconv.ParseBool(text); err != nil {
			return fmt.Errorf("%s: --%s: %q is neither true nor false", f.Envar, f.Name, text)
		}
	}
	return nil
}

// ignoreVariables keeps flags that are no settings from claiming a variable:
// images and platforms set names such as MUSTER_VERSION.
func ignoreVariables(app *kingpin.Application) {
	for _, name := range []string{"help", "help-long", "help-man", "completion-bash", "completion-script-bash", "completion-script-zsh", "version"} {
		if f := app.GetFlag(name); f != nil {
			f.NoEnvar()
		}
	}
}

// flagValue names the flag in what is wrong with its text; kingpin does not.
type flagValue[T any] struct {
	name  string
	to    *T
	parse func(string) (T, error)
}

func set[T any](f *kingpin.FlagClause, to *T, parse func(string) (T, error)) {
	f.SetValue(flagValue[T]{f.Model().Name, to, parse})
}

// Set is part of kingpin.Value.
func (v flagValue[T]) Set(text string) (err error) {
	if *v.to, err = v.parse(text); err != nil {
		return fmt.Errorf("--%s: %w", v.name, err)
	}
	return nil
}

// String is part of kingpin.Value. It tells nothing: some are secret.
func (v flagValue[T]) String() string { return "" }

// namedValue names the flag in what is wrong with its text, for a value that
// another package parses.
type namedValue struct {
	kingpin.Value

	name string
}

// Set is part of kingpin.Value.
func (v namedValue) Set(text string) error {
	if err := v.Value.Set(text); err != nil {
		return fmt.Errorf("--%s: %w", v.name, err)
	}
	return nil
}

func count(least int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("%q is not a whole number", text)
		}
		if n < least {
			return 0, fmt.Errorf("%d is less than %d", n, least)
		}
		return n, nil
	}
}

func duration(least time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := model.ParseDuration(text)
		if err != nil {
			return 0, err
		}
		if time.Duration(d) < least {
			return 0, fmt.Errorf("%s is less than %s", text, least)
		}
		return time.Duration(d), nil
	}
}

func size(text string) (int64, error) {
	n, err := units.ParseBase2Bytes(text)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q is not a size such as 64MiB", text)
	}
	return int64(n), nil
}

// memorySize is a size, or 0 for one that depends on the memory limit.
func memorySize(text string) (int64, error) {
	if text == "0" {
		return 0, nil
	}
	return size(text)
}

func share(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return 0, fmt.Errorf("%q is not a number between 0 and 1", text)
	}
	return f, nil
}

func oneOf[T ~string](values ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		if !slices.Contains(values, T(text)) {
			return "", fmt.Errorf("%q is none of %v", text, values)
		}
		return T(text), nil
	}
}

// secretFile checks that the file has a secret.
func secretFile(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	_, err := storage.ReadSecret(name)
	return name, err
}

func webURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		strings.Contains(u.Path, "//") {
		return "", errors.New("it is not of the form https://example.com/path")
	}
	_, err = routePrefix(u.Path)
	return text, err
}

// aPath has nothing that a router takes for a wildcard.
var aPath = regexp.MustCompile(`^(/[\w~-][\w.~-]*)*$`)

func routePrefix(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	prefix := "/" + strings.Trim(text, "/")
	if prefix != "/" && !aPath.MatchString(prefix) {
		return "", fmt.Errorf("the path %q has more than letters, digits and . _ ~ -", text)
	}
	return prefix, nil
}
