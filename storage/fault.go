package storage

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// The reasons for a failure of a backend. They are values of a label of metrics.
const (
	reasonTimeout = "timeout"
	reasonStalled = "stalled" // the backend answers, but too slowly for this amount of data
	reasonRefused = "refused"
	reasonClosed  = "closed"
	reasonPool    = "pool"
	reasonDamaged = "damaged"
	reasonFull    = "full"
	reasonMoved   = "moved"
	reasonShards  = "shards"
	reasonTLS     = "tls"
	reasonAuth    = "auth"
	reasonOther   = "other"
)

// faultPrefixes maps the prefixes of error texts of Redis to reasons.
var faultPrefixes = []struct{ prefix, reason string }{
	{"LOADING", "loading"},
	{"READONLY", "readonly"},
	{"OOM", "oom"},
	{"MISCONF", "misconf"},
	{"BUSY", "busy"},
	{"NOREPLICAS", "noreplicas"},
	{"NOAUTH", reasonAuth},
	{"WRONGPASS", reasonAuth},
	{"NOPERM", reasonAuth},
	{"CLUSTERDOWN", "clusterdown"},
	{"TRYAGAIN", "tryagain"}, // the cluster is moving a hash slot
	{"MOVED", reasonMoved},
	{"MASTERDOWN", "masterdown"},
	{"ERR max number of clients", "maxclients"},
}

// FaultReason returns the reason of a failure of a backend, as one of a fixed set
// of words.
func FaultReason(err error) string {
	var (
		answer      redis.Error
		network     net.Error
		shards      *shardsError
		certificate *tls.CertificateVerificationError
		damaged     *damagedFileError
		moved       *movedFileError
		unusable    *fileError
		silence     *silenceError
	)
	switch {
	case errors.As(err, &unusable):
		return unusable.reason
	case errors.As(err, &answer):
		for _, f := range faultPrefixes {
			if strings.HasPrefix(answer.Error(), f.prefix) {
				return f.reason
			}
		}
	case errors.As(err, &shards):
		return reasonShards
	case errors.As(err, &certificate), tlsAlert(err) != nil:
		return reasonTLS
	case errors.As(err, &moved):
		return reasonMoved
	case errors.As(err, &damaged):
		return reasonDamaged
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, errNoGrowth):
		return reasonFull
	case errors.Is(err, redis.ErrPoolTimeout):
		return reasonPool
	case errors.As(err, &silence) && silence.asked:
		return reasonStalled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return reasonTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return reasonRefused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed), errors.Is(err, redis.ErrClosed):
		return reasonClosed
	}
	return reasonOther
}
