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

// The reasons for which a backend fails: the words of a metric's label.
const (
	reasonTimeout = "timeout"
	reasonStalled = "stalled" // it answers, but not in the time that the bytes need
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

// faultPrefixes maps how Redis begins an error to a reason.
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
	{"TRYAGAIN", "tryagain"}, // a slot of a cluster is being moved
	{"MOVED", reasonMoved},
	{"MASTERDOWN", "masterdown"},
	{"ERR max number of clients", "maxclients"},
}

// FaultReason returns why a backend failed, as one of a few words.
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
