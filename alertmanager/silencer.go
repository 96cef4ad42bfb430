package alertmanager

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"muster/grouping"
)

// SilencerOptions are the settings of a Silencer.
type SilencerOptions struct {
	// Allowed reports whether anybody may change silences.
	Allowed bool
	// Timeout is the time limit of one request with its answer, and DialTimeout that of its
	// connection. A person waits for it.
	Timeout, DialTimeout time.Duration
	MaxAnswer            int64 // maximum size of an answer
}

// DefaultSilencerOptions returns the default options.
func DefaultSilencerOptions() SilencerOptions {
	return SilencerOptions{Timeout: 10 * time.Second, DialTimeout: 3 * time.Second, MaxAnswer: 256 << 10}
}

// Validate returns an error for a limit that is not positive.
func (o SilencerOptions) Validate() error {
	if o.Timeout <= 0 || o.DialTimeout <= 0 || o.MaxAnswer < 1 {
		return fmt.Errorf("a limit for silencing is not positive: %s, %s, %d bytes", o.Timeout, o.DialTimeout, o.MaxAnswer)
	}
	return nil
}

// silenceKeeper is what the silencer needs from the domain. It is safe for concurrent use.
type silenceKeeper interface {
	// PlanSilence announces a change, and end ends the announcement. RecordSilence records it
	// after Alertmanager accepted it.
	PlanSilence(source string, s grouping.Silence) (end func())
	RecordSilence(ctx context.Context, source string, s grouping.Silence) error
	// AllSilences returns the silences of a source, in no particular order.
	AllSilences(ctx context.Context, source string) ([]grouping.SilenceInfo, error)
}

// Silencer makes and changes silences through the API of the Alertmanagers that a Poller polls.
// A change is sent to one replica of the source, and the others learn of it from that one. The
// next replica is tried only if no connection to the one before was made: otherwise a silence
// could be made twice. It is safe for concurrent use. Its callers limit the number of changes that
// wait at once.
//
// A change that was accepted is recorded and logged with the name of the person, also if the
// person went away meanwhile. If an Alertmanager refuses it, the error is a
// *grouping.SilenceRefusedError. If none answers, it is a *grouping.SilenceFailedError.
type Silencer struct {
	poller *Poller
	keeper silenceKeeper
	logger *slog.Logger
	opts   SilencerOptions
	turns  turns
}

// NewSilencer returns a silencer. It connects to nothing.
func NewSilencer(p *Poller, keeper silenceKeeper, logger *slog.Logger, opts SilencerOptions) (*Silencer, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	for _, source := range p.sources {
		for _, i := range source.instances {
			if opts.Allowed {
				i.metrics.create(silencings())
			}
		}
	}
	return &Silencer{
		poller: p, keeper: keeper, logger: logger, opts: opts,
		turns: turns{busy: map[string]chan struct{}{}},
	}, nil
}

// Sources returns the sources whose silences can be changed.
func (s *Silencer) Sources() (names []string) {
	if !s.opts.Allowed {
		return nil
	}
	for _, source := range s.poller.sources {
		names = append(names, source.name)
	}
	return names
}

// CanSilence reports whether silences of the source can be changed.
func (s *Silencer) CanSilence(source string) bool {
	return s.opts.Allowed && s.poller.source(source) != nil
}

// repeatInterval is the time within which the same question is a repeat, for example a button
// that was pressed twice.
const repeatInterval = time.Minute

// CreateSilence makes a silence and returns its ID. The request is a hash of what the person asked
// for. If the person asks for the same again within a minute, it returns the first silence.
func (s *Silencer) CreateSilence(
	ctx context.Context, source string, of grouping.Silence, request string, by grouping.Person,
) (string, error) {
	release, err := s.turns.take(ctx, source+" "+request+" "+by.Name)
	if err != nil {
		return "", err
	}
	defer release()
	known, err := s.keeper.AllSilences(ctx, source)
	if err != nil {
		return "", err
	}
	for _, k := range known {
		w := k.Write
		if w != nil && w.Request == request && w.By == by && time.Since(w.At) < repeatInterval && k.State != grouping.SilenceExpired {
			return k.ID, nil
		}
	}
	of.ID, of.Write = "", newSilenceWrite(grouping.EventSilenceCreated, request, by)
	return s.post(ctx, source, of)
}

// ExtendSilence changes the end of a silence, and returns its ID. Alertmanager makes another silence
// if it cannot change this one.
func (s *Silencer) ExtendSilence(ctx context.Context, source, id string, until time.Time, by grouping.Person) (string, error) {
	of, err := s.current(ctx, source, id)
	if err != nil {
		return "", err
	}
	switch {
	case of.EndsAt.Equal(until):
		return id, nil // somebody did it already
	case of.StateAt(time.Now()) == grouping.SilenceExpired:
		return "", &grouping.SilenceFailedError{Text: "The silence ended meanwhile, so it cannot be extended. Make a new one."}
	}
	of.EndsAt, of.Write = until, newSilenceWrite(grouping.EventSilenceChanged, "", by)
	return s.post(ctx, source, of)
}

// ExpireSilence ends a silence now.
func (s *Silencer) ExpireSilence(ctx context.Context, source, id string, by grouping.Person) error {
	of, err := s.current(ctx, source, id)
	if err != nil {
		return err
	}
	if of.StateAt(time.Now()) == grouping.SilenceExpired {
		s.poller.Poke(source) // Muster may not know it yet
		return nil
	}
	of.Write = newSilenceWrite(grouping.EventSilenceExpired, "", by)
	_, _, err = s.change(ctx, source, of, silenceRequest{what: expiringSilence, method: http.MethodDelete, path: silencePath(id)})
	return err
}

// post posts a silence and returns its ID.
func (s *Silencer) post(ctx context.Context, source string, of grouping.Silence) (id string, err error) {
	body, err := posted(&of)
	if err != nil {
		return "", err
	}
	_, id, err = s.change(ctx, source, of, silenceRequest{
		what: settingSilence, method: http.MethodPost, path: silencesPath, contentType: "application/json", body: body,
	})
	return id, err
}

// PassPost passes on the body of a POST /api/v2/silences, and returns Alertmanager's answer, also if
// that refuses it.
func (s *Silencer) PassPost(
	ctx context.Context, source, contentType string, body []byte, by grouping.Person,
) (grouping.SilenceAnswer, error) {
	of, ok := readPosted(body)
	kind := grouping.EventSilenceCreated
	if of.ID != "" {
		kind = grouping.EventSilenceChanged
	}
	if of.Write = newSilenceWrite(kind, "", by); !ok {
		of.MatcherSets = nil // Alertmanager will say what is wrong with it
	}
	answer, _, err := s.change(ctx, source, of, silenceRequest{
		what: settingSilence, method: http.MethodPost, path: silencesPath, contentType: contentType, body: body,
	})
	return passed(answer, err)
}

// PassDelete passes on a DELETE /api/v2/silence/<id>, like PassPost.
func (s *Silencer) PassDelete(ctx context.Context, source, id string, by grouping.Person) (grouping.SilenceAnswer, error) {
	of := grouping.Silence{ID: id}
	all, err := s.keeper.AllSilences(ctx, source)
	if err != nil {
		return grouping.SilenceAnswer{}, err
	}
	for _, known := range all {
		if known.ID == id {
			of = *known.Silence
		}
	}
	of.Write = newSilenceWrite(grouping.EventSilenceExpired, "", by)
	answer, _, err := s.change(ctx, source, of, silenceRequest{what: expiringSilence, method: http.MethodDelete, path: silencePath(id)})
	return passed(answer, err)
}

// passed returns the answer of an Alertmanager whatever it says.
func passed(answer grouping.SilenceAnswer, err error) (grouping.SilenceAnswer, error) {
	if refused, ok := errors.AsType[*grouping.SilenceRefusedError](err); ok && refused.Status >= 400 {
		return refused.SilenceAnswer, nil
	}
	return answer, err
}

func newSilenceWrite(kind grouping.EventKind, request string, by grouping.Person) *grouping.SilenceWrite {
	return &grouping.SilenceWrite{By: by, ID: strings.ToLower(rand.Text()), Request: request, Kind: kind, At: time.Now().UTC()}
}
