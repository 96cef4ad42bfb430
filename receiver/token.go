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
// the file changes: so it is rotated by writing the file. A file that is gone
// or empty keeps the token that was.
type token struct {
	path string // "": none is asked for

	mu       sync.Mutex
	hash     [sha256.Size]byte // guarded by mu
	modified time.Time         // guarded by mu
	looked   time.Time         // guarded by mu
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
	word := strings.TrimSpace(string(text))
	if word == "" {
		return errors.New(t.path + " is empty")
	}
	t.hash, t.modified = sha256.Sum256([]byte(word)), info.ModTime()
	return nil
}

// current returns the hash of the token in force.
func (t *token) current() [sha256.Size]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.looked) > tokenAge {
		t.looked = time.Now()
		_ = t.read() // the token that was stays in force
	}
	return t.hash
}

// require refuses a request that does not carry the token. Hashes are compared,
// in constant time: neither the token's length nor its beginning can be guessed.
func (t *token) require(c *gin.Context) {
	if t.path == "" {
		return
	}
	given, ok := strings.CutPrefix(c.GetHeader("Authorization"), "Bearer ")
	hash, want := sha256.Sum256([]byte(given)), t.current()
	if !ok || subtle.ConstantTimeCompare(hash[:], want[:]) != 1 {
		c.Header("WWW-Authenticate", "Bearer")
		fail(c, http.StatusUnauthorized, "this webhook asks for a token: Authorization: Bearer …")
	}
}
