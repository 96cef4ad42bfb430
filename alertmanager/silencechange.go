package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"muster/grouping"
	"muster/internal/wire"
)

// change sends a change of a silence to the source and records it. It returns the answer and the
// ID of the silence.
func (s *Silencer) change(
	ctx context.Context, source string, of grouping.Silence, r silenceRequest,
) (answer grouping.SilenceAnswer, id string, err error) {
	// A person who goes away does not take back the request.
	ctx = context.WithoutCancel(ctx)
	end, asked := s.keeper.PlanSilence(source, of), of.ID
	answer, err = s.deliver(ctx, source, &of, r)
	if failed, ok := errors.AsType[*grouping.SilenceFailedError](err); ok && failed.Unknown {
		// The next reads can show that it was done. They then know who did it.
		time.AfterFunc(repeatInterval, end)
	} else {
		defer end()
	}
	if err == nil {
		s.record(ctx, source, of, asked)
	}
	s.log(ctx, source, &of, answer.Alertmanager, err)
	s.poller.Poke(source)
	return answer, of.ID, err
}

// record records a change that was accepted. asked is the ID of the silence that the person meant.
// Without the record, the next poll tells of the change, but not who made it.
func (s *Silencer) record(ctx context.Context, source string, of grouping.Silence, asked string) {
	accepted := *of.Write
	accepted.At = time.Now().UTC()
	switch {
	case accepted.Kind == grouping.EventSilenceExpired:
		of.EndsAt = accepted.At
	case of.ID != asked:
		accepted.Kind = grouping.EventSilenceCreated // Alertmanager replaced the one that was meant
	}
	of.Write = &accepted
	if of.ID == "" || of.EndsAt.IsZero() {
		return // Muster could not read the request or the answer
	}
	if err := s.keeper.RecordSilence(ctx, source, of); err != nil {
		s.logger.WarnContext(ctx, "Recording a changed silence failed", "alertmanagerSource", source, "silence", of.ID, "err", err)
	}
}

func (s *Silencer) log(ctx context.Context, source string, of *grouping.Silence, alertmanager string, err error) {
	fields := []any{
		"change", string(of.Write.Kind), "by", of.Write.By.Name, "verified", of.Write.By.Verified,
		"alertmanagerSource", source, "silence", of.ID, "comment", of.Comment,
	}
	if err == nil {
		s.logger.InfoContext(ctx, "A silence was changed through Muster", append(fields, "alertmanager", alertmanager)...)
		return
	}
	level := slog.LevelWarn
	if _, refused := errors.AsType[*grouping.SilenceRefusedError](err); refused {
		level = slog.LevelInfo
	}
	s.logger.Log(ctx, level, "A silence was not changed through Muster", append(fields, "err", err)...)
}

// deliver sends the request to one replica after another, until one can be reached. It sets the ID
// that the silence has then.
func (s *Silencer) deliver(ctx context.Context, source string, of *grouping.Silence, r silenceRequest) (grouping.SilenceAnswer, error) {
	var hosts []string
	var failed error
	for _, i := range s.replicas(source) {
		c, err := s.connect(i)
		if err != nil {
			return grouping.SilenceAnswer{}, err
		}
		answer, sent, err := s.ask(ctx, i, c, r)
		switch {
		case err == nil:
			if err = refusal(answer); err == nil && r.method == http.MethodPost {
				of.ID = answeredID(answer.Body)
			}
			return answer, err
		case sent:
			return s.settle(ctx, i, c, of, err)
		}
		hosts, failed = append(hosts, i.url.Host), errors.Join(failed, fmt.Errorf("%s: %w", i.name, err))
	}
	return grouping.SilenceAnswer{}, unanswered(hosts, "The silence was not "+changeWord(of.Write.Kind)+".", failed)
}

// changeWord returns the word for what a change does to a silence.
func changeWord(kind grouping.EventKind) string {
	switch kind {
	case grouping.EventSilenceCreated:
		return "created"
	case grouping.EventSilenceExpired:
		return "ended"
	default:
		return "changed"
	}
}

func unanswered(hosts []string, then string, err error) *grouping.SilenceFailedError {
	names, verb := strings.Join(hosts, ""), "does"
	if n := len(hosts); n > 1 {
		names, verb = strings.Join(hosts[:n-1], ", ")+" and "+hosts[n-1], "do"
	}
	return &grouping.SilenceFailedError{Text: names + " " + verb + " not answer. " + then, Err: err}
}

// settle looks the silence up after a request that a replica may have received, and did not
// answer. If the replica has done it, that is the answer.
func (s *Silencer) settle(
	ctx context.Context, i *instance, c *Client, of *grouping.Silence, cause error,
) (grouping.SilenceAnswer, error) {
	found, err := s.lookUp(ctx, i, c, of)
	if err == nil && found != "" {
		of.ID = found
		body, err := json.Marshal(struct {
			ID string `json:"silenceID"`
		}{found})
		answer := grouping.SilenceAnswer{Alertmanager: i.url.Host, Status: http.StatusOK, ContentType: "application/json", Body: body}
		if of.Write.Kind == grouping.EventSilenceExpired {
			answer.Body = nil
		}
		return answer, err
	}
	text := fmt.Sprintf("%s got the request, but did not answer it: %s. ", i.url.Host, cause)
	word := changeWord(of.Write.Kind)
	if err != nil {
		text += "Muster cannot tell whether the silence was " + word + ". Look at the silences before you try again."
	} else {
		text += "It says now that the silence was not " + word + ", but it may still do it. Look at the silences before you try again."
	}
	return grouping.SilenceAnswer{}, &grouping.SilenceFailedError{Text: text, Unknown: true, Err: errors.Join(cause, err)}
}

// lookUp returns the ID of the silence if the replica has done the change, or "".
func (s *Silencer) lookUp(ctx context.Context, i *instance, c *Client, of *grouping.Silence) (string, error) {
	if of.ID != "" {
		now, err := s.read(ctx, i, c, of.ID)
		switch {
		case err != nil:
			return "", err
		case of.Write.Kind == grouping.EventSilenceExpired && now.StateAt(time.Now()) == grouping.SilenceExpired,
			of.Write.Kind != grouping.EventSilenceExpired && now.IsSame(of):
			return of.ID, nil
		case of.Write.Kind == grouping.EventSilenceExpired || now.StateAt(time.Now()) != grouping.SilenceExpired:
			return "", nil
		}
		// Alertmanager replaced it by another one.
	}
	// The answer has all silences, so it can be larger than others.
	lister := *c
	lister.opts.MaxBytes = s.poller.maxBytes
	found := ""
	err := i.measured(ctx, readingSilences, func() error {
		return lister.Silences(ctx, func(a *wire.APISilence) {
			if known, ok := silence(a); ok && known.IsSame(of) && !known.UpdatedAt.Before(of.Write.At.Add(-maxSkew)) {
				found = known.ID
			}
		})
	})
	return found, err
}

// maxSkew is the maximum difference of clocks at which a silence is still found.
const maxSkew = time.Minute

// current returns a silence as the first replica that answers knows it.
func (s *Silencer) current(ctx context.Context, source, id string) (grouping.Silence, error) {
	if !ValidSilenceID(id) {
		return grouping.Silence{}, &grouping.SilenceNotFoundError{Source: source, ID: id}
	}
	var hosts []string
	var failed error
	for _, i := range s.replicas(source) {
		c, err := s.connect(i)
		if err != nil {
			return grouping.Silence{}, err
		}
		of, err := s.read(ctx, i, c, id)
		if _, refused := errors.AsType[*grouping.SilenceRefusedError](err); err == nil || refused {
			return of, err
		}
		if ctx.Err() != nil {
			return grouping.Silence{}, context.Cause(ctx)
		}
		hosts, failed = append(hosts, i.url.Host), errors.Join(failed, err)
	}
	return grouping.Silence{}, unanswered(hosts, "The silence was not changed.", failed)
}

// read reads one silence.
func (s *Silencer) read(ctx context.Context, i *instance, c *Client, id string) (grouping.Silence, error) {
	answer, _, err := s.ask(ctx, i, c, silenceRequest{what: readingSilence, method: http.MethodGet, path: silencePath(id)})
	if err != nil {
		return grouping.Silence{}, err
	}
	if answer.Status == http.StatusNotFound {
		answer.Body = []byte("it does not know the silence")
	}
	if err := refusal(answer); err != nil {
		return grouping.Silence{}, err
	}
	of, ok := readSilence(answer.Body)
	if !ok {
		return grouping.Silence{}, fmt.Errorf("the answer of %s is not a silence", answer.Alertmanager)
	}
	return of, nil
}

// ask makes a request and counts it.
func (s *Silencer) ask(
	ctx context.Context, i *instance, c *Client, r silenceRequest,
) (answer grouping.SilenceAnswer, sent bool, err error) {
	err = i.measured(ctx, r.what, func() error {
		answer, sent, err = c.send(ctx, r)
		if err == nil && answer.Status >= http.StatusMultipleChoices {
			return badStatus(answer.Status)
		}
		return err
	})
	if answer.Status != 0 {
		err = nil // an answer is an answer, whatever it says
	}
	return answer, sent, err
}

// replicas returns the Alertmanagers of a source.
func (s *Silencer) replicas(source string) []*instance {
	if of := s.poller.source(source); of != nil {
		return of.instances
	}
	return nil
}

// connect returns a client for an Alertmanager, with the settings that its config file has now.
func (s *Silencer) connect(i *instance) (*Client, error) {
	cfg, _ := i.source.config.current()
	return newSilenceClient(i.url, cfg, s.opts)
}

// turns lets one of the requests with the same key go on at a time.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // guarded by mu; each channel is closed at the end of its turn
}

// take waits for the turn of a key. The caller releases it.
func (t *turns) take(ctx context.Context, key string) (release func(), err error) {
	for {
		t.mu.Lock()
		before := t.busy[key]
		if before == nil {
			done := make(chan struct{})
			t.busy[key] = done
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				defer t.mu.Unlock()
				delete(t.busy, key)
				close(done)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
