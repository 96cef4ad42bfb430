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

	// reading is held while a request reads the file. Other requests only try to lock it, so
	// that a disk that hangs blocks one request only.
	reading sync.Mutex

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

// load reads the file.
func (t *webhookTokens) load() error {
	text, err := t.read()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hashes != nil && text == t.text {
		return nil
	}
	var hashes [][sha256.Size]byte
	for line := range strings.Lines(text) {
		if token := strings.TrimSpace(line); token != "" {
			hashes = append(hashes, sha256.Sum256([]byte(token)))
		}
	}
	if len(hashes) == 0 {
		return errors.New(t.path + " is empty")
	}
	t.text, t.hashes = text, hashes
	return nil
}

// read returns the content of the file.
func (t *webhookTokens) read() (string, error) {
	f, err := os.Open(t.path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err == nil && len(text) > maxTokenFile {
		err = fmt.Errorf("%s has more than %d bytes", t.path, maxTokenFile)
	}
	return string(text), err
}

// currentHashes returns the hashes of the valid tokens.
func (t *webhookTokens) currentHashes() [][sha256.Size]byte {
	t.refresh()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hashes
}

// refresh reads the file again if it is time, and no other request reads it.
func (t *webhookTokens) refresh() {
	if !t.reading.TryLock() {
		return
	}
	defer t.reading.Unlock()
	t.mu.Lock()
	isTime := time.Since(t.loadedAt) > tokenReloadInterval
	if isTime {
		t.loadedAt = time.Now()
	}
	t.mu.Unlock()
	if isTime {
		t.setFault(t.load())
	}
}

// setFault stores why the file is unusable and logs each change once.
func (t *webhookTokens) setFault(err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
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
	t.refresh()
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
