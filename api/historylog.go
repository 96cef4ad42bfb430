package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"muster/grouping"
)

// HistoryLogOptions are the settings of a HistoryLog.
type HistoryLogOptions struct {
	// Path is the path of the file, or StandardOutput. "" means that there is no log.
	Path string
	// MaxQueue is the maximum number of events that wait for the file.
	MaxQueue int
	// Retry is the time after which a failed write is tried again. LastWrite is the maximum
	// time for what still waits at a stop.
	Retry, LastWrite time.Duration
}

// StandardOutput is the path that stands for the standard output.
const StandardOutput = "-"

// DefaultHistoryLogOptions returns the default options. The queue is enough for a second of a
// storm, and needs some ten megabytes.
func DefaultHistoryLogOptions() HistoryLogOptions {
	return HistoryLogOptions{MaxQueue: 20_000, Retry: time.Second, LastWrite: 2 * time.Second}
}

// Validate returns an error for an option that is not positive.
func (o HistoryLogOptions) Validate() error {
	if o.MaxQueue < 1 || o.Retry <= 0 || o.LastWrite <= 0 {
		return fmt.Errorf("limits of the history log must be positive: %d events, %s between tries, %s for the last write",
			o.MaxQueue, o.Retry, o.LastWrite)
	}
	return nil
}

// HistoryLog writes each event of this process as a line of JSON to a file. The file may be
// moved away, then it is created again. Its methods are safe for concurrent use.
type HistoryLog struct {
	opts            HistoryLogOptions
	logger          *slog.Logger
	errors, dropped prometheus.Counter

	mu      sync.Mutex
	queue   []grouping.Event // guarded by mu
	arrived chan struct{}    // has an element if the queue has events

	// The following belong to the goroutine that writes.
	to       io.Writer // nil: not open
	file     *os.File  // nil if to is no file
	text     []byte    // lines that are not written yet
	partial  bool      // the first line of text is written in part
	failing  bool
	standard io.Writer
}

// NewHistoryLog returns a history log. It opens the file when it runs.
func NewHistoryLog(reg prometheus.Registerer, logger *slog.Logger, opts HistoryLogOptions) (*HistoryLog, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	return &HistoryLog{
		opts: opts, logger: logger, arrived: make(chan struct{}, 1), standard: os.Stdout,
		errors: promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Name: "muster_history_log_errors_total", Help: "Total number of writes to the history log that failed.",
		}),
		dropped: promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Name: "muster_history_log_dropped_events_total",
			Help: "Total number of events that are missing in the history log, because too many waited for it.",
		}),
	}, nil
}

// Publish writes the events of a change soon. It never blocks. If too many events wait, it
// drops those of the change.
func (l *HistoryLog) Publish(u grouping.Update) {
	if l.opts.Path == "" || len(u.Events) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 && len(l.queue)+len(u.Events) > l.opts.MaxQueue {
		l.dropped.Add(float64(len(u.Events)))
		return
	}
	l.queue = append(l.queue, u.Events...)
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

// Run writes until the context ends, and then what still waits. An output that blocks does not
// delay the end for long.
func (l *HistoryLog) Run(ctx context.Context) error {
	if l.opts.Path == "" {
		<-ctx.Done()
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.write(ctx)
	}()
	<-ctx.Done()
	select {
	case <-done:
	case <-time.After(l.opts.LastWrite):
		l.logger.WarnContext(ctx, "The history log does not accept the last events")
	}
	return nil
}

// write writes the queue until the context ends. A write that failed is tried again.
func (l *HistoryLog) write(ctx context.Context) {
	defer l.close()
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		arrived := l.arrived
		if l.failing { // collect until the next try
			arrived = nil
		}
		select {
		case <-ctx.Done():
			l.report(l.writeAll())
			return
		case <-arrived:
		case <-retry.C:
		}
		err := l.writeAll()
		l.report(err)
		if err != nil {
			retry.Reset(l.opts.Retry)
		}
	}
}

// writeAll writes until nothing waits.
func (l *HistoryLog) writeAll() error {
	err := l.openMoved()
	for err == nil && l.take() {
		err = l.tryWrite()
	}
	return err
}

// maxLogText is the number of bytes from which text is written before more is encoded.
const maxLogText = 64 << 10

// take encodes the next events of the queue, unless enough text waits. It returns false if there
// is nothing to write.
func (l *HistoryLog) take() bool {
	if len(l.text) >= maxLogText {
		return true
	}
	lines, events := encoder{text: l.text}, l.next()
	for i := range events {
		if lines.event(&events[i]) != nil {
			l.dropped.Inc()
			continue
		}
		lines.raw("\n")
	}
	l.text = lines.text
	return len(l.text) > 0
}

// next removes the next events from the queue.
func (l *HistoryLog) next() (events []grouping.Event) {
	const atOnce = 256
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.queue), atOnce)
	events, l.queue = l.queue[:n], l.queue[n:]
	if len(l.queue) == 0 {
		l.queue = nil // it keeps no memory
	}
	return events
}

// tryWrite writes the text. What is left after a failure is written later.
func (l *HistoryLog) tryWrite() error {
	n, err := l.to.Write(l.text)
	if n > 0 {
		l.partial = l.text[n-1] != '\n'
	}
	l.text = append(l.text[:0], l.text[n:]...)
	return err
}

// openMoved opens the file if it is not open, or if its path now names another file or none.
func (l *HistoryLog) openMoved() error {
	if l.opts.Path == StandardOutput {
		l.to = l.standard
		return nil
	}
	if l.file != nil {
		at, err := os.Stat(l.opts.Path)
		is, isErr := l.file.Stat()
		if err == nil && isErr == nil && os.SameFile(at, is) {
			return nil
		}
		l.close()
	}
	file, err := os.OpenFile(l.opts.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640) //nolint:gosec // G302: a log, which a group may read
	if err != nil {
		return err
	}
	l.file, l.to = file, file
	if l.partial { // the begin of the line is in the other file
		l.text = l.text[bytes.IndexByte(l.text, '\n')+1:]
		l.partial = false
		l.dropped.Inc()
	}
	return nil
}

func (l *HistoryLog) close() {
	if l.file != nil {
		_ = l.file.Close() // each write has reported its error
		l.file, l.to = nil, nil
	}
}

// report counts a failure, and logs when writes begin to fail and when they work again.
func (l *HistoryLog) report(err error) {
	if err != nil {
		l.errors.Inc()
	}
	if l.failing == (err != nil) {
		return
	}
	if l.failing = err != nil; l.failing {
		l.logger.Warn("Writing the history log failed", "path", l.opts.Path, "err", err)
	} else {
		l.logger.Info("The history log can be written again", "path", l.opts.Path)
	}
}
