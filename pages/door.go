package pages

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/history"
	"muster/internal/limit"
	"muster/internal/person"
	"muster/internal/reply"
	"muster/templates"
)

// state answers queries about the groups of the present or of a past time. It is safe for
// concurrent use, and the returned groups must not be modified. The queries return a
// *grouping.GroupNotFoundError if the group or alert does not exist. They return an
// error that wraps grouping.ErrBadQuery if the query is invalid.
type state interface {
	All(ctx context.Context) ([]*grouping.AlertGroup, error)
	Get(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error)
	List(ctx context.Context, q grouping.ListQuery) (grouping.GroupPage, error)
	Selects(ctx context.Context, q grouping.ListQuery) (bool, error)
	LabelValues(ctx context.Context, name string) ([]string, error)
	ByFingerprint(ctx context.Context, fp grouping.Fingerprint) ([]*grouping.AlertGroup, error)
	Totals(ctx context.Context) (grouping.Totals, error)
	// SummarizeMutes counts the suppressed alerts that the query selects.
	SummarizeMutes(ctx context.Context, q grouping.ListQuery) (grouping.MuteSummary, error)
	// Heartbeats returns the state of every heartbeat, the worst first.
	Heartbeats(ctx context.Context) ([]grouping.Heartbeat, error)
}

// domain is what the pages need from the domain: the state of the present, and the history.
type domain interface {
	state

	Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error)
	Find(ctx context.Context, receiver string, groupLabels grouping.Labels) ([]*grouping.AlertGroup, error)
	// SilenceOf returns a silence of a source, or nil if it is not known.
	SilenceOf(source, id string) *grouping.Silence
	// ListedBy returns the URL of an Alertmanager whose API listed the alert in its last
	// answer, or "".
	ListedBy(source string, fp grouping.Fingerprint) string
	// Silences returns a page of silences with what they mute. Silence returns one of them, or
	// a *grouping.SilenceNotFoundError. An empty source means any.
	Silences(ctx context.Context, q grouping.SilenceQuery) (grouping.SilencePage, error)
	Silence(ctx context.Context, source, id string) (grouping.SilenceInfo, error)
	// Acknowledge, Unacknowledge, AddNote and Close are the writes of people. They return the
	// group. If an episode is over, the error is a *grouping.EpisodeOverError. Input that cannot be
	// taken is a *grouping.InvalidError. To repeat a write changes nothing.
	Acknowledge(ctx context.Context, id grouping.ID, r grouping.AckRequest) (*grouping.AlertGroup, error)
	Unacknowledge(ctx context.Context, id grouping.ID, r grouping.UnackRequest) (*grouping.AlertGroup, error)
	AddNote(ctx context.Context, id grouping.ID, r grouping.NoteRequest) (*grouping.AlertGroup, error)
	Close(ctx context.Context, id grouping.ID, r grouping.CloseRequest) (*grouping.AlertGroup, error)
	// SourceReports says for each source what Muster receives.
	SourceReports(ctx context.Context) ([]grouping.SourceReport, error)
	// Gaps returns the times in which Muster was not running, oldest first.
	Gaps(ctx context.Context, since, until time.Time) ([]grouping.Gap, error)
}

// pastReader is what the pages need to know about the past. It is safe for concurrent use.
type pastReader interface {
	// At returns the state of all groups at a time. If the time is before the history begins,
	// it returns a *history.BeforeError.
	At(ctx context.Context, t time.Time) (*history.Wall, error)
	// GroupBefore and AlertBefore say how often a group fired before a time, and an alert in
	// the groups of a source. read has their newest events, or is nil.
	GroupBefore(ctx context.Context, g *grouping.AlertGroup, read *grouping.EventPage, now time.Time) (history.Before, error)
	AlertBefore(
		ctx context.Context, fp grouping.Fingerprint, groups []*grouping.AlertGroup, read *grouping.EventPage, now time.Time,
	) (history.Before, error)
	// ListedBefore is GroupBefore for a row of the list. It reads nothing, so it returns false if
	// the answer is not known yet.
	ListedBefore(ctx context.Context, g *grouping.AlertGroup, now time.Time) (before history.Before, ok bool)
	// Report returns a report of the history. If too many reports are asked for, it returns
	// grouping.ErrBusy.
	Report(ctx context.Context, q history.ReportQuery) (*history.Report, error)
	// Counted returns what a number of such a report counts.
	Counted(ctx context.Context, q history.CountedQuery) (*history.Counted, error)
}

// liveUpdates is what the pages need to know about the live updates. It is safe for
// concurrent use.
type liveUpdates interface {
	// LastEventID returns the ID of the last event. The state is unchanged while
	// the ID is unchanged.
	LastEventID() string
	// Clients returns the number of clients.
	Clients() int
}

// Dependencies are what the pages need from other packages.
type Dependencies struct {
	Groups   domain
	Past     pastReader
	Live     liveUpdates
	Readers  *reply.Readers
	Limits   *limit.Registry
	People   *person.Policy // says who may write
	Silencer silencer
	// Storage and Problems are what the pages say about Muster itself: the state of its storage,
	// and the problems of its configuration, one sentence each. Both are safe for concurrent use.
	Storage  func() grouping.StorageStatus
	Problems func() []string
	Renderer *templates.Renderer // that of the options
	Logger   *slog.Logger
}

// Setting is a setting of the program as the status page shows it. It has no secret.
type Setting struct{ Name, Value string }

// Options are the settings of a Door.
type Options struct {
	// ExternalURL is the URL at which people reach Muster, and links begin with
	// it. Without it, links are relative to the host. RoutePrefix is the path
	// prefix of all routes. It differs from the path of ExternalURL if a proxy
	// removes that path.
	ExternalURL, RoutePrefix string
	// Groups are the options of the group manager. The status page shows them
	// and the Settings.
	Groups   grouping.Options
	Settings []Setting
	// PollInterval is the time between two polls of an Alertmanager.
	PollInterval time.Duration
	// Demo reports whether the data is invented.
	Demo bool
}

// DefaultOptions returns the options of a Muster that does not know its address.
func DefaultOptions() Options { return Options{Groups: grouping.DefaultOptions} }

// Validate returns an error if ExternalURL is not a URL.
func (o Options) Validate() error {
	if _, err := url.Parse(o.ExternalURL); err != nil {
		return fmt.Errorf("external URL: %w", err)
	}
	return nil
}

// address returns the origin and the path of ExternalURL, which is valid.
func (o Options) address() (origin, path string) {
	external, err := url.Parse(o.ExternalURL)
	if err != nil {
		return "", ""
	}
	if external.Host != "" {
		origin = external.Scheme + "://" + external.Host
	}
	return origin, strings.TrimRight(external.Path, "/")
}

// Door answers requests for pages. It is safe for concurrent use.
type Door struct {
	Dependencies

	opts      Options
	static    map[string]templates.Asset
	links     templates.Links
	startedAt time.Time
	cache     pageCache
	pastCache pageCache
}

// NewRenderer returns the renderer that the pages need. It parses all templates.
func (o Options) NewRenderer() (*templates.Renderer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	_, prefix := o.address()
	return templates.New(prefix)
}

// New returns the pages.
func New(needs Dependencies, opts Options) (*Door, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	origin, prefix := opts.address()
	opts.RoutePrefix = strings.TrimRight(opts.RoutePrefix, "/")
	return &Door{
		Dependencies: needs, opts: opts, static: needs.Renderer.Static(), links: templates.NewLinks(origin, prefix), startedAt: time.Now(),
	}, nil
}

// Routes adds the routes of the pages.
func (d *Door) Routes(r gin.IRouter) {
	pages := r.Group("", d.Readers.Admit)
	reply.Get(pages, "/", d.timedHandler(d.groupsPage))
	for path, handler := range map[string]gin.HandlerFunc{
		"/groups/:id":          d.timedHandler(d.groupPage),
		"/alerts/:fingerprint": d.timedHandler(d.alertPage),
		"/history":             d.pageHandler(d.historyPage),
		"/silences":            d.pageHandler(d.silencesPage),
		"/silences/:id":        d.pageHandler(d.silencePage),
		"/report":              d.uncachedPageHandler(d.reportPage),
		"/report/list":         d.uncachedPageHandler(d.reportListPage),
		"/status":              d.uncachedPageHandler(d.statusPage),
		"/help":                d.uncachedPageHandler(helpPage),
		"/go":                  d.redirectToGroup,
	} {
		reply.Get(pages, path, handler)
		reply.Get(r, path+"/", d.redirectWithoutSlash)
	}
	reply.Get(pages, "/groups/:id/postmortem.md", d.servePostmortem)
	d.silencingRoutes(r)
	for _, path := range []string{"/groups", "/groups/", "/alerts", "/alerts/"} {
		reply.Get(r, path, d.redirectHome)
	}
	if d.opts.RoutePrefix != "" {
		reply.Get(r, "", d.redirectHome)
	}
	d.peopleRoutes(r)
	reply.Get(r, "/static/:name", d.serveStatic)
}

// NotFound answers a browser that asks for an unknown path.
func (d *Door) NotFound(c *gin.Context) { d.uncachedPageHandler(notFoundPage)(c) }
