package web

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/common/config"
	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
	"golang.org/x/time/rate"
)

// checkInterval is how long a changed file may go unnoticed.
const checkInterval = time.Second

// settings are one valid web config file with the certificates that it names.
// They are never changed, but replaced.
type settings struct {
	web.Config

	content [sha256.Size]byte // the sum of the config file's
	files   []file            // that it names
	tls     *tls.Config       // nil: without TLS
	limiter *rate.Limiter     // nil: without a rate limit
}

// Config is the web config file, as it was last valid. It is safe for
// concurrent use.
type Config struct {
	path   string // "": there is none
	logger *slog.Logger

	current atomic.Pointer[settings]
	// checked is when the files were last looked at, in Unix nanoseconds.
	checked atomic.Int64

	// reading is held by the one that reads the files. Nobody waits for it: a
	// disk may hang.
	reading sync.Mutex

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

// isEmpty reports whether the file asks for nothing. Without TLS there is no
// HTTP/2 to switch.
func (s *settings) isEmpty() bool {
	return len(s.Users) == 0 && s.tls == nil && len(s.HTTPConfig.Header) == 0 && s.limiter == nil
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
// than a look at the files, so it takes the certificate as it is now.
func (c *Config) handshake() *settings {
	c.check()
	return c.current.Load()
}

// check puts changed files in force, or refuses them. If another request reads
// them already, it does nothing.
func (c *Config) check() {
	if !c.reading.TryLock() {
		return
	}
	defer c.reading.Unlock()
	old := c.current.Load()
	if old.isCurrent(c.path) {
		c.note("", old.content)
		return
	}
	next, sum, err := read(c.path)
	if errors.Is(err, errChanging) {
		return // the next look tells
	}
	if err == nil {
		err = next.follows(old)
	}
	if err != nil {
		c.note(err.Error(), sum)
		return
	}
	if next.RateLimiterConfig == old.RateLimiterConfig {
		next.limiter = old.limiter // what was used up stays so
	}
	c.current.Store(next)
	c.mu.Lock()
	c.problem = ""
	c.mu.Unlock()
	c.successful.Set(1)
	c.reloads.WithLabelValues("success").Inc()
	c.logger.Info("The web config file changed and is in force", "file", c.path)
}

// note remembers what is wrong with the files, and tells each change of that
// once.
func (c *Config) note(problem string, sum [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
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
	case old.tls != nil && asksLess(s.tls.ClientAuth, old.tls.ClientAuth):
		return errors.New("it asks less of client certificates than before; to mean it, restart Muster")
	case old.tls != nil && old.tls.ClientCAs != nil && s.tls.ClientCAs == nil:
		// Go then takes every CA that the system trusts.
		return errors.New("it has no client CA any more; to mean it, restart Muster")
	case len(old.TLSConfig.ClientAllowedSans) > 0 && len(s.TLSConfig.ClientAllowedSans) == 0:
		return errors.New("it allows every client certificate now; to mean it, restart Muster")
	}
	return nil
}

// asksLess reports whether a policy for client certificates lets in who the old
// one kept out: who has none, or one that nobody verified.
func asksLess(policy, old tls.ClientAuthType) bool {
	requires := func(p tls.ClientAuthType) bool {
		return p == tls.RequireAnyClientCert || p == tls.RequireAndVerifyClientCert
	}
	verifies := func(p tls.ClientAuthType) bool { return p >= tls.VerifyClientCertIfGiven }
	return requires(old) && !requires(policy) || verifies(old) && !verifies(policy) ||
		old != tls.NoClientCert && policy == tls.NoClientCert
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
	if s, err = parse(content); err != nil {
		return nil, sum, err
	}
	s.TLSConfig.SetDirectory(filepath.Dir(path))
	if s.TLSConfig.IsEnabled() {
		if s.tls, err = s.loadTLS(); err != nil {
			return nil, sum, err
		}
	}
	if limit := s.RateLimiterConfig; limit.Interval > 0 {
		if limit.Burst < 1 {
			return nil, sum, errors.New("rate_limit: without a burst it lets nothing in")
		}
		s.limiter = rate.NewLimiter(rate.Every(limit.Interval), limit.Burst)
	}
	s.content = sum
	return s, sum, nil
}

// parse parses the one document that the file may have.
func parse(content []byte) (*settings, error) {
	s := &settings{Config: web.Config{
		TLSConfig:  web.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13},
		HTTPConfig: web.HTTPConfig{HTTP2: true},
	}}
	if err := yaml.UnmarshalStrict(content, &s.Config); err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for n := 1; ; n++ {
		var document any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if n > 1 && (err != nil || document != nil) {
			return nil, errors.New("it has more than one YAML document")
		}
	}
}

// loadTLS is the toolkit's config with the certificate loaded now: one that is
// broken later is refused, not met by each handshake.
func (s *settings) loadTLS() (*tls.Config, error) {
	asksCA := s.TLSConfig.ClientCAs != "" || s.TLSConfig.ClientCAsText != ""
	if err := s.inline(); err != nil {
		return nil, err
	}
	if asksCA && !x509.NewCertPool().AppendCertsFromPEM([]byte(s.TLSConfig.ClientCAsText)) {
		return nil, errors.New("the client CA has no certificate")
	}
	out, err := web.ConfigToTLSConfig(&s.TLSConfig)
	if err != nil {
		return nil, err
	}
	certificate, err := out.GetCertificate(nil)
	if err != nil {
		return nil, err
	}
	out.GetCertificate, out.Certificates = nil, []tls.Certificate{*certificate}
	if verify := out.VerifyPeerCertificate; verify != nil {
		// It is not called for a session that is resumed; this is.
		out.VerifyPeerCertificate = nil
		out.VerifyConnection = func(state tls.ConnectionState) error { return verifyNames(verify, state) }
	}
	out.NextProtos = []string{"http/1.1"}
	if s.HTTPConfig.HTTP2 {
		out.NextProtos = []string{"h2", "http/1.1"}
	}
	return out, nil
}

// verifyNames verifies the names of the client's certificate.
func verifyNames(verify func([][]byte, [][]*x509.Certificate) error, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the client has no certificate, and client_allowed_sans asks for one")
	}
	raw := make([][]byte, len(state.PeerCertificates))
	for i, certificate := range state.PeerCertificates {
		raw[i] = certificate.Raw
	}
	return verify(raw, state.VerifiedChains)
}

// file is one that the config names, as it was read.
type file struct {
	path    string
	content [sha256.Size]byte // its sum
}

// inline puts the content of the files that the config names in their place, so
// that what is loaded is what is remembered.
func (s *settings) inline() error {
	c := &s.TLSConfig
	for _, f := range []struct {
		path *string
		set  func(text string)
	}{
		{&c.TLSCertPath, func(text string) { c.TLSCert = text }},
		{&c.TLSKeyPath, func(text string) { c.TLSKey = config.Secret(text) }},
		{&c.ClientCAs, func(text string) { c.ClientCAsText = text }},
	} {
		if *f.path == "" {
			continue
		}
		content, err := os.ReadFile(*f.path)
		if err != nil {
			return err
		}
		s.files = append(s.files, file{*f.path, sha256.Sum256(content)})
		f.set(string(content))
		*f.path = ""
	}
	return nil
}

// isCurrent reports whether the config file and those that it names have the
// content that was loaded.
func (s *settings) isCurrent(path string) bool {
	for _, f := range append([]file{{path, s.content}}, s.files...) {
		content, err := os.ReadFile(f.path)
		if err != nil || sha256.Sum256(content) != f.content {
			return false
		}
	}
	return true
}

// plain leaves the operation and the path out of an error of the file system:
// whoever shows it names the file.
func plain(err error) error {
	if inner, ok := errors.AsType[*os.PathError](err); ok {
		return inner.Err
	}
	return err
}
