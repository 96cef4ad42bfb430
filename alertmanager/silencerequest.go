package alertmanager

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/common/config"

	"muster/grouping"
	"muster/internal/wire"
)

// silenceRequest is a request about silences.
type silenceRequest struct {
	what        reading
	method      string
	path        string
	contentType string // of the body
	body        []byte // nil: it has none
}

const silencesPath = "/api/v2/silences"

func silencePath(id string) string { return "/api/v2/silence/" + url.PathEscape(id) }

// newSilenceClient returns a client that makes a connection for each request. Over one that is
// left from before, a request can be lost in a way that looks like an unfinished answer.
func newSilenceClient(base *url.URL, cfg config.HTTPClientConfig, opts SilencerOptions) (*Client, error) {
	dialer := &net.Dialer{Timeout: opts.DialTimeout}
	return newClient(base, cfg, ClientOptions{Timeout: opts.Timeout, MaxBytes: opts.MaxAnswer},
		config.WithKeepAlivesDisabled(), config.WithDialContextFunc(dialer.DialContext))
}

// send makes a request. An answer is returned whatever it says. Without an answer there is an
// error, and sent reports whether the Alertmanager may have received the request.
func (c *Client) send(ctx context.Context, r silenceRequest) (answer grouping.SilenceAnswer, sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(traced, r.method, c.base.JoinPath(r.path).String(), bytes.NewReader(r.body))
	if err != nil {
		return answer, false, err
	}
	if r.body != nil {
		req.Header.Set("Content-Type", r.contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer, connected.Load(), c.noAnswer(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body := &limitedBody{r: resp.Body, left: c.opts.MaxBytes + 1}
	text, err := io.ReadAll(body)
	if err != nil && !body.exceeded {
		return answer, true, c.badAnswer(ctx, body, resp.Header.Get("Content-Type"), err)
	}
	return grouping.SilenceAnswer{
		Alertmanager: c.base.Host, Status: resp.StatusCode, ContentType: resp.Header.Get("Content-Type"), Body: text,
	}, true, nil
}

// maxAnswerText is the maximum number of characters of an answer that a person sees.
const maxAnswerText = 1000

// refusal returns the error of an answer that is no success, or nil.
func refusal(answer grouping.SilenceAnswer) error {
	if answer.Status >= 200 && answer.Status < 300 {
		return nil
	}
	text := answerText(answer.Body)
	if text == "" || answer.Status < 400 {
		text = badStatus(answer.Status).What
	}
	return &grouping.SilenceRefusedError{SilenceAnswer: answer, Text: text}
}

// answerText returns what the body of an answer says, as text. Alertmanager's own errors are a
// JSON string, those of its framework an object with a message.
func answerText(body []byte) string {
	var text string
	var framework struct {
		Message string `json:"message"`
	}
	switch {
	case json.Unmarshal(body, &text) == nil && text != "":
	case json.Unmarshal(body, &framework) == nil && framework.Message != "":
		text = framework.Message
	default:
		text = string(body)
	}
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD")
	if runes := []rune(text); len(runes) > maxAnswerText {
		return string(runes[:maxAnswerText]) + "…"
	}
	return text
}

// answeredID returns the ID in the answer to POST /api/v2/silences, or "".
func answeredID(body []byte) string {
	var answer struct {
		SilenceID string `json:"silenceID"`
	}
	if json.Unmarshal(body, &answer) != nil || !ValidSilenceID(answer.SilenceID) {
		return ""
	}
	return answer.SilenceID
}

// ValidSilenceID reports whether a text can be the ID of a silence, so that it is safe in a path.
func ValidSilenceID(id string) bool {
	const maximum = 64 // a UUID has 36
	return id != "" && len(id) <= maximum && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""
}

// posted returns the body of a request that makes or changes the silence.
func posted(s *grouping.Silence) ([]byte, error) {
	if len(s.MatcherSets) != 1 {
		return nil, errors.New("the API of Alertmanager takes one set of matchers")
	}
	p := wire.PostedSilence{
		ID: s.ID, StartsAt: s.StartsAt, EndsAt: s.EndsAt, CreatedBy: s.CreatedBy, Comment: s.Comment, Annotations: s.Annotations,
	}
	for _, m := range s.MatcherSets[0] {
		p.Matchers = append(p.Matchers, wire.NewAPIMatcher(m.Name, m.Type, m.Value))
	}
	return json.Marshal(p)
}

// readPosted returns the silence of such a body, or false if it is not one.
func readPosted(body []byte) (grouping.Silence, bool) {
	var p wire.PostedSilence
	if json.Unmarshal(body, &p) != nil {
		return grouping.Silence{}, false
	}
	s, ok := silence(&wire.APISilence{
		ID: "new", Matchers: p.Matchers, StartsAt: p.StartsAt, EndsAt: p.EndsAt, CreatedBy: p.CreatedBy, Comment: p.Comment,
		Annotations: p.Annotations,
	})
	if s.ID = p.ID; s.StartsAt.IsZero() {
		s.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
	}
	return s, ok
}

// readSilence returns the silence of an answer, or false if it is not one.
func readSilence(body []byte) (grouping.Silence, bool) {
	var s wire.APISilence
	if json.Unmarshal(body, &s) != nil {
		return grouping.Silence{}, false
	}
	return silence(&s)
}
