package api

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"muster/internal/limit"
	"muster/internal/query"
	"muster/internal/reply"
)

// Exports are answers that a program or a spreadsheet reads: CSV and NDJSON. They have any
// length, and a tail has no end. So they have slots of their own, apart from those of pages.

// ndjsonMedia is the media type of one JSON value per line.
const ndjsonMedia = "application/x-ndjson"

// ExportOptions limit the exports.
type ExportOptions struct {
	// MaxExports is the maximum number of exports at the same time, and MaxTails that of
	// tails.
	MaxExports, MaxTails int
	// KeepAlive is the time after which a tail without events sends an empty line. Proxies
	// close a connection that is idle for a minute.
	KeepAlive time.Duration
	// TailInterval is the minimum time between two reads of the history for a tail.
	TailInterval time.Duration
}

// DefaultExportOptions returns the default options. An export keeps a core busy, so few run
// at the same time.
func DefaultExportOptions() ExportOptions {
	return ExportOptions{MaxExports: 4, MaxTails: 16, KeepAlive: 15 * time.Second, TailInterval: 200 * time.Millisecond}
}

// Validate returns an error for an option that is not positive.
func (o ExportOptions) Validate() error {
	if o.MaxExports < 1 || o.MaxTails < 1 || o.KeepAlive <= 0 || o.TailInterval <= 0 {
		return fmt.Errorf("limits of exports must be positive: %d exports, %d tails, %s between empty lines, %s between reads",
			o.MaxExports, o.MaxTails, o.KeepAlive, o.TailInterval)
	}
	return nil
}

// Exports admits exports and tails. It is safe for concurrent use.
type Exports struct {
	opts           ExportOptions
	exports, tails *limit.Limit
	slow           *prometheus.CounterVec
}

// The values of the label kind.
const (
	kindExport = "export"
	kindTail   = "tail"
)

// NewExports returns the admission of exports.
func NewExports(limits *limit.Registry, reg prometheus.Registerer, opts ExportOptions) (*Exports, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	e := &Exports{
		opts:    opts,
		exports: limits.New("exports", limit.Requests, int64(opts.MaxExports)),
		tails:   limits.New("tails", limit.Requests, int64(opts.MaxTails)),
		slow: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "muster_export_slow_readers_total",
			Help: "Total number of exports and tails that ended because the client read too slowly, by kind.",
		}, []string{"kind"}),
	}
	for _, kind := range []string{kindExport, kindTail} {
		e.slow.WithLabelValues(kind)
	}
	limits.Show("Concurrent exports", e.exports)
	limits.Show("Concurrent tails", e.tails)
	return e, nil
}

// retryAfter is the number of seconds after which a rejected export is tried again.
const retryAfter = "10"

// take takes a slot and marks the answer as one that may take long. If all slots are in use,
// it answers 503 and returns false.
func (e *Exports) take(c *gin.Context, kind string) (limit.Hold, bool) {
	slots, maximum := e.exports, e.opts.MaxExports
	if kind == kindTail {
		slots, maximum = e.tails, e.opts.MaxTails
	}
	slot, ok := slots.Take(1)
	if !ok {
		c.Header("Retry-After", retryAfter)
		reply.Fail(c, http.StatusServiceUnavailable, fmt.Sprintf("limit of %d concurrent %ss reached, try again later", maximum, kind))
		return slot, false
	}
	reply.Stream(c)
	return slot, true
}

// countSlow counts an answer that ended because the client did not read.
func (e *Exports) countSlow(kind string, out *textStream) {
	if errors.Is(out.err, os.ErrDeadlineExceeded) {
		e.slow.WithLabelValues(kind).Inc()
	}
}

// tableOrLines writes rows in one of two forms.
type tableOrLines struct {
	name    string   // the first part of the name of the file
	held    int64    // about how many bytes of memory the rows hold
	columns []string // of the table
	// table writes the rows, and lines the same as JSON values.
	table func(*csvStream)
	lines func(*jsonStream)
}

// export answers with a file.
func (d *Door) export(c *gin.Context, format query.Format, file tableOrLines) {
	slot, ok := d.Exports.take(c, kindExport)
	if !ok {
		return
	}
	defer slot.Release()
	if format == query.FormatCSV {
		d.streamCSV(c, file.held, file.name, file.columns, func(out *csvStream) {
			file.table(out)
			d.Exports.countSlow(kindExport, out.textStream)
		})
		return
	}
	head := answerHead{media: ndjsonMedia, file: fileName(file.name, "ndjson", time.Now())}
	d.stream(c, file.held, head, func(text *textStream) {
		file.lines(&jsonStream{text})
		d.Exports.countSlow(kindExport, text)
	})
}

// endLine ends a line of NDJSON.
func (o *jsonStream) endLine() {
	o.writeRaw("\n")
	o.finishValue(o.err)
}
