package alertmanager

import (
	"fmt"
	"net/url"
	"time"
)

// Target is one Alertmanager of a source. Several Alertmanagers of a source are its
// replicas.
type Target struct {
	Source string
	URL    *url.URL // may have a user, a password and a path
}

// ConfigFile is the path of a file with the settings of the HTTP client for the
// Alertmanagers of a source.
type ConfigFile struct{ Source, Path string }

// ClientOptions are the settings of a Client.
type ClientOptions struct {
	// Timeout is the time limit of one request with its answer. MaxBytes is the maximum
	// size of an answer.
	Timeout  time.Duration
	MaxBytes int64
}

// Options are the settings of a Poller.
type Options struct {
	Targets     []Target
	ConfigFiles []ConfigFile
	// Interval is the time between two polls of an Alertmanager. It is longer for an
	// Alertmanager that needs long to answer.
	Interval time.Duration
	// MaxLabels is the maximum number of labels, and of annotations, of an alert. An alert
	// with more is left out.
	MaxLabels int
	Client    ClientOptions
}

// maxDefaultBytes is the maximum size of an answer if Go has no memory limit, or a large
// one. 100,000 alerts are some 120 MB.
const maxDefaultBytes = 192 << 20

// DefaultOptions returns the default options for a memory limit of Go. An answer may have
// as many bytes as a quarter of it, because its alerts need about as much memory. An old
// Alertmanager needs 8 s for 100,000 alerts.
func DefaultOptions(memoryLimit int64) Options {
	return Options{
		Interval:  time.Minute,
		MaxLabels: 256,
		Client:    ClientOptions{Timeout: 30 * time.Second, MaxBytes: min(memoryLimit/4, maxDefaultBytes)},
	}
}

// Validate returns an error that names the flag of a wrong value.
func (o Options) Validate() error {
	if o.Interval < time.Second {
		return fmt.Errorf("--alertmanager.interval: %s is less than 1s", o.Interval)
	}
	sources, targets := map[string]bool{}, map[string]bool{}
	for _, t := range o.Targets {
		sources[t.Source] = true
		key := t.Source + "=" + nameOf(t.URL)
		if targets[key] {
			return fmt.Errorf("--alertmanager.url: %s occurs twice for the source %s", nameOf(t.URL), t.Source)
		}
		targets[key] = true
	}
	files := map[string]bool{}
	for _, f := range o.ConfigFiles {
		switch {
		case !sources[f.Source]:
			return fmt.Errorf("--alertmanager.http-config-file: no --alertmanager.url has the source %s of %s", f.Source, f.Path)
		case files[f.Source]:
			return fmt.Errorf("--alertmanager.http-config-file: the source %s has more than one file", f.Source)
		}
		files[f.Source] = true
	}
	if o.MaxLabels < 1 || o.Client.Timeout <= 0 || o.Client.MaxBytes < 1 {
		return fmt.Errorf("a limit for polling Alertmanagers is not positive: %d labels, %s, %d bytes",
			o.MaxLabels, o.Client.Timeout, o.Client.MaxBytes)
	}
	return nil
}

// nameOf returns the URL without its user and password. It is what pages and metrics call
// the Alertmanager.
func nameOf(u *url.URL) string {
	shown := *u
	shown.User = nil
	return shown.String()
}
