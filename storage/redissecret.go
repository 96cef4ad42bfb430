package storage

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Passwords and certificates are rotated while Muster runs, so their files are
// read for each new connection.

// fileError says that a file of a flag cannot be used for a new connection. The
// text has nothing of the file's content.
type fileError struct {
	flag, reason string
	err          error
}

func (e *fileError) Error() string { return "--" + e.flag + ": " + e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// ReadSecret reads the secret in a file.
func ReadSecret(path string) (string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}

// secrets are what must not be shown to anyone. It is safe for concurrent use.
type secrets struct {
	mu     sync.Mutex
	values []string // guarded by mu; the oldest first
}

// maxSecrets bounds the secrets that are remembered: what Redis says of an old
// one, it says soon.
const maxSecrets = 16

func (s *secrets) add(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value == "" || slices.Contains(s.values, value) {
		return
	}
	if len(s.values) >= maxSecrets {
		s.values = s.values[1:]
	}
	s.values = append(slices.Clip(s.values), value)
}

// hide takes the secrets out of a text. Redis repeats a command that it does
// not know, and that can be the one with the password.
func (s *secrets) hide(text string) string {
	s.mu.Lock()
	values := slices.Clone(s.values)
	s.mu.Unlock()
	// The longest first: one may be the beginning of another.
	slices.SortFunc(values, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, value := range values {
		text = strings.ReplaceAll(text, value, "<hidden>")
	}
	return text
}

// passwordFile is the file of a flag with a password.
type passwordFile struct {
	flag, path string
	secrets    *secrets
}

func (f passwordFile) read() (string, error) {
	password, err := ReadSecret(f.path)
	if err != nil {
		return "", &fileError{f.flag, reasonAuth, err}
	}
	f.secrets.add(password)
	return password, nil
}

// credentials returns what a client asks for at each new connection, nil if the
// password has no file.
func (s *servers) credentials(user string) func(context.Context) (string, string, error) {
	if s.password.path == "" {
		return nil
	}
	return func(context.Context) (string, string, error) {
		password, err := s.password.read()
		return user, password, err
	}
}

// sentinelLogin returns what logs a new connection to a Sentinel in, nil if that
// password has no file. The client has no credentials by function for Sentinels,
// and calls this for connections to Redis, too: those have another name.
func (s *servers) sentinelLogin() func(context.Context, *redis.Conn) error {
	if s.sentinelPassword.path == "" {
		return nil
	}
	user := s.sentinel.SentinelUsername
	return func(ctx context.Context, conn *redis.Conn) error {
		if strings.HasPrefix(conn.String(), "Redis<FailoverClient ") {
			return nil
		}
		password, err := s.sentinelPassword.read()
		if err != nil {
			return err
		}
		if user != "" {
			return conn.AuthACL(ctx, user, password).Err()
		}
		return conn.Auth(ctx, password).Err()
	}
}

// authorities reads the certificates that sign those of the Redis.
func authorities(path string) (*x509.CertPool, error) {
	const flag = "redis.tls-ca-file"
	text, err := os.ReadFile(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, &fileError{flag, reasonTLS, err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, &fileError{flag, reasonTLS, fmt.Errorf("%s has no certificate in PEM", path)}
	}
	return pool, nil
}

// clientCertificate reads the certificate that Muster shows to the Redis.
func clientCertificate(o RedisTLS) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		return nil, &fileError{"redis.tls-cert-file", reasonTLS, err}
	}
	return &pair, nil
}
