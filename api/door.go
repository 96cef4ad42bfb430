package api

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/limit"
	"muster/internal/person"
	"muster/internal/query"
	"muster/internal/reply"
)

// livePath is the path of the stream of live updates.
const livePath = "/api/v1/live"

// state answers queries about the groups of the present or of a past time. It is safe for
// concurrent use, and the returned groups must not be modified. The queries return a
// *grouping.GroupNotFoundError if the group or alert does not exist. They return an
// error that wraps grouping.ErrBadQuery if the query is invalid.
type state interface {
	Get(ctx context.Context, id grouping.ID) (*grouping.AlertGroup, error)
	List(ctx context.Context, q grouping.ListQuery) (grouping.GroupPage, error)
	ByFingerprint(ctx context.Context, fp grouping.Fingerprint) ([]*grouping.AlertGroup, error)
	Totals(ctx context.Context) (grouping.Totals, error)
}

// domain is what the API needs from the domain: the state of the present, and the history.
type domain interface {
	state
	peopleWriter

	Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error)
	// StreamEvents streams the history from a time on, as grouping.History describes.
	StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error]
	// Silences returns a page of silences with what they mute. Silence returns one of them, or
	// a *grouping.SilenceNotFoundError. An empty source means any.
	Silences(ctx context.Context, q grouping.SilenceQuery) (grouping.SilencePage, error)
	Silence(ctx context.Context, source, id string) (grouping.SilenceInfo, error)
	// AllSilences returns the silences of a source, in no particular order and without what
	// they mute. All returns all groups.
	AllSilences(ctx context.Context, source string) ([]grouping.SilenceInfo, error)
	All(ctx context.Context) ([]*grouping.AlertGroup, error)
	// ListedUntil returns when an alert ends if nobody posts it again, or zero.
	ListedUntil(source string, fp grouping.Fingerprint) time.Time
	// SourceReports says for each source what Muster receives.
	SourceReports(ctx context.Context) ([]grouping.SourceReport, error)
	// Gaps returns the times in which Muster was not running, oldest first.
	Gaps(ctx context.Context, since, until time.Time) ([]grouping.Gap, error)
	// SilenceOf returns a silence of a source, or nil if it is not known.
	SilenceOf(source, id string) *grouping.Silence
	// MuteSeen returns when a mute of an alert was last seen, or zero.
	MuteSeen(source string, fp grouping.Fingerprint, mute grouping.Mute) time.Time
}

// silenceChanger changes silences in the Alertmanagers of a source. It is safe for concurrent
// use. The answers are those of Alertmanager, also if it refuses. If none answers, the error is
// a *grouping.SilenceFailedError.
type silenceChanger interface {
	// Sources returns the sources whose silences can be changed. There is one at least, if
	// silences may be changed. CanSilence reports whether the source is one of them.
	Sources() []string
	CanSilence(source string) bool
	PassPost(ctx context.Context, source, contentType string, body []byte, by grouping.Person) (grouping.SilenceAnswer, error)
	PassDelete(ctx context.Context, source, id string, by grouping.Person) (grouping.SilenceAnswer, error)
}

// peopleWriter makes the writes of people to groups. Each returns the group after the write. The
// errors are a *grouping.GroupNotFoundError, an *EpisodeOverError, an *InvalidError or an
// *AckNotFoundError. A repeated write changes nothing.
type peopleWriter interface {
	Acknowledge(ctx context.Context, id grouping.ID, r grouping.AckRequest) (*grouping.AlertGroup, error)
	Unacknowledge(ctx context.Context, id grouping.ID, r grouping.UnackRequest) (*grouping.AlertGroup, error)
	AddNote(ctx context.Context, id grouping.ID, r grouping.NoteRequest) (*grouping.AlertGroup, error)
	Close(ctx context.Context, id grouping.ID, r grouping.CloseRequest) (*grouping.AlertGroup, error)
}

// Dependencies are what the API needs from other packages.
type Dependencies struct {
	Groups   domain
	Past     pastReader
	Hub      *Hub // has the live updates
	Exports  *Exports
	Readers  *reply.Readers
	Limits   *limit.Registry
	People   *person.Policy // says who may write
	Silencer silenceChanger
	// Storage and Problems are what the API says about Muster itself: the state of its storage,
	// and the problems of its configuration, one sentence each. Both are safe for concurrent use.
	Storage  func() grouping.StorageStatus
	Problems func() []string
	Logger   *slog.Logger
}

// Door answers requests for JSON. It is safe for concurrent use.
type Door struct {
	Dependencies

	startedAt time.Time
}

// New returns the API.
func New(needs Dependencies) *Door { return &Door{Dependencies: needs, startedAt: time.Now()} }

// Routes adds the routes of the API.
func (d *Door) Routes(r gin.IRouter) {
	reply.Get(r, livePath, d.serveLive)
	v1 := r.Group("/api/v1", d.Readers.Admit)
	reply.Get(v1, "/groups", d.serveGroups)
	reply.Get(v1, "/groups/:id", d.serveGroup)
	reply.Get(v1, "/groups/:id/events", d.serveGroupEvents)
	reply.Get(v1, "/alerts/:fingerprint", d.serveAlert)
	reply.Get(v1, "/events", d.serveEvents)
	reply.Get(v1, "/report", d.serveReport)
	reply.Get(v1, "/silences", d.serveSilences)
	reply.Get(v1, "/silences/:id", d.serveSilence)
	reply.Get(v1, "/stats", d.serveStats)
	reply.Get(v1, "/status", d.rejectParameters, d.serveStatus)
	d.peopleRoutes(r)
	d.v2Routes(r)
}

// queryError returns an error that lists every problem of a query and its
// filter, or nil.
func queryError(params *query.Params, filter *query.Filter) error {
	if filter.Err != nil {
		params.AddProblem("filter", filter.Err.Brief())
	}
	return params.Err()
}

// rejectParameters answers 400 if a request has query parameters. It guards the
// routes that take no parameters.
func (d *Door) rejectParameters(c *gin.Context) {
	if err := query.Parse(c.Request.URL.RawQuery).Err(); err != nil {
		reply.Error(c, d.Logger, err)
		c.Abort()
	}
}
