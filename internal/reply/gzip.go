package reply

import (
	"compress/gzip"
	"io"
	"strconv"
	"strings"
	"sync"
)

// Gzip reports whether a client prefers gzip, by the values of its Accept-Encoding
// headers (RFC 9110, section 12.5.3). The weight 0 rejects a coding, and "*" stands
// for every coding that is not named. An invalid weight counts as 0, because every
// client can read plain text.
func Gzip(headers []string) bool {
	weights := map[string]float64{}
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			coding, params, _ := strings.Cut(part, ";")
			weights[strings.ToLower(strings.TrimSpace(coding))] = weight(params)
		}
	}
	q, named := weights["gzip"]
	if !named {
		q, named = weights["x-gzip"] // its old name
	}
	if !named {
		q = weights["*"]
	}
	return q > 0 && q >= weights["identity"]
}

func weight(params string) float64 {
	name, value, found := strings.Cut(params, "=")
	if !found && strings.TrimSpace(params) == "" {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !strings.EqualFold(strings.TrimSpace(name), "q") || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}

// GzipMemory is about the memory of a writer that compresses, in bytes.
const GzipMemory = 1 << 20

// Levels above 5 take much more time and make a page little smaller.
var gzipWriters = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, 5) // the level is valid
	return z
}}

// NewGzipWriter returns a writer that compresses what it writes to w.
func NewGzipWriter(w io.Writer) *gzip.Writer {
	z, _ := gzipWriters.Get().(*gzip.Writer)
	z.Reset(w)
	return z
}

// RecycleGzipWriter takes back a writer that is no longer used.
func RecycleGzipWriter(z *gzip.Writer) {
	z.Reset(io.Discard) // so that it does not keep the other writer
	gzipWriters.Put(z)
}
