package redis

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

// Passwords and certificates may be rotated while Muster runs. So their files are
// read for each new connection.

// fileError says that the file of a flag cannot be used for a new connection. Its
// text never contains the content of the file.
type fileError struct {
	flag, reason string
	err          error
}

func (e *fileError) Error() string { return "--" + e.flag + ": " + e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// ReadSecret returns the content of a file without leading and trailing white
// space. An empty file is an error.
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

// secrets are values that must not appear in logs and errors. They are safe for
// concurrent use.
type secrets struct {
	mu     sync.Mutex
	values []string // guarded by mu; the oldest first
}

// maxSecrets is the maximum number of secrets that are kept. The oldest one can be
// dropped, because Redis reports an error about a password immediately.
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

// redact replaces the secrets in a text. An error of Redis can contain a password:
// Redis repeats a command that it does not know, such as AUTH.
func (s *secrets) redact(text string) string {
	s.mu.Lock()
	values := slices.Clone(s.values)
	s.mu.Unlock()
	// Replace the longest first, because one secret may be a part of another.
	slices.SortFunc(values, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, value := range values {
		text = strings.ReplaceAll(text, value, "<hidden>")
	}
	return text
}

// passwordFile is a file with a password, and the flag that names it.
type passwordFile struct {
	flag, path string
	secrets    *secrets
}

// readPassword reads the password from the file.
func (f passwordFile) readPassword() (string, error) {
	password, err := ReadSecret(f.path)
	if err != nil {
		return "", &fileError{f.flag, reasonAuth, err}
	}
	f.secrets.add(password)
	return password, nil
}

// credentials returns a function that a client calls for each new connection. It
// returns nil if there is no password file.
func (s *servers) credentials(user string) func(context.Context) (string, string, error) {
	if s.password.path == "" {
		return nil
	}
	return func(context.Context) (string, string, error) {
		password, err := s.password.readPassword()
		return user, password, err
	}
}

// sentinelLogin returns a function that logs in on a new connection to a Sentinel.
// It returns nil if there is no password file for the Sentinels. The client cannot
// get the credentials of Sentinels from a function, so Muster uses its OnConnect
// hook. The client calls this hook for connections to Redis too. The function
// ignores those; it knows them by their name.
func (s *servers) sentinelLogin() func(context.Context, *redis.Conn) error {
	if s.sentinelPassword.path == "" {
		return nil
	}
	user := s.sentinel.SentinelUsername
	return func(ctx context.Context, conn *redis.Conn) error {
		if strings.HasPrefix(conn.String(), "Redis<FailoverClient ") {
			return nil
		}
		password, err := s.sentinelPassword.readPassword()
		if err != nil {
			return err
		}
		if user != "" {
			return conn.AuthACL(ctx, user, password).Err()
		}
		return conn.Auth(ctx, password).Err()
	}
}

// readAuthorities reads the certificates of the authorities that sign the
// certificates of the Redis servers.
func readAuthorities(path string) (*x509.CertPool, error) {
	const flag = "redis.tls-ca-file"
	text, err := os.ReadFile(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, &fileError{flag, reasonTLS, err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, &fileError{flag, reasonTLS, fmt.Errorf("%s has no certificate in PEM format", path)}
	}
	return pool, nil
}

// readClientCertificate reads the certificate that Muster presents to Redis.
func readClientCertificate(o TLS) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		return nil, &fileError{"redis.tls-cert-file", reasonTLS, err}
	}
	return &pair, nil
}
