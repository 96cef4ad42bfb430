package durable

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"muster/grouping"
)

// The reasons for a failure of a backend that the storage treats in a special way.
// A backend may add others. They are values of a label of metrics, so they are a fixed
// set.
const (
	ReasonTimeout = "timeout"
	ReasonRefused = "refused"
	ReasonClosed  = "closed"
	ReasonPool    = "pool"    // a write waited too long for other writes of this process
	ReasonDamaged = "damaged" // of a group, or of the whole file
	ReasonMoved   = "moved"   // the data would be written to a place where nobody looks for it
	ReasonShards  = "shards"
	ReasonSchema  = "schema" // the data was written by a newer version of Muster
	ReasonOther   = "other"
)

// ErrDataGone means that the next start would not find the data of the backend. So
// the backend needs everything once more.
var ErrDataGone = errors.New("the data of the backend is gone")

// FaultReason returns the reason of a failure of a backend, as one of a fixed set
// of words.
func FaultReason(err error) string {
	var (
		fault   *grouping.StorageError
		network net.Error
	)
	switch {
	case errors.As(err, &fault) && fault.Reason != "":
		return fault.Reason
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return ReasonTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return ReasonRefused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return ReasonClosed
	}
	return ReasonOther
}
