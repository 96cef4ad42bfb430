package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// answerTimeout limits the time of one answer.
const answerTimeout = time.Minute

// client is one connection to a program. It sends requests that were encoded before, so
// that the load generator takes little time from the programs that it measures.
type client struct {
	conn   net.Conn
	reader *bufio.Reader
}

func dial(ctx context.Context, address string) (*client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, reader: bufio.NewReaderSize(conn, 64<<10)}, nil
}

func (c *client) close() { _ = c.conn.Close() }

// encode returns the bytes of a request.
func encode(method, path string, body []byte) []byte {
	head := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n", method, path)
	if body != nil {
		head = fmt.Appendf(head, "Content-Length: %d\r\n", len(body))
	}
	head = append(head, "\r\n"...)
	return append(head, body...)
}

// do sends a request and copies the body of the answer to the writer.
func (c *client) do(request []byte, to io.Writer) error {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
		line, _, _ := bytes.Cut(request, []byte("\r\n"))
		return fmt.Errorf("%s: %s: %s", line, answer.Status, text)
	}
	_, err = io.Copy(to, answer.Body)
	return err
}

// get returns the body of an answer, over a connection of its own.
func get(ctx context.Context, address, path string) ([]byte, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var body bytes.Buffer
	err = c.do(encode(http.MethodGet, path, nil), &body)
	return body.Bytes(), err
}

// load is a bounded number of requests over several connections.
type load struct {
	addresses []string      // one for each connection
	requests  [][]byte      // divided among the connections
	limit     time.Duration // no request begins later; 0: no limit
	every     time.Duration // time from one request to the next; 0: as fast as the answers come
}

// outcome is what a load measured.
type outcome struct {
	took      time.Duration
	latencies []time.Duration // sorted
}

// run sends the requests. With every, a latency begins at the time at which the request
// was due. So an answer that delays the next requests counts for them too.
func (l load) run(ctx context.Context) (outcome, error) {
	clients := make([]*client, len(l.addresses))
	for i, address := range l.addresses {
		c, err := dial(ctx, address)
		if err != nil {
			return outcome{}, err
		}
		defer c.close()
		clients[i] = c
	}
	var (
		group     sync.WaitGroup
		errs      = make([]error, len(clients))
		latencies = make([][]time.Duration, len(clients))
		started   = time.Now()
	)
	for i, c := range clients {
		group.Go(func() { latencies[i], errs[i] = l.runOne(ctx, c, i, started) })
	}
	group.Wait()
	o := outcome{took: time.Since(started), latencies: slices.Concat(latencies...)}
	slices.Sort(o.latencies)
	return o, errors.Join(errs...)
}

// runOne sends every n-th request, where n is the number of connections.
func (l load) runOne(ctx context.Context, c *client, first int, started time.Time) (latencies []time.Duration, err error) {
	for i := first; i < len(l.requests); i += len(l.addresses) {
		if l.limit > 0 && time.Since(started) > l.limit {
			break
		}
		due := time.Now()
		if l.every > 0 {
			due = started.Add(time.Duration(i) * l.every)
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(due)):
			}
		}
		if ctx.Err() != nil {
			return latencies, context.Cause(ctx)
		}
		if err := c.do(l.requests[i], io.Discard); err != nil {
			return latencies, err
		}
		latencies = append(latencies, time.Since(due))
	}
	return latencies, nil
}

// quantile returns a quantile of the latencies.
func (o outcome) quantile(q float64) time.Duration {
	if len(o.latencies) == 0 {
		return 0
	}
	return o.latencies[min(len(o.latencies)-1, int(q*float64(len(o.latencies))))]
}

// join returns both outcomes as one.
func (o outcome) join(next outcome) outcome {
	latencies := slices.Concat(o.latencies, next.latencies)
	slices.Sort(latencies)
	return outcome{took: o.took + next.took, latencies: latencies}
}
