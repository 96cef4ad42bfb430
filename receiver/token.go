package receiver

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// token is what a notification must carry. It is read from a file, anew when
// the file changes. Each line of the file is a token: it is rotated without a
// refusal by adding the new one, and taking the old one away when all senders
// know the new one. A file that is gone or empty keeps the tokens that were.
type token struct {
	path string // "": none is asked for

	mu       sync.Mutex
	hashes   [][sha256.Size]byte // guarded by mu; never changed, but replaced
	modified time.Time           // guarded by mu
	looked   time.Time           // guarded by mu
}

// tokenAge is how long a changed file may go unnoticed.
const tokenAge = time.Second

func newToken(path string) (*token, error) {
	t := &token{path: path}
	if path == "" {
		return t, nil
	}
	if err := t.read(); err != nil {
		return nil, fmt.Errorf("webhook token: %w", err)
	}
	return t, nil
}

// read reads the file if it changed. The caller holds mu, or is the only one.
func (t *token) read() error {
	info, err := os.Stat(t.path)
	if err != nil || info.ModTime().Equal(t.modified) {
		return err
	}
	text, err := os.ReadFile(t.path)
	if err != nil {
		return err
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
	t.hashes, t.modified = hashes, info.ModTime()
	return nil
}

// current returns the hashes of the tokens in force.
func (t *token) current() [][sha256.Size]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.looked) > tokenAge {
		t.looked = time.Now()
		_ = t.read() // the tokens that were stay in force
	}
	return t.hashes
}

// require refuses a request that does not carry a token: as a bearer, or as the
// password of basic authentication, since a request that must carry one for
// --web.config.file has no room for the other.
func (t *token) require(c *gin.Context) {
	if t.path == "" {
		return
	}
	given, ok := strings.CutPrefix(c.GetHeader("Authorization"), "Bearer ")
	if !ok {
		_, given, ok = c.Request.BasicAuth()
	}
	if !ok || !t.known(given) {
		c.Header("WWW-Authenticate", "Bearer")
		fail(c, http.StatusUnauthorized, "this webhook asks for a token: Authorization: Bearer …")
	}
}

// known reports whether a token is in force. Hashes are compared, in constant
// time, and with each of them: neither a token's length nor its beginning can be
// guessed.
func (t *token) known(given string) bool {
	hash, same := sha256.Sum256([]byte(given)), 0
	for _, want := range t.current() {
		same |= subtle.ConstantTimeCompare(hash[:], want[:])
	}
	return same == 1
}
