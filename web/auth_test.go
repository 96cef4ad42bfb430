package web

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bcrypt compares the first 72 bytes alone, so a long password is right in many
// forms: what is remembered stays bounded by the users.
func TestOneRightPasswordIsRememberedPerUser(t *testing.T) {
	p := newPasswords()
	long := strings.Repeat("x", 72)
	hash := hashOf(t, long)
	for i := range 10 {
		require.NoError(t, p.check(t.Context(), "a", "user", hash, long+fmt.Sprint(i)))
	}
	require.Len(t, p.right, 1)
	require.NoError(t, p.check(t.Context(), "a", "user", hashOf(t, "changed"), "changed"))
	require.Len(t, p.right, 1, "a changed password takes the place of the one before")
}
