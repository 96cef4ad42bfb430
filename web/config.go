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

// checkInterval is the minimum time between two checks for changed files.
const checkInterval = time.Second

// settings is the content of one valid web config file, with the certificates
// that it names. It is immutable: a changed file makes new settings.
type settings struct {
	web.Config

	content [sha256.Size]byte // checksum of the config file
	files   []file            // files that the config file names
	tls     *tls.Config       // nil means no TLS
	limiter *rate.Limiter     // nil means no rate limit
}

// Config holds the last valid version of the web config file. It is safe for
// concurrent use.
type Config struct {
	path   string // "" means that there is no web config file
	logger *slog.Logger

	current atomic.Pointer[settings]
	// checked is the time of the last check for changed files, in Unix
	// nanoseconds.
	checked atomic.Int64

	// reading is held while a request reads the files. Other requests only try
	// to lock it, so that a disk that hangs blocks one request only.
	reading sync.Mutex

	mu       sync.Mutex
	rejected [sha256.Size]byte // guarded by mu; checksum of the file that was rejected last
	problem  string            // guarded by mu; why it was rejected; "" if the file is in force

	reloads    *prometheus.CounterVec
	successful prometheus.Gauge
}

// Load reads the web config file. An empty path means no TLS and no
// authentication. If the file is not valid, the error says why.
func Load(path string, reg prometheus.Registerer, logger *slog.Logger) (*Config, error) {
	factory := promauto.With(reg)
	c := &Config{
		path: path, logger: logger,
		reloads: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_web_config_reloads_total",
			Help: "Total number of reloads of the web config file, by result. After the result refused, the last valid file stays in force.",
		}, []string{"result"}),
		successful: factory.NewGauge(prometheus.GaugeOpts{
			Name: "muster_web_config_last_reload_successful", Help: "Whether the last reload of the web config file was successful.",
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
		err = errors.New("the file has no effect: remove the flag if you need neither users nor TLS")
	}
	if err != nil {
		return nil, fmt.Errorf("--web.config.file: %s: %w", path, err)
	}
	c.current.Store(s)
	c.checked.Store(time.Now().UnixNano())
	return c, nil
}

// isEmpty reports whether the file sets nothing that has an effect. The setting
// for HTTP/2 has no effect without TLS.
func (s *settings) isEmpty() bool {
	return len(s.Users) == 0 && s.tls == nil && len(s.HTTPConfig.Header) == 0 && s.limiter == nil
}

// UsesTLS reports whether the server speaks TLS.
func (c *Config) UsesTLS() bool { return c.get().tls != nil }

// HasUsers reports whether requests need the password of a user.
func (c *Config) HasUsers() bool { return len(c.get().Users) > 0 }

// Problems returns sentences that say what is wrong with the current file.
func (c *Config) Problems() []string {
	c.get()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.problem == "" {
		return nil
	}
	return []string{"The web config file " + c.path + " is rejected, the last valid one stays in force: " + c.problem + "."}
}

// get returns the settings in force. At most once per checkInterval it checks
// whether the files changed. It compares their content, since a replaced file may
// have the same modification time.
func (c *Config) get() *settings {
	if c.path == "" {
		return c.current.Load()
	}
	now := time.Now().UnixNano()
	last := c.checked.Load()
	if now-last >= int64(checkInterval) && c.checked.CompareAndSwap(last, now) {
		c.reload()
	}
	return c.current.Load()
}

// latest checks for changed files and returns the settings in force. It is for
// TLS handshakes, which cost more than this check and need the current
// certificate.
func (c *Config) latest() *settings {
	c.reload()
	return c.current.Load()
}

// reload puts changed files in force, or rejects them. It does nothing if another
// request is reading the files.
func (c *Config) reload() {
	if !c.reading.TryLock() {
		return
	}
	defer c.reading.Unlock()
	old := c.current.Load()
	if old.isCurrent(c.path) {
		c.report("", old.content)
		return
	}
	next, sum, err := read(c.path)
	if errors.Is(err, errChanging) {
		return // the next check reads it again
	}
	if err == nil {
		err = next.canReplace(old)
	}
	if err != nil {
		c.report(err.Error(), sum)
		return
	}
	if next.RateLimiterConfig == old.RateLimiterConfig {
		next.limiter = old.limiter // a reload does not refill the burst
	}
	c.current.Store(next)
	c.mu.Lock()
	c.problem = ""
	c.mu.Unlock()
	c.successful.Set(1)
	c.reloads.WithLabelValues("success").Inc()
	c.logger.Info("Web config file reloaded", "file", c.path)
}

// report stores what is wrong with the files. It logs and counts each change of
// the problem once. The problem "" means that the files are in force.
func (c *Config) report(problem string, sum [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if problem == c.problem && sum == c.rejected {
		return
	}
	before := c.problem
	c.problem, c.rejected = problem, sum
	if problem == "" {
		c.successful.Set(1)
		if before != "" {
			c.logger.Info("Web config file has its last valid content again", "file", c.path)
		}
		return
	}
	c.successful.Set(0)
	c.reloads.WithLabelValues("refused").Inc()
	c.logger.Error("Web config file rejected, the last valid one stays in force", "file", c.path, "err", problem)
}

// canReplace returns an error if the settings must not replace the old ones in a
// running server, because they would allow access that the old ones denied.
func (s *settings) canReplace(old *settings) error {
	switch {
	case len(old.Users) > 0 && len(s.Users) == 0:
		return errors.New("it no longer has users, so everyone could read and write; restart Muster to apply this")
	case old.tls != nil && s.tls == nil:
		return errors.New("it no longer has TLS; restart Muster to apply this")
	case old.tls == nil && s.tls != nil:
		return errors.New("it has TLS now; restart Muster to apply this")
	case old.tls != nil && isWeaker(s.tls.ClientAuth, old.tls.ClientAuth):
		return errors.New("its client_auth_type is weaker than before; restart Muster to apply this")
	case old.tls != nil && old.tls.ClientCAs != nil && s.tls.ClientCAs == nil:
		// Go would then accept every CA that the system trusts.
		return errors.New("it no longer has a client CA; restart Muster to apply this")
	case len(old.TLSConfig.ClientAllowedSans) > 0 && len(s.TLSConfig.ClientAllowedSans) == 0:
		return errors.New("it no longer has client_allowed_sans; restart Muster to apply this")
	}
	return nil
}

// isWeaker reports whether a policy for client certificates accepts clients that
// the old policy rejected: clients without a certificate, or with one that is not
// verified.
func isWeaker(policy, old tls.ClientAuthType) bool {
	requires := func(p tls.ClientAuthType) bool {
		return p == tls.RequireAnyClientCert || p == tls.RequireAndVerifyClientCert
	}
	verifies := func(p tls.ClientAuthType) bool { return p >= tls.VerifyClientCertIfGiven }
	return requires(old) && !requires(policy) || verifies(old) && !verifies(policy) ||
		old != tls.NoClientCert && policy == tls.NoClientCert
}

// errChanging means that the file changed while it was read.
var errChanging = errors.New("it is being written")

// read reads the config file and the files that it names. It returns the checksum
// of the config file also if the file is not valid.
func read(path string) (s *settings, sum [sha256.Size]byte, err error) {
	content, err := os.ReadFile(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, sum, withoutPath(err)
	}
	sum = sha256.Sum256(content)
	// The toolkit reads the file itself. It validates users, headers and TLS.
	if err := web.Validate(path); err != nil {
		return nil, sum, withoutPath(err)
	}
	again, err := os.ReadFile(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, sum, withoutPath(err)
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
			return nil, sum, errors.New("rate_limit: burst must be at least 1")
		}
		s.limiter = rate.NewLimiter(rate.Every(limit.Interval), limit.Burst)
	}
	s.content = sum
	return s, sum, nil
}

// parse parses the file, which may have one YAML document only: the toolkit would
// ignore further ones, with their users.
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

// loadTLS returns the toolkit's TLS config with the certificate already loaded.
// The toolkit alone would load it at each handshake. So a certificate that is
// broken later is rejected at the reload, and does not break handshakes.
func (s *settings) loadTLS() (*tls.Config, error) {
	needsCA := s.TLSConfig.ClientCAs != "" || s.TLSConfig.ClientCAsText != ""
	if err := s.inlineFiles(); err != nil {
		return nil, err
	}
	if needsCA && !x509.NewCertPool().AppendCertsFromPEM([]byte(s.TLSConfig.ClientCAsText)) {
		return nil, errors.New("the client CA file contains no certificate")
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

// file is a file that the config names.
type file struct {
	path    string
	content [sha256.Size]byte // checksum of the loaded content
}

// inlineFiles replaces the file names in the config by the content of the files.
// So each file is read once, and its checksum belongs to the content in use.
func (s *settings) inlineFiles() error {
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

// isCurrent reports whether the config file and the files that it names still have
// the loaded content.
func (s *settings) isCurrent(path string) bool {
	for _, f := range append([]file{{path, s.content}}, s.files...) {
		content, err := os.ReadFile(f.path)
		if err != nil || sha256.Sum256(content) != f.content {
			return false
		}
	}
	return true
}

// withoutPath removes the operation and the path from a file system error. The
// caller already names the file.
func withoutPath(err error) error {
	if inner, ok := errors.AsType[*os.PathError](err); ok {
		return inner.Err
	}
	return err
}
