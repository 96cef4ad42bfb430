package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
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
	toolkit "github.com/prometheus/exporter-toolkit/web"
	webflag "github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"muster/alertmanager"
	"muster/api"
	"muster/grouping"
	"muster/internal/namedflag"
	"muster/internal/person"
	"muster/internal/reply"
	"muster/pages"
	"muster/receiver"
	"muster/storage"
	"muster/storage/redis"
	"muster/web"
)

type config struct {
	web      *toolkit.FlagConfig
	log      promslog.Config
	storage  storage.Options
	group    grouping.Options
	receiver receiver.Options
	hub      api.HubOptions
	exports  api.ExportOptions

	historyLog api.HistoryLogOptions

	readers reply.ReaderOptions
	pages   pages.Options
	router  web.RouterOptions
	people  person.Policy
	poller  alertmanager.Options

	shutdownTimeout time.Duration
	memoryRatio     float64

	severityLabel string
	severities    []string
}

const defaultListenAddress = ":9095"

// newFlags defines the flags. Parsing them fills the configuration.
func newFlags(c *config) *kingpin.Application {
	app := kingpin.New("muster", "Stores the state and the history of Alertmanager's alert groups.")
	app.HelpFlag.Short('h')
	app.Version(version.Print("muster"))
	app.UsageWriter(os.Stdout)
	app.DefaultEnvars()

	c.group, c.storage, c.pages = grouping.DefaultOptions, storage.DefaultOptions(), pages.DefaultOptions()
	c.receiver, c.readers = receiver.DefaultOptions(math.MaxInt64), reply.DefaultReaderOptions(math.MaxInt64)
	c.hub, c.router, c.poller = api.DefaultHubOptions(), web.DefaultRouterOptions(), alertmanager.DefaultOptions(math.MaxInt64)
	c.exports, c.historyLog = api.DefaultExportOptions(), api.DefaultHistoryLogOptions()
	c.web = webflag.AddFlags(app, defaultListenAddress)
	setFlag(app.Flag("web.max-body-size", "Maximum size of a body that Alertmanager posts. 10,000 alerts are about 9 MB.").
		Default(units.Base2Bytes(c.receiver.MaxBodySize).String()), &c.receiver.MaxBodySize, size)
	setFlag(app.Flag("web.max-requests", "Maximum number of concurrent webhook requests. "+
		"Further ones get 503, and Alertmanager retries them.").
		Default(strconv.Itoa(c.receiver.MaxRequests)), &c.receiver.MaxRequests, integer(1))
	setFlag(app.Flag("web.max-readers", "Maximum number of responses to readers that are built at the same time. Further requests get 503.").
		Default(strconv.Itoa(c.readers.MaxReaders)), &c.readers.MaxReaders, integer(1))
	setFlag(app.Flag("web.max-response-memory", "Maximum number of bytes of responses that wait for slow readers. "+
		"Above it, requests get 503. 0 means a sixteenth of Go's memory limit, at most 64MiB.").
		Default("0"), &c.readers.MaxResponseMemory, memorySize)
	setFlag(app.Flag("web.max-live-clients", "Maximum number of open pages with live updates. Further pages must be reloaded by hand.").
		Default(strconv.Itoa(c.hub.MaxClients)), &c.hub.MaxClients, integer(1))
	setFlag(app.Flag("web.max-exports", "Maximum number of concurrent exports of events, groups and reports. Further requests get 503.").
		Default(strconv.Itoa(c.exports.MaxExports)), &c.exports.MaxExports, integer(1))
	setFlag(app.Flag("web.max-tails", "Maximum number of clients that follow the history. Further requests get 503.").
		Default(strconv.Itoa(c.exports.MaxTails)), &c.exports.MaxTails, integer(1))
	setFlag(app.Flag("web.user-header", "Name of the header in which an authenticating proxy names the user. "+
		"It needs --web.user-header-from.").
		PlaceHolder("HEADER"), &c.people.Header, person.ParseHeader)
	addFlag(app.Flag("web.user-header-from", "Address or network of the proxy that sets --web.user-header. Repeatable. "+
		"The header is ignored in all other requests.").
		PlaceHolder("ADDRESS"), &c.people.HeaderFrom, person.ParseFrom)
	addFlag(app.Flag("web.writers", "Name of a verified user who may acknowledge, write notes and silence. Repeatable. "+
		"The default is everyone.").
		PlaceHolder("NAME"), &c.people.Writers, person.ParseWriter)
	app.Flag("web.read-only", "Whether nobody may acknowledge, write notes and silence. Notifications are kept as always.").
		BoolVar(&c.people.ReadOnly)
	app.Flag("web.allow-unverified-silences", "Whether people may silence whose names nobody verified. "+
		"Then everyone who reaches Muster may silence alerts under any name.").
		BoolVar(&c.people.Silences.Unverified)
	app.Flag("web.enable-pprof", "Whether to serve profiles of Muster under /debug/pprof.").
		BoolVar(&c.router.EnablePprof)
	app.Flag("webhook.token-file", "Path of a file with tokens, one per line. "+
		"Notifications and events must carry one of them as \"Authorization: Bearer …\". The file is read again when it changes.").
		PlaceHolder("FILE").StringVar(&c.receiver.TokenFile)
	setFlag(app.Flag("webhook.max-memory", "Maximum number of bytes of decoded notifications in memory. "+
		"Further notifications get 503, and Alertmanager retries them. "+
		"A notification that is larger than the limit is accepted if no other notification is in memory. "+
		"0 means a quarter of Go's memory limit, at most 256MiB.").
		Default("0"), &c.receiver.MaxMemory, memorySize)
	setFlag(app.Flag("events.max-requests", "Maximum number of concurrent requests of Alertmanager's event recorder. "+
		"Further ones get 503, and Alertmanager retries them for a while.").
		Default(strconv.Itoa(c.receiver.MaxEventRequests)), &c.receiver.MaxEventRequests, integer(1))
	setFlag(app.Flag("events.max-memory", "Maximum number of bytes of decoded events in memory. "+
		"Further ones get 503. 0 means an eighth of Go's memory limit, at most 128MiB.").
		Default("0"), &c.receiver.MaxEventMemory, memorySize)
	setFlag(app.Flag("webhook.max-alerts", "Maximum number of alerts in a notification. Larger notifications are rejected with 413.").
		Default(strconv.Itoa(c.receiver.MaxAlerts)), &c.receiver.MaxAlerts, integer(1))
	setFlag(app.Flag("webhook.max-labels", "Maximum number of labels of an alert, and maximum number of its annotations. "+
		"An alert with more is left out and counts as truncated.").
		Default(strconv.Itoa(c.receiver.MaxLabels)), &c.receiver.MaxLabels, integer(1))
	setFlag(app.Flag("webhook.max-sources", "Maximum number of sources, which are the names after /webhook/. "+
		"Notifications of further sources are rejected with 503.").
		Default(strconv.Itoa(c.group.MaxSources)), &c.group.MaxSources, integer(1))
	addFlag(app.Flag("alertmanager.url", "URL of an Alertmanager whose alerts and silences Muster reads, as [source=]URL. Repeatable. "+
		"Several URLs of a source are its replicas.").
		PlaceHolder("URL"), &c.poller.Targets, alertmanagerURL)
	setFlag(app.Flag("alertmanager.interval", "Time between two polls of an Alertmanager. It is longer for one that answers slowly.").
		Default(c.poller.Interval.String()), &c.poller.Interval, duration(time.Second))
	addFlag(app.Flag("alertmanager.http-config-file", "Path of a file with the credentials and the TLS settings for the Alertmanagers "+
		"of a source, as [source=]FILE, in the form of Prometheus' HTTP client. Repeatable. "+
		"The file is read again when it changes. Redirects are never followed.").
		PlaceHolder("FILE"), &c.poller.ConfigFiles, alertmanagerConfigFile)
	addFlag(app.Flag("alertmanager.receiver", "Name of a receiver whose groups Muster keeps before it gets a notification for it, "+
		"as [source=]NAME. Repeatable.").
		PlaceHolder("NAME"), &c.group.Receivers, alertmanagerReceiver)
	app.Flag("alertmanager.allow-silences", "Whether people may make, extend and expire silences in Alertmanager through Muster. "+
		"It needs --alertmanager.url and verified names.").
		BoolVar(&c.people.Silences.Allowed)
	app.Flag("ui.heartbeat-matcher", "Matchers of alerts that always fire (heartbeats), in the syntax of a filter. "+
		"Repeatable, one match is enough. The default matches Watchdog and names that contain DeadMansSwitch.").
		PlaceHolder("MATCHERS").SetValue(&heartbeatFlag{to: &c.group.Heartbeats})
	app.Flag("ui.severity-label", "Name of the label that holds the severity of an alert.").
		Default(grouping.DefaultSeverityLabel).StringVar(&c.severityLabel)
	app.Flag("ui.severities", "Additional words for one of the severities critical, warning, info and none, as critical=WORD,WORD. "+
		"An unknown word ranks like warning. Repeatable.").
		PlaceHolder("SEVERITY=WORDS").StringsVar(&c.severities)
	setFlag(app.Flag("web.external-url", "URL under which readers reach Muster, used for links. "+
		"Its path is the default of --web.route-prefix.").
		PlaceHolder("URL"), &c.pages.ExternalURL, webURL)
	setFlag(app.Flag("web.route-prefix", "Path prefix of all routes. Only needed if a proxy removes the path of --web.external-url.").
		PlaceHolder("PATH"), &c.router.RoutePrefix, routePrefix)
	app.Flag("demo", "Whether to play an invented story of notifications. "+
		"Muster then listens on the loopback address and keeps everything in memory.").
		BoolVar(&c.pages.Demo)
	app.Flag("storage.path", "Path of the file that stores the groups, such as data/muster.db. "+
		"If it is empty, groups are kept in memory only. Not used with --redis.url.").
		Default(c.storage.File.Path).StringVar(&c.storage.File.Path)
	app.Flag("redis.url", "URL of the Redis that stores the groups, instead of --storage.path: "+
		"redis://127.0.0.1:6379/0, rediss:// for TLS, unix:///path/to/socket. "+
		"Sentinels: redis://sentinel-1:26379/0?master_name=mymaster&addr=sentinel-2:26379. "+
		"Nodes of a cluster: redis://node-1:6379?addr=node-2:6379.").
		PlaceHolder("URL").StringVar(&c.storage.Redis.URL)
	setFlag(app.Flag("redis.password-file", "Path of a file with the password of Redis, instead of a password in the URL. "+
		"It is read for each connection.").
		PlaceHolder("FILE"), &c.storage.Redis.PasswordFile, secretFile)
	setFlag(app.Flag("redis.sentinel-password-file", "Path of a file with the password of the Sentinels, instead of a password in the URL. "+
		"It is read for each connection.").
		PlaceHolder("FILE"), &c.storage.Redis.SentinelPasswordFile, secretFile)
	app.Flag("redis.tls-ca-file", "Path of a file with the CA certificates for Redis, instead of those of the system. "+
		"It is read for each connection. All --redis.tls-* flags need a URL with rediss://.").
		PlaceHolder("FILE").StringVar(&c.storage.Redis.TLS.CAFile)
	app.Flag("redis.tls-cert-file", "Path of a file with the client certificate for Redis. It is read for each connection.").
		PlaceHolder("FILE").StringVar(&c.storage.Redis.TLS.CertFile)
	app.Flag("redis.tls-key-file", "Path of a file with the key of the client certificate.").
		PlaceHolder("FILE").StringVar(&c.storage.Redis.TLS.KeyFile)
	app.Flag("redis.tls-server-name", "Host name in the certificate of Redis, if it differs from the host in the URL.").
		PlaceHolder("NAME").StringVar(&c.storage.Redis.TLS.ServerName)
	app.Flag("redis.key-prefix", "Prefix of all keys in Redis.").
		Default(c.storage.Redis.KeyPrefix).StringVar(&c.storage.Redis.KeyPrefix)
	setFlag(app.Flag("redis.shards", "Number of shards over which the groups are spread. Each is in one slot of a Redis Cluster. "+
		"All replicas need the same number, and with a new number Muster starts empty. 0 means 1, or 16 in a cluster.").
		Default(strconv.Itoa(c.storage.Redis.Shards)), &c.storage.Redis.Shards, integer(0))
	setFlag(app.Flag("storage.outage", "How to handle notifications while the storage fails: "+
		"degrade keeps them in memory and writes them later, strict answers 503.").
		Default(string(c.storage.Tiered.Outage)), &c.storage.Tiered.Outage, oneOf(storage.OutageDegrade, storage.OutageStrict))
	setFlag(app.Flag("shutdown.timeout", "Maximum time for a shutdown. It finishes open requests, then writes unsaved groups to the storage. "+
		"Give the process 5 s more.").
		Default("20s"), &c.shutdownTimeout, duration(0))
	setFlag(app.Flag("group.wait", "Time that a new group settles before its first flush. Set it to Alertmanager's group_wait.").
		Default(c.group.Wait.String()), &c.group.Wait, duration(0))
	setFlag(app.Flag("group.interval", "Time between flushes of a group. Set it to Alertmanager's group_interval.").
		Default(c.group.Interval.String()), &c.group.Interval, duration(time.Millisecond))
	setFlag(app.Flag("group.settle", "Time after a resolution in which a firing alert from another Alertmanager counts as an older view. "+
		"Set it to Alertmanager's --cluster.peer-timeout.").
		Default(c.group.Settle.String()), &c.group.Settle, duration(0))
	setFlag(app.Flag("group.stale-after", "Time without a notification after which a firing group is marked stale. "+
		"Set it higher than Alertmanager's repeat_interval.").
		Default(c.group.StaleAfter.String()), &c.group.StaleAfter, duration(time.Millisecond))
	setFlag(app.Flag("group.max-alerts", "Maximum number of alerts in a group. A new alert evicts the oldest alert that does not fire. "+
		"If all alerts fire, the new one counts as truncated. 0 means no limit.").
		Default(strconv.Itoa(c.group.MaxAlerts)), &c.group.MaxAlerts, integer(0))
	setFlag(app.Flag("retention.groups", "How long to keep a group after its last alert stopped firing.").
		Default(c.group.Retention.String()), &c.group.Retention, duration(time.Millisecond))
	setFlag(app.Flag("retention.max-groups", "Maximum number of groups. "+
		"A new group evicts the oldest resolved group, or else the oldest unreported one. "+
		"If all groups fire, the new one is rejected with 503. 0 means no limit.").
		Default(strconv.Itoa(c.group.MaxGroups)), &c.group.MaxGroups, integer(0))
	setFlag(app.Flag("retention.history", "How long to keep the history.").
		Default(c.storage.HistoryRetention.String()), &c.storage.HistoryRetention, duration(time.Millisecond))
	setFlag(app.Flag("history.log", "Path of a file to which each event of this process is appended as a line of JSON, "+
		"or - for the standard output. If the file is moved away, it is created again.").
		PlaceHolder("FILE"), &c.historyLog.Path, logFile)
	setFlag(app.Flag("auto-gomemlimit.ratio", "Ratio of the container's memory limit that GOMEMLIMIT is set to. "+
		"0 leaves GOMEMLIMIT unchanged.").
		Default("0.9"), &c.memoryRatio, ratio)
	promslogflag.AddFlags(app, &c.log)
	for _, name := range []string{promslogflag.LevelFlagName, promslogflag.FormatFlagName} {
		f := app.GetFlag(name)
		f.SetValue(namedflag.Value{Value: f.Model().Value, Name: name})
	}
	ignoreVariables(app)
	return app
}

func parseFlags(args []string) (config, error) {
	var c config
	return c, parseInto(newFlags(&c), &c, args)
}

// parseInto parses the flags into the configuration. Then it derives the values that
// depend on several flags.
func parseInto(app *kingpin.Application, c *config, args []string) error {
	if _, err := app.Parse(args); err != nil {
		return cmp.Or(checkBooleans(app), err)
	}
	if err := grouping.SetSeverities(c.severityLabel, c.severities); err != nil {
		return fmt.Errorf("--ui.severities: %w", err)
	}
	if err := c.poller.Validate(); err != nil {
		return err
	}
	switch {
	case c.people.Silences.Allowed && len(c.poller.Targets) == 0:
		return errors.New("--alertmanager.allow-silences needs --alertmanager.url: the Alertmanager that makes the silences")
	case c.people.Silences.Unverified && !c.people.Silences.Allowed:
		return errors.New("--web.allow-unverified-silences has no effect without --alertmanager.allow-silences")
	}
	if err := checkRedis(&c.storage.Redis); err != nil {
		return err
	}
	if external, err := url.Parse(c.pages.ExternalURL); err == nil {
		c.router.ExternalOrigin = originOf(external)
		c.router.RoutePrefix = cmp.Or(c.router.RoutePrefix, external.Path)
	}
	c.poller.MaxLabels = c.receiver.MaxLabels
	c.pages.RoutePrefix, c.pages.Groups, c.pages.Settings = c.router.RoutePrefix, c.group, settings(app)
	if c.pages.Demo {
		c.storage.Redis.URL, c.storage.File.Path = "", ""
		if slices.Equal(*c.web.WebListenAddresses, []string{defaultListenAddress}) {
			*c.web.WebListenAddresses = []string{"127.0.0.1" + defaultListenAddress}
		}
	}
	return nil
}

// checkRedis returns an error for a flag that has no effect, because --redis.url is missing.
// Otherwise a mistake in the name of its variable would leave the groups in a file.
func checkRedis(o *redis.Options) error {
	if o.URL != "" {
		return nil
	}
	for _, f := range []struct{ name, value string }{
		{"password-file", o.PasswordFile},
		{"sentinel-password-file", o.SentinelPasswordFile},
		{"tls-ca-file", o.TLS.CAFile},
		{"tls-cert-file", o.TLS.CertFile},
		{"tls-key-file", o.TLS.KeyFile},
		{"tls-server-name", o.TLS.ServerName},
	} {
		if f.value != "" {
			return fmt.Errorf("--redis.%s has no effect without --redis.url", f.name)
		}
	}
	return nil
}

// applyMemoryLimit sets the options whose flags are 0, and whose default depends on
// Go's memory limit.
func (c *config) applyMemoryLimit(limit int64) {
	in := receiver.DefaultOptions(limit)
	c.receiver.MaxMemory = cmp.Or(c.receiver.MaxMemory, in.MaxMemory)
	c.receiver.MaxEventMemory = cmp.Or(c.receiver.MaxEventMemory, in.MaxEventMemory)
	c.poller.Client.MaxBytes = alertmanager.DefaultOptions(limit).Client.MaxBytes
	c.readers.MaxResponseMemory = cmp.Or(c.readers.MaxResponseMemory, reply.DefaultReaderOptions(limit).MaxResponseMemory)
}

// checkBooleans returns an error for a boolean flag whose environment variable is not
// valid. The error of kingpin names neither the variable nor the flag.
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

// ignoreVariables removes the environment variables of flags that are not settings.
// Images and platforms set names such as MUSTER_VERSION for other purposes.
func ignoreVariables(app *kingpin.Application) {
	for _, name := range []string{
		"help", "help-long", "help-man", "completion-bash", "completion-script-bash", "completion-script-zsh", "version",
	} {
		if f := app.GetFlag(name); f != nil {
			f.NoEnvar()
		}
	}
}

// flagValue adds the name of the flag to errors, which kingpin does not do.
type flagValue[T any] struct {
	name  string
	to    *T
	parse func(string) (T, error)
	text  string // as it was given
}

// setFlag makes the flag parse its text with parse, and store the value in to.
func setFlag[T any](f *kingpin.FlagClause, to *T, parse func(string) (T, error)) {
	f.SetValue(&flagValue[T]{name: f.Model().Name, to: to, parse: parse})
}

// Set is part of kingpin.Value.
func (v *flagValue[T]) Set(text string) (err error) {
	if *v.to, err = v.parse(text); err != nil {
		return fmt.Errorf("--%s: %w", v.name, err)
	}
	v.text = text
	return nil
}

// String is part of kingpin.Value. It returns nothing, because kingpin may print it and
// some values are secret.
func (v *flagValue[T]) String() string { return "" }

// setting returns the text that was given.
func (v *flagValue[T]) setting() string { return v.text }

// integer returns a parser for whole numbers of at least minimum.
func integer(minimum int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("%q is not a whole number", text)
		}
		if n < minimum {
			return 0, fmt.Errorf("%d is less than %d", n, minimum)
		}
		return n, nil
	}
}

// duration returns a parser for Prometheus durations of at least minimum.
func duration(minimum time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := model.ParseDuration(text)
		if err != nil {
			return 0, err
		}
		if time.Duration(d) < minimum {
			return 0, fmt.Errorf("%s is less than %s", text, minimum)
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

// memorySize parses a size. 0 means a default that depends on the memory limit.
func memorySize(text string) (int64, error) {
	if text == "0" {
		return 0, nil
	}
	return size(text)
}

func ratio(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return 0, fmt.Errorf("%q is not a number between 0 and 1", text)
	}
	return f, nil
}

func oneOf[T ~string](values ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		if !slices.Contains(values, T(text)) {
			return "", fmt.Errorf("%q is not one of %v", text, values)
		}
		return T(text), nil
	}
}

// secretFile checks that the file contains a secret, and returns its name.
func secretFile(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	_, err := redis.ReadSecret(name)
	return name, err
}

// logFile checks that the file is not a folder and that its folder exists, and returns the
// name of the file.
func logFile(name string) (string, error) {
	if name == "" || name == api.StandardOutput {
		return name, nil
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return "", fmt.Errorf("%s is a folder", name)
	}
	info, err := os.Stat(filepath.Dir(name))
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", filepath.Dir(name))
	}
	return name, err
}

func webURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		strings.Contains(u.Path, "//") {
		return "", errors.New("the URL must have the form https://example.com/path, without user, query and fragment")
	}
	_, err = routePrefix(u.Path)
	return text, err
}

// originOf returns the origin of a URL as a browser writes it, or "" if the URL has no host.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	for scheme, port := range map[string]string{"http": ":80", "https": ":443"} {
		if u.Scheme == scheme {
			host = strings.TrimSuffix(host, port)
		}
	}
	if host == "" {
		return ""
	}
	return u.Scheme + "://" + host
}

// routePattern matches paths without characters that the router treats as wildcards.
var routePattern = regexp.MustCompile(`^(/[\w~-][\w.~-]*)*$`)

func routePrefix(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	prefix := "/" + strings.Trim(text, "/")
	if prefix != "/" && !routePattern.MatchString(prefix) {
		return "", fmt.Errorf("the path %q may contain only letters, digits and . _ ~ -", text)
	}
	return prefix, nil
}
