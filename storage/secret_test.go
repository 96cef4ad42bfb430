package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/redis"
	"muster/storage/storagetest"
)

// Muster uses a rotated password without a restart. The file and Redis may get the
// password in any order and with a pause between. No acknowledged write is lost.
func TestRedisPasswordIsRotated(t *testing.T) {
	server := storagetest.StartRedis(t)
	admin := goredis.NewClient(&goredis.Options{Network: "unix", Addr: server.Socket})
	defer func() { require.NoError(t, admin.Close()) }()
	conn := admin.Conn() // this connection stays logged in
	defer func() { require.NoError(t, conn.Close()) }()
	file := filepath.Join(t.TempDir(), "password")
	write := func(password string) {
		require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	}
	rotate := func(password string) {
		require.NoError(t, conn.ConfigSet(t.Context(), "requirepass", password).Err())
		require.NoError(t, conn.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err())
	}
	rotate("first secret")
	write("first secret")
	r, err := redis.New(redisDefaults(redis.Options{URL: "unix://" + server.Socket, PasswordFile: file}))
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	m := startReplicaOn(t, r, TieredOptions{})
	sent := 0
	notify := func() {
		for range 5 {
			_, err := m.AddAlertToGroup(t.Context(), testKey, firing(fmt.Sprint(sent)))
			require.NoError(t, err)
			sent++
		}
	}
	waitForProblem := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			s := m.storage.Status()
			text := strings.Join(s.Problems, "\n")
			require.NotContains(t, text, "secret")
			return s.Reason == "auth" && strings.Contains(text, want)
		}, 10*time.Second, time.Millisecond, "%s", want)
	}
	notify()
	m.clean(t)

	write("second secret")
	rotate("second secret")
	notify()
	m.clean(t)

	rotate("third secret")
	notify()
	waitForProblem("Redis refuses the user or the password.")
	require.NoError(t, os.Remove(file))
	waitForProblem("--redis.password-file: open " + file + ": no such file")
	write("")
	waitForProblem("--redis.password-file: " + file + " is empty")
	notify()
	write("third secret")
	m.clean(t)
	notify()
	m.clean(t)

	groups, _, err := r.LoadMany(t.Context(), []grouping.ID{testKey.ID()})
	require.NoError(t, err)
	require.Len(t, grouping.AsGroup(groups[testKey.ID()]).Alerts, sent)
}
