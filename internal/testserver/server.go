package testserver

import (
	"cmp"
	"context"
	"io"
	"iter"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/api"
	"muster/grouping"
	"muster/history"
	"muster/internal/limit"
	"muster/internal/past"
	"muster/internal/person"
	"muster/internal/reply"
	"muster/pages"
	"muster/receiver"
	"muster/storage"
	"muster/web"
)

// Groups is all that the doors need from the domain.
type Groups interface {
	Stamp() grouping.Stamp
	Ingest(ctx context.Context, n grouping.Notification) (grouping.Outcome, error)
	Observe(ctx context.Context, source string, all []grouping.Observation) error
	RecordHeard(source string, heard []grouping.Heard)
	All(ctx context.Context) ([]*grouping.AlertGroup, error)
	Get(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error)
	List(ctx context.Context, q grouping.ListQuery) (grouping.GroupPage, error)
	Selects(ctx context.Context, q grouping.ListQuery) (bool, error)
	LabelValues(ctx context.Context, name string) ([]string, error)
	ByFingerprint(ctx context.Context, fp grouping.Fingerprint) ([]*grouping.AlertGroup, error)
	Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error)
	StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error]
	Find(ctx context.Context, receiver string, groupLabels grouping.Labels) ([]*grouping.AlertGroup, error)
	Totals(ctx context.Context) (grouping.Totals, error)
	SummarizeMutes(ctx context.Context, q grouping.ListQuery) (grouping.MuteSummary, error)
	SilenceOf(source, id string) *grouping.Silence
	ListedUntil(source string, fp grouping.Fingerprint) time.Time
	ListedBy(source string, fp grouping.Fingerprint) string
	MuteSeen(source string, fp grouping.Fingerprint, mute grouping.Mute) time.Time
	Silences(ctx context.Context, q grouping.SilenceQuery) (grouping.SilencePage, error)
	AllSilences(ctx context.Context, source string) ([]grouping.SilenceInfo, error)
	Silence(ctx context.Context, source, id string) (grouping.SilenceInfo, error)
	SourceReports(ctx context.Context) ([]grouping.SourceReport, error)
	Acknowledge(ctx context.Context, id grouping.ID, r grouping.AckRequest) (*grouping.AlertGroup, error)
	Unacknowledge(ctx context.Context, id grouping.ID, r grouping.UnackRequest) (*grouping.AlertGroup, error)
	AddNote(ctx context.Context, id grouping.ID, r grouping.NoteRequest) (*grouping.AlertGroup, error)
	Close(ctx context.Context, id grouping.ID, r grouping.CloseRequest) (*grouping.AlertGroup, error)
	Gaps(ctx context.Context, since, until time.Time) ([]grouping.Gap, error)
	Heartbeats(ctx context.Context) ([]grouping.Heartbeat, error)
}

// Past is all that the doors need to know about the past.
type Past interface {
	At(ctx context.Context, t time.Time) (*history.Wall, error)
	GroupBefore(ctx context.Context, g *grouping.AlertGroup, read *grouping.EventPage, now time.Time) (history.Before, error)
	AlertBefore(
		ctx context.Context, fp grouping.Fingerprint, groups []*grouping.AlertGroup, read *grouping.EventPage, now time.Time,
	) (history.Before, error)
	ListedBefore(ctx context.Context, g *grouping.AlertGroup, now time.Time) (before history.Before, ok bool)
	Report(ctx context.Context, q history.ReportQuery) (*history.Report, error)
	Counted(ctx context.Context, q history.CountedQuery) (*history.Counted, error)
}

// Options are the options of a Server. A zero value stands for the default of the
// program.
type Options struct {
	MaxBodySize, MaxNotificationMemory            int64
	MaxRequests, MaxAlerts, MaxLabels, MaxSources int
	MaxEventMemory                                int64
	MaxEventRequests                              int
	MaxReaders, MaxLiveClients                    int
	MaxExports, MaxTails                          int
	KeepAlive                                     time.Duration // between two keep-alive events or empty lines
	MaxResponseMemory                             int64
	WebhookTokenFile, ExternalURL, RoutePrefix    string
	ExternalOrigin                                string
	EnablePprof                                   bool
	People                                        person.Policy
	Silencer                                      Silencer // nil: there is none
	Groups                                        grouping.Options
	Settings                                      []pages.Setting
	WriteTimeout                                  time.Duration
	// Storage has the groups, and Clock is its clock. The default is an empty
	// memory.
	Storage grouping.GroupStorage
	Clock   *grouping.Clock
}

// Server is a Muster with memory storage and without a listener.
type Server struct {
	Manager  *grouping.Manager
	Registry *prometheus.Registry
	Limits   *limit.Registry
	Hub      *api.Hub
	Receiver *receiver.Door
	API      *api.Door
	Pages    *pages.Door
	Router   *web.Router
	Logger   *slog.Logger

	opts   Options
	groups *domain
	past   *pastSwitch
	logs   *logSwitch

	mu     sync.Mutex
	status grouping.StorageStatus // guarded by mu
}

// domain are the groups that the doors use at the moment.
type domain struct{ Groups }

// pastSwitch is the past that the doors use at the moment.
type pastSwitch struct{ Past }

// New returns a server.
func New(t testing.TB, opts Options) *Server {
	t.Helper()
	s, err := Build(opts)
	require.NoError(t, err)
	return s
}

// Build returns a server, or the error of the options.
func Build(opts Options) (s *Server, err error) {
	if opts.Groups.Interval == 0 && opts.Groups.StaleAfter == 0 {
		opts.Groups = grouping.DefaultOptions
	}
	if opts.Storage == nil {
		opts.Storage, opts.Clock = storage.NewMemory(storage.DefaultMemoryOptions()), grouping.NewClock()
	}
	s = &Server{
		opts: opts, Registry: prometheus.NewRegistry(), groups: &domain{}, past: &pastSwitch{}, logs: newLogSwitch(),
		status: grouping.StorageStatus{Mode: "memory", Healthy: true},
	}
	s.Logger = slog.New(reply.LogRequestIDs(s.logs))
	if s.Limits, err = limit.NewRegistry(s.Registry, s.Logger); err != nil {
		return nil, err
	}
	hub := api.DefaultHubOptions()
	hub.MaxClients = cmp.Or(opts.MaxLiveClients, hub.MaxClients)
	hub.KeepAlive = cmp.Or(opts.KeepAlive, hub.KeepAlive)
	if s.Hub, err = api.NewHub(s.Limits, s.Registry, hub); err != nil {
		return nil, err
	}
	s.Manager, err = grouping.NewManager(opts.Storage, opts.Clock, s.Publish, s.Registry, promslog.NewNopLogger(), opts.Groups)
	if err != nil {
		return nil, err
	}
	s.groups.Groups, s.past.Past = s.Manager, past.New(s.Manager)
	return s, s.buildDoors()
}

func (s *Server) buildDoors() (err error) {
	opts := s.opts
	if opts.Silencer == nil {
		s.opts.Silencer = &FakeSilencer{}
	}
	in := receiver.DefaultOptions(math.MaxInt64)
	in.MaxBodySize, in.MaxMemory = cmp.Or(opts.MaxBodySize, in.MaxBodySize), cmp.Or(opts.MaxNotificationMemory, in.MaxMemory)
	in.MaxRequests, in.MaxSources = cmp.Or(opts.MaxRequests, in.MaxRequests), cmp.Or(opts.MaxSources, in.MaxSources)
	in.MaxEventRequests = cmp.Or(opts.MaxEventRequests, in.MaxEventRequests)
	in.MaxEventMemory = cmp.Or(opts.MaxEventMemory, in.MaxEventMemory)
	in.MaxAlerts, in.MaxLabels = cmp.Or(opts.MaxAlerts, in.MaxAlerts), cmp.Or(opts.MaxLabels, in.MaxLabels)
	in.TokenFile = opts.WebhookTokenFile
	if s.Receiver, err = receiver.New(s.groups, s.Limits, s.Registry, s.Logger, in); err != nil {
		return err
	}
	s.opts.People.IsSender = s.Receiver.HasToken
	readers := reply.DefaultReaderOptions(math.MaxInt64)
	readers.MaxReaders = cmp.Or(opts.MaxReaders, readers.MaxReaders)
	readers.MaxResponseMemory = cmp.Or(opts.MaxResponseMemory, readers.MaxResponseMemory)
	admission, err := reply.NewReaders(s.Limits, readers)
	if err != nil {
		return err
	}
	out := api.DefaultExportOptions()
	out.MaxExports, out.MaxTails = cmp.Or(opts.MaxExports, out.MaxExports), cmp.Or(opts.MaxTails, out.MaxTails)
	out.KeepAlive = cmp.Or(opts.KeepAlive, out.KeepAlive)
	exports, err := api.NewExports(s.Limits, s.Registry, out)
	if err != nil {
		return err
	}
	s.API = api.New(api.Dependencies{
		Groups: s.groups, Past: s.past, Hub: s.Hub, Exports: exports, Readers: admission, Limits: s.Limits, People: &s.opts.People,
		Silencer: s.opts.Silencer, Storage: s.storageStatus, Problems: s.Receiver.Problems, Logger: s.Logger,
	})
	renderer, err := renderers.at(opts.ExternalURL)
	if err != nil {
		return err
	}
	s.Pages, err = pages.New(pages.Dependencies{
		Groups: s.groups, Past: s.past, Live: s.Hub, Readers: admission, Limits: s.Limits, People: &s.opts.People,
		Silencer: s.opts.Silencer, Storage: s.storageStatus, Problems: s.Receiver.Problems, Renderer: renderer, Logger: s.Logger,
	}, pages.Options{
		ExternalURL: opts.ExternalURL, RoutePrefix: opts.RoutePrefix, Groups: opts.Groups, Settings: opts.Settings,
		PollInterval: time.Minute,
	})
	if err != nil {
		return err
	}
	router := web.DefaultRouterOptions()
	router.RoutePrefix, router.EnablePprof, router.ExternalOrigin = opts.RoutePrefix, opts.EnablePprof, opts.ExternalOrigin
	router.WriteTimeout = cmp.Or(opts.WriteTimeout, router.WriteTimeout)
	router.WebhookPath, router.EventsPath, router.NotFound = receiver.Path, receiver.EventsPath, s.Pages.NotFound
	router.ReadyNote = func() string {
		if st := s.storageStatus(); !st.Healthy {
			return st.Mode + " is down\n"
		}
		return ""
	}
	s.Router, err = web.NewRouter(s.Limits, s.Registry, s.Registry, s.Logger, router, s.Receiver, s.API, s.Pages)
	return err
}

// Publish passes a change to everything that follows the groups.
func (s *Server) Publish(u grouping.Update) { s.Hub.Publish(u) }

// Drain makes the server reject notifications and ends the live updates.
func (s *Server) Drain() {
	s.Router.Drain()
	s.Receiver.Drain()
	s.Hub.Close()
}

// Use makes the doors use other groups.
func (s *Server) Use(groups Groups) { s.groups.Groups = groups }

// UsePast makes the doors use another past.
func (s *Server) UsePast(p Past) { s.past.Past = p }

// Reset replaces the groups with an empty set. A new server takes a hundred times as
// long.
func (s *Server) Reset(t testing.TB) {
	t.Helper()
	var err error
	s.Manager, err = grouping.NewManager(storage.NewMemory(storage.DefaultMemoryOptions()), grouping.NewClock(), s.Publish,
		prometheus.NewRegistry(), promslog.NewNopLogger(), grouping.DefaultOptions)
	require.NoError(t, err)
	s.Use(s.Manager)
	s.UsePast(past.New(s.Manager))
}

func (s *Server) storageStatus() grouping.StorageStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// SetStatus sets the status of the storage.
func (s *Server) SetStatus(status grouping.StorageStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.Router.ServeHTTP(w, r) }

// Do sends a request; headers are pairs of name and value.
func (s *Server) Do(method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, path, body)
	if method == http.MethodPost || method == http.MethodPut {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// Post posts a notification to the default source.
func (s *Server) Post(body string, headers ...string) *httptest.ResponseRecorder {
	return s.Do(http.MethodPost, receiver.Path, strings.NewReader(body), headers...)
}

// PostEvents posts events to the default source.
func (s *Server) PostEvents(body string, headers ...string) *httptest.ResponseRecorder {
	return s.Do(http.MethodPost, receiver.EventsPath, strings.NewReader(body), headers...)
}

// Get sends a GET request.
func (s *Server) Get(path string, headers ...string) *httptest.ResponseRecorder {
	return s.Do(http.MethodGet, path, nil, headers...)
}

// Counter returns the value of a counter with exactly these label values.
func (s *Server) Counter(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := s.Registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var pairs []string
			for _, l := range m.GetLabel() {
				pairs = append(pairs, l.GetName(), l.GetValue())
			}
			if strings.Join(pairs, " ") == strings.Join(labels, " ") {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
