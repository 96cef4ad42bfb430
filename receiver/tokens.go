package receiver

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// webhookTokens are the tokens that a notification may carry. They are read
// from a file, which is read again at most once a second. Its content shows
// whether it changed, because a replaced file may have the old modification
// time.
//
// Each line of the file is a token. So operators can rotate tokens without
// rejections: add the new token, change all senders, then delete the old token.
// If the file is missing or empty, the old tokens stay valid and the status
// page shows a problem.
type webhookTokens struct {
	path   string // "": no token is required
	logger *slog.Logger

	mu       sync.Mutex
	text     string              // guarded by mu; content of the file
	hashes   [][sha256.Size]byte // guarded by mu; replaced, never modified
	loadedAt time.Time           // guarded by mu
	fault    string              // guarded by mu; why the file is unusable; "": it is usable
}

// tokenReloadInterval is the maximum time until a changed file is noticed.
const tokenReloadInterval = time.Second

// maxTokenFile is the maximum number of bytes of the file. It has room for
// thousands of tokens.
const maxTokenFile = 1 << 20

func newWebhookTokens(path string, logger *slog.Logger) (*webhookTokens, error) {
	t := &webhookTokens{path: path, logger: logger}
	if path == "" {
		return t, nil
	}
	if err := t.load(); err != nil {
		return nil, fmt.Errorf("--webhook.token-file: %w", err)
	}
	return t, nil
}

// load reads the file. The caller holds mu or has the only reference.
func (t *webhookTokens) load() error {
	f, err := os.Open(t.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxTokenFile:
		return fmt.Errorf("%s has more than %d bytes", t.path, maxTokenFile)
	case t.hashes != nil && string(text) == t.text:
		return nil
	}
	var hashes [][sha256.Size]byte
	for line := range strings.Lines(string(text)) {
		if token := strings.TrimSpace(line); token != "" {
			hashes = append(hashes, sha256.Sum256([]byte(token)))
		}
	}
	if len(hashes) == 0 {
		return errors.New(t.path + " is empty")
	}
	t.text, t.hashes = string(text), hashes
	return nil
}

// currentHashes returns the hashes of the valid tokens.
func (t *webhookTokens) currentHashes() [][sha256.Size]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.loadedAt) > tokenReloadInterval {
		t.loadedAt = time.Now()
		t.setFault(t.load())
	}
	return t.hashes
}

// setFault stores why the file is unusable and logs each change once. The
// caller holds mu.
func (t *webhookTokens) setFault(err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if fault == t.fault {
		return
	}
	if t.fault = fault; err != nil {
		t.logger.Warn("Reading the webhook token file failed, the previous tokens stay valid", "err", err)
	} else {
		t.logger.Info("The webhook token file is readable again")
	}
}

// problem returns a sentence about an unusable file, or "".
func (t *webhookTokens) problem() string {
	if t.path == "" {
		return ""
	}
	t.currentHashes()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault == "" {
		return ""
	}
	return "Reading the webhook token file failed, so the previous tokens stay valid: " + t.fault
}

// bearerToken returns the token of an Authorization header. The scheme is not
// case-sensitive, and Alertmanager sends it as configured.
func bearerToken(header string) (string, bool) {
	scheme, given, ok := strings.Cut(strings.TrimSpace(header), " ")
	return strings.TrimSpace(given), ok && strings.EqualFold(scheme, "Bearer")
}

// accepts reports whether a token is valid. It compares hashes in constant
// time, and always compares all of them. So an attacker cannot guess the length
// or the beginning of a token.
func (t *webhookTokens) accepts(given string) bool {
	hash, same := sha256.Sum256([]byte(given)), 0
	for _, want := range t.currentHashes() {
		same |= subtle.ConstantTimeCompare(hash[:], want[:])
	}
	return same == 1
}

// acceptsRequest reports whether a request has a valid token. Without a file there is no
// token.
func (t *webhookTokens) acceptsRequest(r *http.Request) bool {
	given, ok := bearerToken(r.Header.Get("Authorization"))
	if !ok {
		_, given, ok = r.BasicAuth()
	}
	return ok && t.accepts(given)
}
