package receiver_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
	"muster/receiver"
)

func TestWebhookToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte("first secret\n"), 0o600))
	h := testserver.New(t, testserver.Options{WebhookTokenFile: path})
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Bearerfirst secret", "Basic first secret", "first secret"} {
		w := h.Post(wiretest.Body(), "Authorization", header)
		require.Equal(t, http.StatusUnauthorized, w.Code, header)
		require.NotContains(t, w.Body.String(), "secret")
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer   "} { // RFC 9110
		require.Equal(t, http.StatusOK, h.Post(wiretest.Body(), "Authorization", scheme+"first secret").Code, scheme)
	}
	r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(wiretest.Body()))
	r.Header["Authorization"] = []string{"Bearer wrong", "Bearer first secret"}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusUnauthorized, w.Code, "only the first header counts")
	require.Equal(t, http.StatusOK, h.Get("/api/v1/groups").Code, "reading requires no token")

	for header, want := range map[string]bool{
		"": false, "Bearer wrong": false, "Bearer first secret": true,
		"Basic " + base64.StdEncoding.EncodeToString([]byte("am:first secret")): true,
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Authorization", header)
		require.Equal(t, want, h.Receiver.HasToken(r), header)
	}

	// Rewriting the file rotates the token. After the file is removed, a
	// revoked token stays invalid.
	require.NoError(t, os.WriteFile(path, []byte("second secret"), 0o600))
	require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(time.Minute)))
	require.Eventually(t, func() bool {
		return h.Post(wiretest.Body(), "Authorization", "Bearer second secret").Code == http.StatusOK
	}, 5*time.Second, 10*time.Millisecond)
	require.Equal(t, http.StatusUnauthorized, h.Post(wiretest.Body(), "Authorization", "Bearer first secret").Code)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)))
	require.Never(t, func() bool {
		return h.Post(wiretest.Body(), "Authorization", "Bearer ").Code == http.StatusOK
	}, 2*receiver.TokenReloadInterval, 50*time.Millisecond)
	require.Equal(t, http.StatusOK, h.Post(wiretest.Body(), "Authorization", "Bearer second secret").Code)
}

// The content shows whether the file changed: a replaced file may have the same
// size and modification time.
func TestReplacedTokenFileIsReloaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	at := time.Unix(1_700_000_000, 0)
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(name, at, at))
	}
	write(path, "one")
	h := testserver.New(t, testserver.Options{WebhookTokenFile: path})
	code := func(token string) int { return h.Post(wiretest.Body(), "Authorization", "Bearer "+token).Code }
	require.Equal(t, http.StatusOK, code("one"))
	write(path+".new", "two")
	require.NoError(t, os.Rename(path+".new", path))
	require.Eventually(t, func() bool { return code("two") == http.StatusOK }, 5*time.Second, 10*time.Millisecond)
	require.Equal(t, http.StatusUnauthorized, code("one"), "a revoked token is rejected")

	require.NoError(t, os.Remove(path))
	const problem = "Reading the webhook token file failed"
	require.Eventually(t, func() bool { return strings.Contains(h.Get("/status").Body.String(), problem) }, 5*time.Second, 10*time.Millisecond)
	require.Contains(t, h.Get("/api/v1/status").Body.String(), problem)
	require.Equal(t, http.StatusOK, code("two"), "the previous tokens stay valid")
	write(path, "two")
	require.Eventually(t, func() bool { return !strings.Contains(h.Get("/status").Body.String(), problem) }, 5*time.Second,
		10*time.Millisecond)
}

// A disk that hangs blocks the request that reads the file, and no other one.
func TestATokenFileThatHangsBlocksOneRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte("one"), 0o600))
	h := testserver.New(t, testserver.Options{WebhookTokenFile: path})
	require.NoError(t, os.Remove(path))
	require.NoError(t, syscall.Mkfifo(path, 0o600)) // a read waits until somebody writes
	code := func() int { return h.Post(wiretest.Body(), "Authorization", "Bearer one").Code }
	blocked := make(chan int, 1)
	go func() { blocked <- code() }()
	var writer *os.File
	require.Eventually(t, func() (opened bool) {
		var err error
		writer, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		return err == nil // the request opened the file
	}, 5*time.Second, time.Millisecond)
	t.Cleanup(func() { _ = writer.Close() })
	start := time.Now()
	require.Eventually(t, func() bool {
		return code() == http.StatusOK && time.Since(start) > 2*receiver.TokenReloadInterval
	}, 10*time.Second, 50*time.Millisecond)
	require.Empty(t, blocked)
	require.NoError(t, writer.Close())
	require.Equal(t, http.StatusOK, <-blocked)
}

// All tokens in the file are valid. So operators can rotate a token while
// Alertmanagers notify, without a rejection.
func TestTokenRotationRejectsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string, age time.Duration) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
	}
	write("old", time.Hour)
	h := testserver.New(t, testserver.Options{WebhookTokenFile: path})
	code := func(token string) int { return h.Post(wiretest.Body(), "Authorization", "Bearer "+token).Code }
	var (
		mu            sync.RWMutex
		word          = "old" // guarded by mu
		done          = make(chan struct{})
		sent, refused atomic.Int64
		senders       sync.WaitGroup
	)
	for range 4 {
		senders.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.RLock()
				if code(word) != http.StatusOK {
					refused.Add(1)
				}
				mu.RUnlock()
				sent.Add(1)
			}
		})
	}
	busy := func() {
		t.Helper()
		before := sent.Load()
		require.Eventually(t, func() bool { return sent.Load() > before+20 }, 10*time.Second, time.Millisecond)
	}
	busy()
	write("old\r\n\n  new \n", time.Minute)
	require.Eventually(t, func() bool { return code("new") == http.StatusOK }, 5*time.Second, 10*time.Millisecond)
	require.Equal(t, []int{200, 401, 401}, []int{code("old"), code(""), code("old\nnew")})
	busy()
	mu.Lock()
	word = "new"
	mu.Unlock()
	busy()
	write("new", 0)
	require.Eventually(t, func() bool { return code("old") == http.StatusUnauthorized }, 5*time.Second, 10*time.Millisecond)
	busy()
	close(done)
	senders.Wait()
	require.Zero(t, refused.Load())
}

// Basic authentication uses the same header, so the token is the password of a
// user. People who only read have another password and cannot write.
func TestTokenAsBasicAuthPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte(testserver.WriterPassword), 0o600))
	url := testserver.New(t, testserver.Options{WebhookTokenFile: path}).ListenGuarded(t)
	for _, tc := range []struct {
		method, path, user, password string
		code                         int
	}{
		{http.MethodPost, "/webhook", "reader", testserver.ReaderPassword, 401},
		{http.MethodPost, "/webhook", "writer", testserver.ReaderPassword, 401},
		{http.MethodPost, "/webhook", "reader", testserver.WriterPassword, 401},
		{http.MethodPost, "/webhook", "", testserver.WriterPassword, 401},
		{http.MethodPost, "/webhook", "writer", testserver.WriterPassword, 200},
		{http.MethodGet, "/api/v1/groups", "reader", testserver.ReaderPassword, 200},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tc.method, url+tc.path, strings.NewReader(wiretest.Body()))
		require.NoError(t, err)
		r.SetBasicAuth(tc.user, tc.password)
		require.Equal(t, tc.code, testserver.Answer(t, r).Code, "%+v", tc)
	}
}

// Without a token in the file, Muster would answer every notification with 401.
func TestTokenFileMustHaveTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	build := func() error {
		_, err := testserver.Build(testserver.Options{WebhookTokenFile: path})
		return err
	}
	require.ErrorContains(t, build(), "--webhook.token-file: open "+path)
	for text, want := range map[string]string{
		"":                             path + " is empty",
		" \n":                          path + " is empty",
		strings.Repeat("token\n", 2e5): path + " has more than 1048576 bytes", // the last token would be cut off
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.EqualError(t, build(), "--webhook.token-file: "+want)
	}
}
