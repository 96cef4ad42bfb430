package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/version"

	"muster/internal/wire"
)

// maxOther is the maximum size of an answer that is not a list of alerts or silences.
const maxOther = 16 << 20

// Client reads the API of one Alertmanager. It is safe for concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
	opts ClientOptions
}

// NewClient returns a client for the Alertmanager with the URL, which may have a path.
func NewClient(base *url.URL, cfg config.HTTPClientConfig, opts ClientOptions) (*Client, error) {
	return newClient(base, cfg, opts)
}

func newClient(base *url.URL, cfg config.HTTPClientConfig, opts ClientOptions, more ...config.HTTPClientOption) (*Client, error) {
	cfg.FollowRedirects = false
	client, err := config.NewClientFromConfig(cfg, "alertmanager", append(more, config.WithUserAgent("Muster/"+version.Version))...)
	if err != nil {
		return nil, err
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, http: client, opts: opts}, nil
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Reason says in one word why a request failed.
type Reason string

// The reasons of a RequestError.
const (
	ReasonUnreachable Reason = "unreachable" // no answer
	ReasonTimeout     Reason = "timeout"     // no whole answer within the time limit
	ReasonStatus      Reason = "status"      // an answer that says that the request failed
	ReasonRedirect    Reason = "redirect"    // the answer names another URL
	ReasonTooLarge    Reason = "too_large"   // the answer exceeds the maximum size
	ReasonIncomplete  Reason = "incomplete"  // the connection ended before the answer did
	ReasonMalformed   Reason = "malformed"   // the answer is not what an Alertmanager sends
)

// Reasons lists all reasons.
func Reasons() []Reason {
	return []Reason{
		ReasonUnreachable, ReasonTimeout, ReasonStatus, ReasonRedirect, ReasonTooLarge, ReasonIncomplete, ReasonMalformed,
	}
}

// RequestError is a request that failed. Its text is a sentence for the operator, and has no
// credentials.
type RequestError struct {
	Reason Reason
	What   string
	Err    error // may be nil
}

// Error implements error.
func (f *RequestError) Error() string { return f.What }

// Unwrap returns the cause.
func (f *RequestError) Unwrap() error { return f.Err }

// reading says what a request reads, or what it changes.
type reading string

const (
	readingStatus   reading = "status"
	readingAlerts   reading = "alerts"
	readingSilences reading = "silences"
	readingMetrics  reading = "metrics"

	readingSilence  reading = "silence"
	settingSilence  reading = "set_silence"
	expiringSilence reading = "expire_silence"
)

func readings() []reading {
	return []reading{readingStatus, readingAlerts, readingSilences, readingMetrics}
}

// silencings are the requests that change silences.
func silencings() []reading { return []reading{readingSilence, settingSilence, expiringSilence} }

// path returns the path of the request. /api/v2/alerts would hide what time intervals mute.
func (r reading) path() string {
	switch r {
	case readingMetrics:
		return "/metrics"
	case readingAlerts:
		return "/api/v2/alerts/groups"
	default:
		return "/api/v2/" + string(r)
	}
}

// Groups calls fn for each group of alerts while it reads them. If it returns an error, fn
// may not have got all.
func (c *Client) Groups(ctx context.Context, fn func(*wire.APIGroup)) error {
	return c.get(ctx, readingAlerts, c.opts.MaxBytes, func(body io.Reader) error {
		for g, err := range wire.ReadGroups(body) {
			if err != nil {
				return err
			}
			fn(g)
		}
		return nil
	})
}

// Silences calls fn for each silence, also for expired ones. If it returns an error, fn may
// not have got all.
func (c *Client) Silences(ctx context.Context, fn func(*wire.APISilence)) error {
	return c.get(ctx, readingSilences, c.opts.MaxBytes, func(body io.Reader) error {
		for s, err := range wire.ReadSilences(body) {
			if err != nil {
				return err
			}
			fn(s)
		}
		return nil
	})
}

// Status returns the version, the configuration and the time of the last start.
func (c *Client) Status(ctx context.Context) (status *wire.APIStatus, err error) {
	err = c.get(ctx, readingStatus, maxOther, func(body io.Reader) (err error) {
		status, err = wire.ReadStatus(body)
		return err
	})
	return status, err
}

// failedMetric counts the notifications that were given up.
const failedMetric = "alertmanager_notifications_failed_total"

// FailedNotifications returns the number of failed notifications since the last start, by
// integration.
func (c *Client) FailedNotifications(ctx context.Context) (map[string]uint64, error) {
	failed := map[string]uint64{}
	err := c.get(ctx, readingMetrics, maxOther, func(body io.Reader) error {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(body)
		if err != nil {
			return err
		}
		for _, metric := range families[failedMetric].GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "integration" {
					failed[label.GetValue()] += uint64(metric.GetCounter().GetValue())
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return failed, nil
}

// get makes a request and passes the body of its answer to read.
func (c *Client) get(caller context.Context, what reading, maxBytes int64, read func(body io.Reader) error) error {
	ctx, cancel := context.WithTimeout(caller, c.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath(what.path()).String(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if caller.Err() != nil {
			return context.Cause(caller)
		}
		return c.noAnswer(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return badStatus(resp.StatusCode)
	}
	body := &limitedBody{r: resp.Body, left: maxBytes + 1}
	if err := read(body); err != nil {
		if caller.Err() != nil {
			return context.Cause(caller)
		}
		return c.badAnswer(ctx, body, resp.Header.Get("Content-Type"), err)
	}
	return nil
}

// noAnswer returns the fault of a request without an answer.
func (c *Client) noAnswer(ctx context.Context, err error) *RequestError {
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &RequestError{ReasonTimeout, fmt.Sprintf("no answer within %s", c.opts.Timeout), err}
	}
	// The error of package http has the URL, which may have a password.
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	what := err.Error()
	if op, ok := errors.AsType[*net.OpError](err); ok {
		what = op.Err.Error()
	}
	return &RequestError{ReasonUnreachable, what, err}
}

// badStatus returns the fault of an answer that is no success.
func badStatus(code int) *RequestError {
	what := fmt.Sprintf("the answer is %d %s", code, http.StatusText(code))
	switch {
	case code >= 300 && code < 400:
		return &RequestError{ReasonRedirect, what + ". Redirects are not followed, so name the URL that it leads to", nil}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		what += ". Set the credentials with --alertmanager.http-config-file"
	}
	return &RequestError{ReasonStatus, what, nil}
}

// badAnswer returns the fault of an answer that cannot be read.
func (c *Client) badAnswer(ctx context.Context, body *limitedBody, contentType string, err error) *RequestError {
	switch {
	case body.exceeded:
		return &RequestError{ReasonTooLarge, fmt.Sprintf("the answer has more than %d bytes", body.read-1), err}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &RequestError{ReasonTimeout, fmt.Sprintf("the answer did not end within %s", c.opts.Timeout), err}
	case body.failed || errors.Is(err, io.ErrUnexpectedEOF):
		return &RequestError{ReasonIncomplete, fmt.Sprintf("the answer ended too early, after %d bytes", body.read), err}
	case strings.HasPrefix(contentType, "text/html"):
		return &RequestError{ReasonMalformed, "the answer is a page. Is the URL that of an Alertmanager?", err}
	}
	return &RequestError{ReasonMalformed, "the answer is not that of an Alertmanager: " + err.Error(), err}
}

// limitedBody is the body of an answer. It ends with an error if it exceeds its size.
type limitedBody struct {
	r                io.Reader
	read             int64
	left             int64 // up to one byte more than the maximum
	exceeded, failed bool
}

var errTooLarge = errors.New("the answer is too large")

// Read implements io.Reader.
func (b *limitedBody) Read(to []byte) (int, error) {
	n, err := b.r.Read(to[:min(int64(len(to)), b.left)])
	b.read += int64(n)
	if b.left -= int64(n); b.left == 0 {
		b.exceeded = true
		return 0, errTooLarge
	}
	b.failed = err != nil && !errors.Is(err, io.EOF)
	return n, err
}
