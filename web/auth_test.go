package web

import (
	"fmt"
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
