package storage

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"muster/grouping"
	"muster/storage/durable"
)

// fault is a way in which a call can fail.
type fault string

const (
	refused    fault = "refused"
	answerLost fault = "applied but the answer is lost"
	slow       fault = "slower than its deadline"
	late       fault = "applied after a wait"
)

// flaky is a backend that can be told to fail one kind of call or all calls.
type flaky struct {
	durable.Backend

	hits atomic.Int64 // the number of calls that were hit

	mu  sync.Mutex
	op  string
	how fault
}

func (f *flaky) fail(op string, how fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.op, f.how = op, how
}

func (f *flaky) heal() { f.fail("", "") }

func (f *flaky) do(ctx context.Context, op string, call func() error) error {
	f.mu.Lock()
	hit, how := f.op == op || f.op == "everything", f.how
	f.mu.Unlock()
	if !hit {
		return call()
	}
	f.hits.Add(1)
	broken := func(err error) error { return &grouping.StorageError{Backend: f.Name(), Op: op, Err: err} }
	switch how {
	case answerLost:
		if err := call(); err != nil {
			return err
		}
		return broken(errors.New("connection reset by peer"))
	case late:
		// Like a client that retries until a cluster has failed over.
		time.Sleep(250 * time.Millisecond)
		return call()
	case slow:
		// Like the read timeout of a client.
		ctx, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
		defer cancel()
		<-ctx.Done()
		return broken(context.DeadlineExceeded)
	default:
		return broken(errors.New("connect: connection refused"))
	}
}

func (f *flaky) Write(ctx context.Context, w grouping.Write) (d grouping.Document, err error) {
	op := "store"
	if w.Next == nil {
		op = "delete"
	}
	err = f.do(ctx, op, func() (err error) { d, err = f.Backend.Write(ctx, w); return err })
	return d, err
}

func (f *flaky) LoadMany(ctx context.Context, ids []grouping.ID) (
	documents map[grouping.ID]grouping.Document, damaged []*grouping.DamagedGroupError, err error,
) {
	err = f.do(ctx, "load", func() (err error) { documents, damaged, err = f.Backend.LoadMany(ctx, ids); return err })
	return documents, damaged, err
}

// LoadWritten fails like LoadMany and like LoadEvents.
func (f *flaky) LoadWritten(
	ctx context.Context, names map[grouping.ID][]string, entries []durable.LogEntry, known func(*grouping.Event) bool,
) (written durable.Written, err error) {
	err = f.do(ctx, "load", func() error {
		return f.do(ctx, "events of", func() (err error) {
			written, err = f.Backend.LoadWritten(ctx, names, entries, known)
			return err
		})
	})
	return written, err
}

func (f *flaky) Index(ctx context.Context, fn func(map[grouping.ID]string)) error {
	return f.do(ctx, "index", func() error { return f.Backend.Index(ctx, fn) })
}

func (f *flaky) Position(ctx context.Context) (p []durable.Position, err error) {
	err = f.do(ctx, "position", func() (err error) { p, err = f.Backend.Position(ctx); return err })
	return p, err
}

func (f *flaky) FollowLog(ctx context.Context, from []durable.Position, fn func(int, []durable.LogEntry)) error {
	return f.do(ctx, "follow", func() error { return f.Backend.FollowLog(ctx, from, fn) })
}

func (f *flaky) PushEvents(ctx context.Context, events []grouping.Event, contents grouping.ContentTexts) error {
	return f.do(ctx, "push events", func() error { return f.Backend.PushEvents(ctx, events, contents) })
}

func (f *flaky) CheckLineage(ctx context.Context, seen []durable.Position) (l durable.Lineage, err error) {
	err = f.do(ctx, "trace", func() (err error) { l, err = f.Backend.CheckLineage(ctx, seen); return err })
	return l, err
}

func (f *flaky) LoadEvents(ctx context.Context, entries []durable.LogEntry) (
	events []grouping.Event, contents grouping.ContentTexts, err error,
) {
	err = f.do(ctx, "events of", func() (err error) { events, contents, err = f.Backend.LoadEvents(ctx, entries); return err })
	return events, contents, err
}

func (f *flaky) Contents(ctx context.Context, events []grouping.Event) (contents map[string]grouping.Content, err error) {
	err = f.do(ctx, "contents", func() (err error) { contents, err = f.Backend.Contents(ctx, events); return err })
	return contents, err
}

func (f *flaky) MissingEvents(ctx context.Context, events []grouping.Event) (missing []grouping.Event, err error) {
	err = f.do(ctx, "absent", func() (err error) { missing, err = f.Backend.MissingEvents(ctx, events); return err })
	return missing, err
}

func (f *flaky) FindLosses(ctx context.Context, ids []grouping.ID) (losses durable.Losses, err error) {
	err = f.do(ctx, "lacking", func() (err error) { losses, err = f.Backend.FindLosses(ctx, ids); return err })
	return losses, err
}

func (f *flaky) Now(ctx context.Context) (now time.Time, err error) {
	err = f.do(ctx, "now", func() (err error) { now, err = f.Backend.Now(ctx); return err })
	return now, err
}

func (f *flaky) Events(ctx context.Context, q grouping.EventQuery) (page grouping.EventPage, err error) {
	err = f.do(ctx, "events", func() (err error) { page, err = f.Backend.Events(ctx, q); return err })
	return page, err
}

// StreamEvents breaks after three events if the call fails.
func (f *flaky) StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error] {
	return func(yield func(grouping.Event, error) bool) {
		n := 0
		for e, err := range f.Backend.StreamEvents(ctx, from) {
			if n++; n > 3 {
				if fault := f.do(ctx, "stream", func() error { return nil }); fault != nil {
					yield(grouping.Event{}, fault)
					return
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (f *flaky) Ping(ctx context.Context) error {
	return f.do(ctx, "ping", func() error { return f.Backend.Ping(ctx) })
}
