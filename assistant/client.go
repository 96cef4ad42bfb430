package assistant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
)

// ClientOptions are the settings of a Client.
type ClientOptions struct {
	// Timeout is the time limit of one question to Muster, with its answer.
	Timeout time.Duration
	// MaxBytes is the maximum size of an answer of Muster. Most of it is skipped while it is read.
	MaxBytes int64
	// MaxRequests is the maximum number of questions at the same time. Others wait.
	MaxRequests int
}

// DefaultClientOptions returns the default options. A report of 30 days takes Muster some
// seconds. A group of 10,000 alerts has 15 MB.
func DefaultClientOptions() ClientOptions {
	return ClientOptions{Timeout: 20 * time.Second, MaxBytes: 64 << 20, MaxRequests: 4}
}

// Client asks the API of a Muster. It only reads. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	http  *http.Client
	slots chan struct{} // its capacity is the maximum number of requests
	opts  ClientOptions
}

// NewClient returns a client for the Muster with the URL, which may have a path. The HTTP client
// has the credentials. The returned client never follows redirects, so no other host gets them.
func NewClient(base *url.URL, client *http.Client, opts ClientOptions) *Client {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, http: &own, slots: make(chan struct{}, opts.MaxRequests), opts: opts}
}

// page returns the URL of a page or of an answer of the API, for people.
func (c *Client) page(query url.Values, path ...string) string {
	u := c.base.JoinPath(path...)
	u.RawQuery = query.Encode()
	return u.String()
}

// get reads an answer of the API into a value. An error is a sentence for the assistant.
func (c *Client) get(ctx context.Context, into any, query url.Values, path ...string) error {
	asked, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-asked.Done():
		return c.noAnswer(ctx, asked.Err())
	}
	req, err := http.NewRequestWithContext(asked, http.MethodGet, c.page(query, append([]string{"api", "v1"}, path...)...), http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return c.noAnswer(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp)
	}
	body := &io.LimitedReader{R: resp.Body, N: c.opts.MaxBytes}
	err = json.UnmarshalRead(body, into)
	switch {
	case err == nil:
		return nil
	case body.N <= 0:
		return fmt.Errorf("the answer of Muster has more than %d bytes. Ask for less: use a filter or a smaller limit", c.opts.MaxBytes)
	case asked.Err() != nil:
		return c.noAnswer(ctx, err)
	}
	return fmt.Errorf("the answer of %s is not complete, or not that of a Muster. The operator should check --url of muster-mcp",
		c.base.Redacted())
}

// noAnswer returns the error of a question without a whole answer.
func (c *Client) noAnswer(caller context.Context, err error) error {
	if caller.Err() != nil {
		return context.Cause(caller)
	}
	if timeout, ok := errors.AsType[net.Error](err); errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout() {
		return fmt.Errorf("the Muster at %s did not answer within %s. Try again, or ask for less: a filter, a shorter time, a smaller limit",
			c.base.Redacted(), c.opts.Timeout)
	}
	// The error of package http has the URL, which can be long.
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	return fmt.Errorf("the Muster at %s cannot be reached: %s. So it is not known what fires. The operator should check whether it runs, "+
		"and --url of muster-mcp", c.base.Redacted(), data(err.Error()))
}

var (
	errNoList   = errors.New("a value is not a list")
	errInternal = errors.New("muster-mcp failed. Its log says why")
	errNoID     = errors.New("id is not that of a group, which has 20 hex digits. list_groups has the IDs")
)

// maxError is the maximum number of bytes of an error that Muster answers.
const maxError = 4 << 10

// refusal returns the error of an answer that is not 200.
func (c *Client) refusal(resp *http.Response) error {
	var said struct {
		Error      string `json:"error"`
		KnownSince string `json:"knownSince"`
	}
	reason := ""
	// Only an error of Muster is shown. A proxy answers with a page.
	if json.UnmarshalRead(io.LimitReader(resp.Body, maxError), &said) == nil && said.Error != "" {
		reason = ": " + data((&shaper{longest: maxValue}).text(said.Error))
	}
	if said.KnownSince != "" {
		reason += ". The history begins at " + word(said.KnownSince)
	}
	code := resp.StatusCode
	status := fmt.Sprintf("%d %s", code, http.StatusText(code))
	switch {
	case code == http.StatusBadRequest:
		return fmt.Errorf("the Muster does not accept the question%s. Change the arguments", reason)
	case code == http.StatusNotFound && reason != "":
		return fmt.Errorf("the Muster does not have it%s", reason)
	case code == http.StatusNotFound:
		return fmt.Errorf("%s answers %s. The operator should check --url of muster-mcp", c.base.Redacted(), status)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fmt.Errorf("the Muster at %s answers %s. The operator should set credentials with --http.config.file of muster-mcp",
			c.base.Redacted(), status)
	case code >= 300 && code < 400:
		return fmt.Errorf("%s answers with a redirect (%s), which is not followed. The operator should give muster-mcp the address "+
			"that it leads to as --url", c.base.Redacted(), status)
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		return fmt.Errorf("the Muster is busy or stops (%s%s). Try again in some seconds", status, reason)
	}
	return fmt.Errorf("the Muster at %s answers %s%s", c.base.Redacted(), status, reason)
}
