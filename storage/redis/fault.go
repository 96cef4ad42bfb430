package redis

import (
	"crypto/tls"
	"errors"
	"strings"

	"muster/storage/durable"

	"github.com/redis/go-redis/v9"
)

// The reasons for a failure that only Redis has.
const (
	reasonStalled = "stalled" // Redis answers, but too slowly for this amount of data
	reasonTLS     = "tls"
	reasonAuth    = "auth"
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
	{"MOVED", durable.ReasonMoved},
	{"MASTERDOWN", "masterdown"},
	{"ERR max number of clients", "maxclients"},
}

// faultReason returns the reason of an error of the client.
func faultReason(err error) string {
	var (
		answer      redis.Error
		shards      *shardsError
		schema      *durable.SchemaError
		certificate *tls.CertificateVerificationError
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
		return durable.ReasonOther
	case errors.As(err, &shards):
		return durable.ReasonShards
	case errors.As(err, &schema):
		return durable.ReasonSchema
	case errors.As(err, &certificate), tlsAlert(err) != nil:
		return reasonTLS
	case errors.Is(err, redis.ErrPoolTimeout):
		return durable.ReasonPool
	case errors.As(err, &silence) && silence.asked:
		return reasonStalled
	case errors.Is(err, redis.ErrClosed):
		return durable.ReasonClosed
	}
	return durable.FaultReason(err)
}
