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

	"github.com/gin-gonic/gin"
)

// token is what a notification must carry. It is read from a file, again at
// most once a second: the content tells whether it changed, since a file that is
// replaced may have the time of the one before. Each line of the file is a
// token, so one is rotated without a refusal by adding the new one, and taking
// the old one away when all senders know the new one. A file that is gone or
// empty leaves the tokens as they were, and is a problem on the status page.
type webhookTokens struct {
	path   string // "": no token is asked for
	logger *slog.Logger

	mu       sync.Mutex
	text     string              // guarded by mu; what the hashes were made from
	hashes   [][sha256.Size]byte // guarded by mu; never changed, but replaced
	loadedAt time.Time           // guarded by mu
	fault    string              // guarded by mu; why the file cannot be used; "": it can
}

// tokenAge is how long a changed file may go unnoticed.
const tokenReloadInterval = time.Second

// maxTokenFile bounds what is read of the file: thousands of tokens.
const maxTokenFile = 1 << 20

func newWebhookTokens(path string, logger *slog.Logger) (*webhookTokens, error) {
	t := &webhookTokens{path: path, logger: logger}
	if path == "" {
		return t, nil
	}
	if err := t.load(); err != nil {
		return nil, fmt.Errorf("webhook token: %w", err)
	}
	return t, nil
}

// read reads the file. The caller holds mu, or is the only one.
func (t *webhookTokens) load() error {
	f, err := os.Open(t.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return err
	}
	if string(text) == t.text {
		return nil
	}
	var hashes [][sha256.Size]byte
	for line := range strings.Lines(string(text)) {
		if word := strings.TrimSpace(line); word != "" {
			hashes = append(hashes, sha256.Sum256([]byte(word)))
		}
	}
	if len(hashes) == 0 {
		return errors.New(t.path + " is empty")
	}
	t.text, t.hashes = string(text), hashes
	return nil
}

// current returns the hashes of the tokens in force.
func (t *webhookTokens) currentHashes() [][sha256.Size]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.loadedAt) > tokenReloadInterval {
		t.loadedAt = time.Now()
		t.setFault(t.load())
	}
	return t.hashes
}

// note remembers why the file cannot be used, and logs each change of that
// once. The caller holds mu.
func (t *webhookTokens) setFault(err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if fault == t.fault {
		return
	}
	if t.fault = fault; err != nil {
		t.logger.Warn("The webhook token cannot be read, the tokens stay as they were", "err", err)
	} else {
		t.logger.Info("The webhook token can be read again")
	}
}

// problem says in a sentence what is wrong with the file; "" if nothing is.
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
	return "The webhook token cannot be read, so the tokens stay as they were: " + t.fault
}

// requireToken refuses a notification that does not carry a token: as a bearer,
// or as the password of basic authentication, since a request that must carry
// one for --web.config.file has no room for the other.
func (s *Server) requireToken(c *gin.Context) {
	if s.tokens.path == "" {
		return
	}
	given, ok := bearerToken(c.GetHeader("Authorization"))
	if !ok {
		_, given, ok = c.Request.BasicAuth()
	}
	if !ok || !s.tokens.accepts(given) {
		c.Header("WWW-Authenticate", "Bearer")
		s.reject(c, http.StatusUnauthorized, rejectedUnauthorized, errors.New("this webhook asks for a token: Authorization: Bearer …"))
	}
}

// bearer returns the token of an Authorization header. The name of a scheme is
// not case-sensitive, and Alertmanager sends it as its configuration spells it.
func bearerToken(header string) (string, bool) {
	scheme, given, ok := strings.Cut(strings.TrimSpace(header), " ")
	return strings.TrimSpace(given), ok && strings.EqualFold(scheme, "Bearer")
}

// known reports whether a token is in force. Hashes are compared, in constant
// time, and with each of them: neither a token's length nor its beginning can be
// guessed.
func (t *webhookTokens) accepts(given string) bool {
	hash, same := sha256.Sum256([]byte(given)), 0
	for _, want := range t.currentHashes() {
		same |= subtle.ConstantTimeCompare(hash[:], want[:])
	}
	return same == 1
}
