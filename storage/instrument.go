package storage

import (
	"context"
	"errors"
	"iter"
	"time"

	"muster/grouping"
	"muster/storage/durable"

	"github.com/prometheus/client_golang/prometheus"
)

// storageMetrics are the metrics that all backends share.
type storageMetrics struct {
	operations *prometheus.CounterVec
	duration   *prometheus.HistogramVec
}

// instrumented counts and times the calls of a GroupStorage. No other code measures
// them.
type instrumented struct {
	grouping.GroupStorage

	backend string
	metrics storageMetrics
}

// Instrument returns a storage that counts and times all calls of next. "Not
// found", conflicts and cancelled calls are counted as results of their own, not as
// errors.
func Instrument(next grouping.GroupStorage, backend string, reg prometheus.Registerer) grouping.GroupStorage {
	return newInstrumented(next, backend, reg)
}

// InstrumentDurable is Instrument for a durable backend.
func InstrumentDurable(next durable.Backend, reg prometheus.Registerer) durable.Backend {
	return &instrumentedDurable{newInstrumented(next, next.Name(), reg), next}
}

func newInstrumented(next grouping.GroupStorage, backend string, reg prometheus.Registerer) *instrumented {
	return &instrumented{next, backend, storageMetrics{
		operations: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_storage_operations_total", Help: "Total number of storage operations, by backend, operation and result.",
		}, []string{"backend", "operation", "result"})),
		duration: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_storage_duration_seconds", Help: "Duration of storage operations in seconds, by backend and operation.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8), // 0.1 ms to 1.6 s
		}, []string{"backend", "operation"})),
	}}
}

// register registers the collector and returns it. If the same metric is already
// registered, register returns the existing collector. All backends share the
// metrics.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	if registered, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := registered.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil {
		panic(err) // a bug: the metrics above are invalid
	}
	return c
}

// record counts and times one call. It takes a pointer to the error because it is
// deferred, before the call has set it.
func (s *instrumented) record(ctx context.Context, operation string, started time.Time, err *error) {
	s.metrics.duration.WithLabelValues(s.backend, operation).Observe(time.Since(started).Seconds())
	s.metrics.operations.WithLabelValues(s.backend, operation, result(ctx, *err)).Inc()
}

// result returns the value of the label "result".
func result(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, grouping.ErrGroupNotFound):
		return "not_found"
	case errors.Is(err, grouping.ErrVersionMismatch):
		return "conflict"
	case errors.Is(err, context.Canceled), errors.Is(ctx.Err(), context.Canceled) && errors.Is(err, context.Cause(ctx)):
		return "cancelled"
	default:
		return "error"
	}
}

func (s *instrumented) Store(ctx context.Context, c grouping.Change) (g *grouping.AlertGroup, err error) {
	defer s.record(ctx, "store", time.Now(), &err)
	return s.GroupStorage.Store(ctx, c)
}

func (s *instrumented) Load(ctx context.Context, id grouping.ID) (g *grouping.AlertGroup, err error) {
	defer s.record(ctx, "load", time.Now(), &err)
	return s.GroupStorage.Load(ctx, id)
}

func (s *instrumented) Delete(ctx context.Context, c grouping.Change) (err error) {
	defer s.record(ctx, "delete", time.Now(), &err)
	return s.GroupStorage.Delete(ctx, c)
}

func (s *instrumented) StoreSource(ctx context.Context, c grouping.SourceChange) (d *grouping.SourceDocument, err error) {
	defer s.record(ctx, "store", time.Now(), &err)
	return s.GroupStorage.StoreSource(ctx, c)
}

func (s *instrumented) LoadSource(ctx context.Context, source string) (d *grouping.SourceDocument, err error) {
	defer s.record(ctx, "load", time.Now(), &err)
	return s.GroupStorage.LoadSource(ctx, source)
}

func (s *instrumented) ListKeys(ctx context.Context) (ids []grouping.ID, err error) {
	defer s.record(ctx, "list_keys", time.Now(), &err)
	return s.GroupStorage.ListKeys(ctx)
}

func (s *instrumented) Size(ctx context.Context) (n int, err error) {
	defer s.record(ctx, "size", time.Now(), &err)
	return s.GroupStorage.Size(ctx)
}

func (s *instrumented) LoadAll(ctx context.Context) iter.Seq2[*grouping.AlertGroup, error] {
	return func(yield func(*grouping.AlertGroup, error) bool) {
		var last error
		defer s.record(ctx, "load_all", time.Now(), &last)
		for g, err := range s.GroupStorage.LoadAll(ctx) {
			last = err
			if !yield(g, err) {
				return
			}
		}
	}
}

func (s *instrumented) StoreAll(ctx context.Context, groups []*grouping.AlertGroup) (err error) {
	defer s.record(ctx, "store_all", time.Now(), &err)
	return s.GroupStorage.StoreAll(ctx, groups)
}

func (s *instrumented) Ping(ctx context.Context) (err error) {
	defer s.record(ctx, "ping", time.Now(), &err)
	return s.GroupStorage.Ping(ctx)
}

func (s *instrumented) Events(ctx context.Context, q grouping.EventQuery) (page grouping.EventPage, err error) {
	defer s.record(ctx, "events", time.Now(), &err)
	return s.GroupStorage.Events(ctx, q)
}

func (s *instrumented) StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error] {
	return func(yield func(grouping.Event, error) bool) {
		var last error
		defer s.record(ctx, "stream_events", time.Now(), &last)
		for e, err := range s.GroupStorage.StreamEvents(ctx, from) {
			last = err
			if !yield(e, err) {
				return
			}
		}
	}
}

func (s *instrumented) HistorySince(ctx context.Context) (since time.Time, err error) {
	defer s.record(ctx, "history_since", time.Now(), &err)
	return s.GroupStorage.HistorySince(ctx)
}

func (s *instrumented) Checkpoints(ctx context.Context) (stored []grouping.StoredCheckpoint, err error) {
	defer s.record(ctx, "checkpoints", time.Now(), &err)
	return s.GroupStorage.Checkpoints(ctx)
}

func (s *instrumented) LoadCheckpoint(ctx context.Context, name grouping.Stamp) (data []byte, err error) {
	defer s.record(ctx, "load_checkpoint", time.Now(), &err)
	return s.GroupStorage.LoadCheckpoint(ctx, name)
}

func (s *instrumented) StoreCheckpoint(ctx context.Context, name grouping.Stamp, data []byte) (err error) {
	defer s.record(ctx, "store_checkpoint", time.Now(), &err)
	return s.GroupStorage.StoreCheckpoint(ctx, name, data)
}

func (s *instrumented) DeleteCheckpoint(ctx context.Context, name grouping.Stamp) (err error) {
	defer s.record(ctx, "delete_checkpoint", time.Now(), &err)
	return s.GroupStorage.DeleteCheckpoint(ctx, name)
}

func (s *instrumented) Contents(ctx context.Context, events []grouping.Event) (contents map[string]grouping.Content, err error) {
	defer s.record(ctx, "contents", time.Now(), &err)
	return s.GroupStorage.Contents(ctx, events)
}

// instrumentedDurable measures the calls of a backend, except FollowLog, which runs
// for hours.
type instrumentedDurable struct {
	*instrumented

	next durable.Backend
}

func (s *instrumentedDurable) Name() string { return s.next.Name() }

func (s *instrumentedDurable) Close() error { return s.next.Close() }

func (s *instrumentedDurable) Write(ctx context.Context, w grouping.Write) (d grouping.Document, err error) {
	operation := "store"
	if w.Next == nil {
		operation = "delete"
	}
	defer s.record(ctx, operation, time.Now(), &err)
	return s.next.Write(ctx, w)
}

func (s *instrumentedDurable) Position(ctx context.Context) (p []durable.Position, err error) {
	defer s.record(ctx, "position", time.Now(), &err)
	return s.next.Position(ctx)
}

func (s *instrumentedDurable) Index(ctx context.Context, fn func(tokens map[grouping.ID]string)) (err error) {
	defer s.record(ctx, "index", time.Now(), &err)
	return s.next.Index(ctx, fn)
}

func (s *instrumentedDurable) LoadMany(ctx context.Context, ids []grouping.ID) (
	documents map[grouping.ID]grouping.Document, damaged []*grouping.DamagedGroupError, err error,
) {
	defer s.record(ctx, "load_many", time.Now(), &err)
	return s.next.LoadMany(ctx, ids)
}

func (s *instrumentedDurable) LoadWritten(
	ctx context.Context, names map[grouping.ID][]string, entries []durable.LogEntry, known func(*grouping.Event) bool,
) (written durable.Written, err error) {
	defer s.record(ctx, "load_many", time.Now(), &err)
	return s.next.LoadWritten(ctx, names, entries, known)
}

func (s *instrumentedDurable) FollowLog(ctx context.Context, from []durable.Position, fn func(int, []durable.LogEntry)) error {
	return s.next.FollowLog(ctx, from, fn)
}

func (s *instrumentedDurable) PushEvents(ctx context.Context, events []grouping.Event, contents grouping.ContentTexts) (err error) {
	defer s.record(ctx, "push_events", time.Now(), &err)
	return s.next.PushEvents(ctx, events, contents)
}

func (s *instrumentedDurable) CheckLineage(ctx context.Context, seen []durable.Position) (lineage durable.Lineage, err error) {
	defer s.record(ctx, "trace", time.Now(), &err)
	return s.next.CheckLineage(ctx, seen)
}

func (s *instrumentedDurable) LoadEvents(ctx context.Context, entries []durable.LogEntry) (
	events []grouping.Event, contents grouping.ContentTexts, err error,
) {
	defer s.record(ctx, "events_of", time.Now(), &err)
	return s.next.LoadEvents(ctx, entries)
}

func (s *instrumentedDurable) MissingEvents(ctx context.Context, events []grouping.Event) (missing []grouping.Event, err error) {
	defer s.record(ctx, "absent", time.Now(), &err)
	return s.next.MissingEvents(ctx, events)
}

func (s *instrumentedDurable) HasLog() bool { return s.next.HasLog() }

func (s *instrumentedDurable) FindLosses(ctx context.Context, ids []grouping.ID) (losses durable.Losses, err error) {
	defer s.record(ctx, "lacking", time.Now(), &err)
	return s.next.FindLosses(ctx, ids)
}

func (s *instrumentedDurable) Check(ctx context.Context) (problems []string, err error) {
	defer s.record(ctx, "check", time.Now(), &err)
	return s.next.Check(ctx)
}

func (s *instrumentedDurable) Now(ctx context.Context) (now time.Time, err error) {
	defer s.record(ctx, "time", time.Now(), &err)
	return s.next.Now(ctx)
}
