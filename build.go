package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"

	"muster/alertmanager"
	"muster/api"
	"muster/grouping"
	"muster/internal/limit"
	"muster/internal/past"
	"muster/internal/reply"
	"muster/pages"
	"muster/receiver"
	"muster/storage"
	"muster/web"
)

// muster has the parts of the program that run or stop.
type muster struct {
	storage  storage.Storage
	manager  *grouping.Manager
	past     *past.Reader
	poller   *alertmanager.Poller
	webhooks *receiver.Door
	hub      *api.Hub
	log      *api.HistoryLog
	router   *web.Router
	http     *http.Server
	server   *web.Server
}

// build constructs all parts, from the storage up to the HTTP server. It starts none
// of them.
func build(c config, logger *slog.Logger) (*muster, error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("muster"))
	webConfig, err := web.Load(*c.web.WebConfigFile, reg, logger)
	if err != nil {
		return nil, err
	}
	c.people.HasUsers = webConfig.HasUsers
	if err := errors.Join(c.people.Validate(), c.people.ValidateSilences()); err != nil {
		return nil, err
	}
	clock := grouping.NewClock()
	c.storage.GroupRetention = c.group.Retention
	c.group.HistoryRetention, c.group.OnlyMuster = c.storage.HistoryRetention, c.storage.Redis.URL == ""
	if c.storage.Redis.URL == "" && c.storage.File.Path == "" {
		c.group.CheckpointBytes /= 4 // they are in memory too
	}
	store, err := storage.Open(c.storage, clock, reg, logger)
	if err != nil {
		return nil, err
	}
	m := &muster{storage: store}
	if err := m.buildDoors(c, clock, webConfig, reg, logger); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return m, nil
}

// buildDoors constructs everything above the storage.
func (m *muster) buildDoors(
	c config, clock *grouping.Clock, webConfig *web.Config, reg *prometheus.Registry, logger *slog.Logger,
) error {
	limits, err := limit.NewRegistry(reg, logger)
	if err != nil {
		return err
	}
	if m.hub, err = api.NewHub(limits, reg, c.hub); err != nil {
		return err
	}
	if m.log, err = api.NewHistoryLog(reg, logger, c.historyLog); err != nil {
		return err
	}
	if m.poller, err = alertmanager.New(reg, logger, c.poller); err != nil {
		return err
	}
	if m.manager, err = grouping.NewManager(m.storage, clock, m.groupChanged, reg, logger, c.group); err != nil {
		return err
	}
	m.past = past.New(m.manager)
	if m.webhooks, err = receiver.New(m.manager, limits, reg, logger, c.receiver); err != nil {
		return err
	}
	people := &c.people
	people.IsSender = m.webhooks.HasToken
	readers, err := reply.NewReaders(limits, c.readers)
	if err != nil {
		return err
	}
	silences := alertmanager.DefaultSilencerOptions()
	silences.Allowed = people.MaySilence()
	silencer, err := alertmanager.NewSilencer(m.poller, m.manager, logger, silences)
	if err != nil {
		return err
	}
	status := m.storage.Status
	problems := func() []string {
		return slices.Concat(webConfig.Problems(), m.webhooks.Problems(), m.poller.Problems())
	}
	exports, err := api.NewExports(limits, reg, c.exports)
	if err != nil {
		return err
	}
	json := api.New(api.Dependencies{
		Groups: m.manager, Past: m.past, Hub: m.hub, Exports: exports, Readers: readers, Limits: limits, People: people,
		Silencer: silencer, Storage: status, Problems: problems, Logger: logger,
	})
	c.pages.PollInterval = c.poller.Interval
	renderer, err := c.pages.NewRenderer()
	if err != nil {
		return err
	}
	html, err := pages.New(pages.Dependencies{
		Groups: m.manager, Past: m.past, Live: m.hub, Readers: readers, Limits: limits, People: people,
		Silencer: silencer, Storage: status, Problems: problems, Renderer: renderer, Logger: logger,
	}, c.pages)
	if err != nil {
		return err
	}
	c.router.WebhookPath, c.router.EventsPath, c.router.NotFound = receiver.Path, receiver.EventsPath, html.NotFound
	c.router.ReadyNote = func() string { return readyNote(status()) }
	if m.router, err = web.NewRouter(limits, reg, reg, logger, c.router, m.webhooks, json, html); err != nil {
		return err
	}
	m.http = web.NewHTTPServer(m.router, logger)
	m.server = web.New(webConfig, m.http, limits, logger, c.webOptions())
	return nil
}

// groupChanged publishes the change of a group, and logs its events. If an alert became unreported, an Alertmanager
// may know why.
func (m *muster) groupChanged(u grouping.Update) {
	m.hub.Publish(u)
	m.log.Publish(u)
	if becameUnreported(u) {
		m.poller.Poke(u.Group.Source)
	}
}

// becameUnreported reports whether a change, also one by another replica, made an alert
// unreported.
func becameUnreported(u grouping.Update) bool {
	return u.Group != nil && u.Before != nil && u.Group.Counts.Unreported > u.Before.Counts.Unreported
}

// drain makes the webhook answer 503 and ends the live updates. Requests that are
// being answered go on.
func (m *muster) drain() {
	m.router.Drain()
	m.webhooks.Drain()
	m.hub.Close()
}

// webOptions returns the options of the server around the router.
func (c *config) webOptions() web.Options {
	prefix := strings.TrimRight(c.router.RoutePrefix, "/")
	return web.Options{
		Addresses: *c.web.WebListenAddresses, Systemd: c.web.WebSystemdSocket != nil && *c.web.WebSystemdSocket,
		Open: []string{prefix + web.HealthyPath, prefix + web.ReadyPath},
	}
}

// readyNote returns what the ready probe says about the storage.
func readyNote(st grouping.StorageStatus) string {
	if st.Healthy {
		return ""
	}
	return fmt.Sprintf("Storage: %s is down (%s).\n", st.Mode, st.Reason)
}
