package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bcrypt compares only the first 72 bytes, so many long passwords are right. The
// cache keeps one right password for each user, so its size stays limited.
func TestOneRightPasswordIsRememberedPerUser(t *testing.T) {
	p := newPasswords()
	long := strings.Repeat("x", 72)
	hash := hashOf(t, long)
	for i := range 10 {
		require.NoError(t, p.verify(t.Context(), "a", "user", hash, long+fmt.Sprint(i)))
	}
	require.Len(t, p.right, 1)
	require.NoError(t, p.verify(t.Context(), "a", "user", hashOf(t, "changed"), "changed"))
	require.Len(t, p.right, 1, "a changed password replaces the old one")
}

// A request brings the user whose password it has, and no other name.
func TestTheUserOfARequest(t *testing.T) {
	e := start(t, t.TempDir(), users(t, "mira", "one", "rob", "two"))
	require.True(t, e.config.HasUsers())
	for user, password := range map[string]string{"mira": "one", "rob": "two"} {
		for range 2 { // the second password comes from the cache
			code, who := e.askWho(http.MethodPost, "/", user, password)
			require.Equal(t, http.StatusOK, code)
			require.Equal(t, user+" true", who)
		}
	}
	code, who := e.askWho(http.MethodPost, "/", "mira", "two")
	require.Equal(t, http.StatusUnauthorized, code)
	require.Empty(t, who)
	_, who = e.askWho(http.MethodGet, HealthyPath, "mira", "one")
	require.Empty(t, who, "nobody checks the password of a probe")

	open := start(t, t.TempDir(), "http_server_config: {headers: {X-Frame-Options: deny}}\n")
	require.False(t, open.config.HasUsers())
	_, who = open.askWho(http.MethodPost, "/", "mira", "one")
	require.Empty(t, who, "without users, nobody checks the password")
}
