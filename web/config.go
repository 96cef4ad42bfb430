package web

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
)

// checkInterval is how long a changed file may go unnoticed.
const checkInterval = time.Second

// settings are one valid web config file with the certificates that it names.
// They are never changed, but replaced.
type settings struct {
	web.Config

	sum [sha256.Size]byte // of the file and of the files that it names
	tls *tls.Config       // nil: without TLS
}

// Config is the web config file, as it was last valid. It is safe for
// concurrent use.
type Config struct {
	path   string // "": there is none
	logger *slog.Logger

	current atomic.Pointer[settings]
	// checked is when the files were last looked at, in Unix nanoseconds.
	checked atomic.Int64

	mu      sync.Mutex
	refused [sha256.Size]byte // guarded by mu; what was last refused
	problem string            // guarded by mu; why; "": the file is in force

	reloads    *prometheus.CounterVec
	successful prometheus.Gauge
}

// Load reads the web config file; with the path "" there is no TLS and no
// authentication. A file that cannot be used is an error that says why.
func Load(path string, reg prometheus.Registerer, logger *slog.Logger) (*Config, error) {
	factory := promauto.With(reg)
	c := &Config{
		path: path, logger: logger,
		reloads: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_web_config_reloads_total",
			Help: "Total number of changes of the web config file, by result: success, or refused, which leaves the last valid one in force.",
		}, []string{"result"}),
		successful: factory.NewGauge(prometheus.GaugeOpts{
			Name: "muster_web_config_last_reload_successful", Help: "Whether the web config file as it is now is in force.",
		}),
	}
	c.reloads.WithLabelValues("success")
	c.reloads.WithLabelValues("refused")
	c.successful.Set(1)
	if path == "" {
		c.current.Store(&settings{})
		return c, nil
	}
	s, _, err := read(path)
	if err == nil && s.isEmpty() {
		err = errors.New("it sets nothing: without users and TLS leave the flag out")
	}
	if err != nil {
		return nil, fmt.Errorf("--web.config.file: %s: %w", path, err)
	}
	c.current.Store(s)
	c.checked.Store(time.Now().UnixNano())
	return c, nil
}

// files are those that the config file names.
func (s *settings) files() []string {
	return []string{s.TLSConfig.TLSCertPath, s.TLSConfig.TLSKeyPath, s.TLSConfig.ClientCAs}
}

// isEmpty reports whether the file asks for nothing.
func (s *settings) isEmpty() bool {
	return len(s.Users) == 0 && s.tls == nil && len(s.HTTPConfig.Header) == 0 && s.HTTPConfig.HTTP2 && s.RateLimiterConfig.Interval == 0
}

// UsesTLS reports whether the server speaks TLS.
func (c *Config) UsesTLS() bool { return c.get().tls != nil }

// Problems says in sentences what is wrong with the file as it is now.
func (c *Config) Problems() []string {
	c.get()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.problem == "" {
		return nil
	}
	return []string{"The web config file " + c.path + " is refused, the last valid one stays in force: " + c.problem + "."}
}

// get returns the settings in force. At most once a second it looks whether the
// files changed: by their content, since a file that is replaced may have the
// time of the one before.
func (c *Config) get() *settings {
	if c.path == "" {
		return c.current.Load()
	}
	now := time.Now().UnixNano()
	last := c.checked.Load()
	if now-last >= int64(checkInterval) && c.checked.CompareAndSwap(last, now) {
		c.check()
	}
	return c.current.Load()
}

// handshake returns the settings for a new connection: a handshake costs more
// than a look at the files, so it always takes the certificate as it is now.
func (c *Config) handshake() *settings {
	c.check()
	return c.current.Load()
}

// check puts changed files in force, or refuses them.
func (c *Config) check() {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.current.Load()
	if content, err := os.ReadFile(c.path); err == nil && sumFiles(content, old.files()...) == old.sum {
		c.note("", old.sum)
		return
	}
	next, sum, err := read(c.path)
	if err == nil {
		err = next.follows(old)
	}
	if err != nil {
		c.note(err.Error(), sum)
		return
	}
	c.current.Store(next)
	c.problem = ""
	c.successful.Set(1)
	c.reloads.WithLabelValues("success").Inc()
	c.logger.Info("The web config file changed and is in force", "file", c.path)
}

// note remembers what is wrong with the files, and tells each change of that
// once. The caller holds mu.
func (c *Config) note(problem string, sum [sha256.Size]byte) {
	if problem == c.problem && sum == c.refused {
		return
	}
	was := c.problem
	c.problem, c.refused = problem, sum
	if problem == "" {
		c.successful.Set(1)
		if was != "" {
			c.logger.Info("The web config file is as it was", "file", c.path)
		}
		return
	}
	c.successful.Set(0)
	c.reloads.WithLabelValues("refused").Inc()
	c.logger.Error("The web config file is refused, the last valid one stays in force", "file", c.path, "err", problem)
}

// follows reports as an error why the settings must not take the place of the
// old ones in a running server: they would let in who was kept out.
func (s *settings) follows(old *settings) error {
	switch {
	case len(old.Users) > 0 && len(s.Users) == 0:
		return errors.New("it has no users any more, so everyone could read and write; to mean it, restart Muster")
	case old.tls != nil && s.tls == nil:
		return errors.New("it has no TLS any more; to mean it, restart Muster")
	case old.tls == nil && s.tls != nil:
		return errors.New("it has TLS now, which takes a restart of Muster")
	case old.tls != nil && old.tls.ClientAuth > s.tls.ClientAuth:
		return errors.New("it asks less of client certificates than before; to mean it, restart Muster")
	case len(old.TLSConfig.ClientAllowedSans) > 0 && len(s.TLSConfig.ClientAllowedSans) == 0:
		return errors.New("it allows every client certificate now; to mean it, restart Muster")
	}
	return nil
}

// errChanging says that the file changed while it was read.
var errChanging = errors.New("it is being written")

// read reads the file and what it names. The sum is of what was read, also if
// that cannot be used.
func read(path string) (s *settings, sum [sha256.Size]byte, err error) {
	content, err := os.ReadFile(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, sum, plain(err)
	}
	sum = sha256.Sum256(content)
	// The toolkit validates the file at the path: users, headers, TLS.
	if err := web.Validate(path); err != nil {
		return nil, sum, plain(err)
	}
	again, err := os.ReadFile(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, sum, plain(err)
	}
	if !bytes.Equal(content, again) {
		return nil, sum, errChanging
	}
	s = &settings{Config: web.Config{
		TLSConfig:  web.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13},
		HTTPConfig: web.HTTPConfig{HTTP2: true},
	}}
	if err := yaml.UnmarshalStrict(content, &s.Config); err != nil {
		return nil, sum, err
	}
	s.TLSConfig.SetDirectory(filepath.Dir(path))
	if s.TLSConfig.IsEnabled() {
		if s.tls, err = tlsConfig(&s.TLSConfig, s.HTTPConfig.HTTP2); err != nil {
			return nil, sum, err
		}
	}
	s.sum = sumFiles(content, s.files()...)
	return s, s.sum, nil
}

// tlsConfig is the toolkit's, with the certificate loaded now: one that is
// broken later is refused, not met by each handshake.
func tlsConfig(from *web.TLSConfig, http2 bool) (*tls.Config, error) {
	config, err := web.ConfigToTLSConfig(from)
	if err != nil {
		return nil, err
	}
	certificate, err := config.GetCertificate(nil)
	if err != nil {
		return nil, err
	}
	config.GetCertificate, config.Certificates = nil, []tls.Certificate{*certificate}
	config.NextProtos = []string{"http/1.1"}
	if http2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return config, nil
}

// sumFiles sums up the content of files; one that is not there counts as empty.
func sumFiles(first []byte, files ...string) [sha256.Size]byte {
	h := sha256.New()
	_, _ = h.Write(first)
	for _, file := range files {
		if file == "" {
			continue
		}
		content, _ := os.ReadFile(file) //nolint:gosec // G304: the operator names the file
		sum := sha256.Sum256(content)
		_, _ = h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// plain leaves the operation and the path out of an error of the file system:
// whoever shows it names the file.
func plain(err error) error {
	if inner, ok := errors.AsType[*os.PathError](err); ok {
		return inner.Err
	}
	return err
}
