package receiver

import (
	"fmt"
)

const (
	// maxDefaultMemory is the notification memory if Go has no memory limit, or a
	// large one.
	maxDefaultMemory = 256 << 20
	// minCountedSize is the size from which a notification counts toward the
	// limit on decoded bytes. Smaller ones are limited by their number.
	minCountedSize = 64 << 10
	// largeBody is the size from which a body is checked before it is read. The
	// body and its decoded form need at least twice its size. If that much is
	// not free, the body is rejected at once.
	largeBody = 1 << 20
)

// Options are the settings of a Door.
type Options struct {
	// MaxBodySize is the maximum size of a posted body in bytes. 10,000 alerts
	// have 9.3 MB.
	MaxBodySize int64
	// MaxRequests is the maximum number of webhook requests that are processed
	// at once. A request counts after its body was received. Further requests
	// get 503, which Alertmanager retries within a second.
	MaxRequests int
	// MaxMemory is the maximum number of bytes of notifications in memory.
	// Further requests get 503.
	MaxMemory int64
	// MaxEventRequests and MaxEventMemory are the same for requests of the event recorder,
	// so that these cannot block notifications, and notifications cannot block them. What
	// says nothing new is not decoded, and needs no memory.
	MaxEventRequests int
	MaxEventMemory   int64
	// MaxAlerts is the maximum number of alerts of a notification. MaxLabels is
	// the maximum number of labels, and of annotations, of an alert.
	MaxAlerts, MaxLabels int
	// MaxSources is the maximum number of sources that metrics name.
	MaxSources int
	// TokenFile is the path of a file with the tokens that a notification may
	// carry, and events too. With it, people who may only read pages cannot send
	// notifications. Empty: no token is required.
	TokenFile string
}

// DefaultOptions returns the default options for a memory limit of Go. Notifications
// get a quarter of it, and events an eighth.
func DefaultOptions(memoryLimit int64) Options {
	return Options{
		MaxBodySize:      64 << 20,
		MaxRequests:      64,
		MaxMemory:        min(memoryLimit/4, maxDefaultMemory),
		MaxEventRequests: 64,
		MaxEventMemory:   min(memoryLimit/8, maxDefaultMemory/2),
		MaxAlerts:        100_000,
		MaxLabels:        256,
		MaxSources:       32,
	}
}

// Validate returns an error for a limit that is not positive.
func (o Options) Validate() error {
	for _, limit := range []struct {
		name  string
		value int64
	}{
		{"size of a body", o.MaxBodySize},
		{"number of requests", int64(o.MaxRequests)},
		{"memory of notifications", o.MaxMemory},
		{"number of event requests", int64(o.MaxEventRequests)},
		{"memory of events", o.MaxEventMemory},
		{"number of alerts of a notification", int64(o.MaxAlerts)},
		{"number of labels of an alert", int64(o.MaxLabels)},
		{"number of sources in metrics", int64(o.MaxSources)},
	} {
		if limit.value < 1 {
			return fmt.Errorf("maximum %s %d is less than 1", limit.name, limit.value)
		}
	}
	return nil
}
