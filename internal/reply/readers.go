package reply

import (
	"fmt"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/limit"
)

// ReaderOptions limit the answers to readers.
type ReaderOptions struct {
	// MaxReaders is the maximum number of requests for pages and the API whose
	// answers are prepared at once.
	MaxReaders int
	// MaxResponseMemory is the maximum number of bytes of answers that are
	// prepared or sent.
	MaxResponseMemory int64
	// MaxWaiting is the maximum number of requests that wait for an Alertmanager at once.
	MaxWaiting int
}

// maxDefaultMemory is the response memory if Go has no memory limit, or a large one.
const maxDefaultMemory = 64 << 20

// DefaultReaderOptions returns the default options for a memory limit of Go. Answers
// get a sixteenth of it.
func DefaultReaderOptions(memoryLimit int64) ReaderOptions {
	return ReaderOptions{
		MaxReaders: 256, MaxResponseMemory: min(memoryLimit/16, maxDefaultMemory),
		MaxWaiting: 16, // more people do not silence at once
	}
}

// Validate returns an error for a limit that is not positive.
func (o ReaderOptions) Validate() error {
	if o.MaxReaders < 1 || o.MaxResponseMemory < 1 || o.MaxWaiting < 1 {
		return fmt.Errorf("limits of readers must be positive: %d readers, %d bytes of answers, %d that wait",
			o.MaxReaders, o.MaxResponseMemory, o.MaxWaiting)
	}
	return nil
}

// Readers admits requests for pages and the API. A request needs a slot while its answer
// is prepared, and a part of the response memory until the answer is sent. It is safe
// for concurrent use.
type Readers struct {
	slots, waiting, bytes *limit.Limit
}

// NewReaders returns the admission of readers.
func NewReaders(limits *limit.Registry, opts ReaderOptions) (*Readers, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	r := &Readers{
		slots:   limits.New("readers", limit.Requests, int64(opts.MaxReaders)),
		waiting: limits.New("silencing", limit.Requests, int64(opts.MaxWaiting)),
		bytes:   limits.New("responses", limit.Bytes, opts.MaxResponseMemory),
	}
	limits.Show("Concurrent readers", r.slots)
	limits.Show("Concurrent changes of silences", r.waiting)
	limits.Show("Memory of responses", r.bytes)
	return r, nil
}

// readerKey is the gin context key of a request's slot.
const readerKey = "reader"

// Admit is a middleware. It limits the number of requests whose answers are prepared
// at once.
func (r *Readers) Admit(c *gin.Context) {
	slot, ok := r.slots.Take(1)
	if !ok {
		refuseBusy(c, "too many concurrent requests, try again")
		return
	}
	c.Set(readerKey, &slot)
	defer slot.Release()
	c.Next()
}

// Wait replaces the slot of a reader before its request waits for an Alertmanager. So a slow
// Alertmanager does not block other readers. If too many requests wait, it returns
// grouping.ErrBusy.
func (r *Readers) Wait(c *gin.Context) error {
	waiting, ok := r.waiting.Take(1)
	if !ok {
		return grouping.ErrBusy
	}
	slot := c.MustGet(readerKey).(*limit.Hold)
	slot.Release()
	*slot = waiting
	return nil
}

// Hold takes the bytes of an answer and releases the slot of its reader. From here
// on the client's speed decides the duration, and the limit on bytes applies. If
// the bytes exceed the limit, Hold answers 503 and returns false. Otherwise the
// caller releases the hold.
func (r *Readers) Hold(c *gin.Context, size int64) (limit.Hold, bool) {
	hold, ok := r.bytes.Take(size)
	if !ok {
		for _, name := range []string{"ETag", "Content-Encoding", "Content-Length"} {
			c.Writer.Header().Del(name)
		}
		c.Header("Cache-Control", "no-store")
		refuseBusy(c, "response memory is in use by slow clients, try again")
		return limit.Hold{}, false
	}
	if slot, ok := c.Get(readerKey); ok {
		slot.(*limit.Hold).Release()
	}
	return hold, true
}
