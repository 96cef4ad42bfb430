package redis

import (
	"fmt"
	"strings"
	"time"

	"muster/grouping"
)

// Options are the settings of a Storage. An error about an option names its flag.
type Options struct {
	// URL is one of
	//
	//	redis://user:password@host:port/db, rediss:// for TLS
	//	unix://user:password@/path/to/socket?db=0
	//	redis://sentinel:password@host:port/db?master_name=m&username=u&password=p&addr=host:port
	//	redis://user:password@host:port?addr=host:port
	//
	// The third form names Sentinels, the fourth one names nodes of a cluster.
	// addr may be given several times.
	URL string
	// PasswordFile and SentinelPasswordFile are paths of files with passwords.
	// These passwords replace those in the URL. They are read for each connection.
	PasswordFile, SentinelPasswordFile string
	TLS                                TLS
	KeyPrefix                          string
	// Shards is the number of hash tags over which the documents are spread, or
	// AutoShards. All processes that share the keys need the same number.
	Shards int
	// Retention is how long a resolved group is kept, HistoryRetention how long
	// events are kept.
	Retention, HistoryRetention time.Duration
	// MaxHistory is the maximum number of events per shard. Changed events have a tenth
	// of it in addition.
	MaxHistory  int
	MaxTimeline int // maximum number of writes per group whose events are listed with it
	MaxLog      int // maximum number of log entries per shard
	Limits      Limits
}

// AutoShards stands for one shard, or for clusterShards in a cluster.
const AutoShards = 0

// DefaultOptions returns the defaults. The URL has no default.
func DefaultOptions() Options {
	return Options{
		KeyPrefix: "muster", Shards: AutoShards,
		Retention: grouping.DefaultOptions.Retention, HistoryRetention: grouping.DefaultHistoryRetention,
		MaxHistory:  1_000_000, // at most about 500 MB
		MaxTimeline: 10_000,
		// Some minutes of an alert storm. A process that was disconnected for longer
		// compares all groups instead.
		MaxLog: 10_000,
		// A webhook has two seconds in total. If Redis hangs, Muster must know it
		// after one of them.
		Limits: Limits{Answer: 500 * time.Millisecond, Dial: time.Second, Pool: time.Second, Connections: 16},
	}
}

// Validate returns an error if an option is not valid.
func (o Options) Validate() error {
	switch {
	case strings.ContainsAny(o.KeyPrefix, "{}"):
		// In a cluster, the first braces of a key enclose its hash tag.
		return fmt.Errorf("--redis.key-prefix: %q contains a brace", o.KeyPrefix)
	case o.Shards < 0 || o.Shards > maxShards:
		return fmt.Errorf("--redis.shards: %d is not between 1 and %d", o.Shards, maxShards)
	case o.Retention <= 0 || o.HistoryRetention <= 0 || o.MaxHistory <= 0 || o.MaxTimeline <= 0 || o.MaxLog <= 0:
		return fmt.Errorf("redis: only positive values are allowed: retention %s, history retention %s, "+
			"maximum of history %d, timeline %d and log %d", o.Retention, o.HistoryRetention, o.MaxHistory, o.MaxTimeline, o.MaxLog)
	}
	return o.Limits.validate()
}

// maxShards limits the number of connections, because each log is followed on its
// own connection. clusterShards is enough to spread the documents evenly over the
// masters of most clusters.
const (
	maxShards     = 64
	clusterShards = 16
)
