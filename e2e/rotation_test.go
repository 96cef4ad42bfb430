package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// The passwords of Redis and its Sentinel are rotated one after the other, and all
// connections are closed. Muster reads the new passwords from their files.
func TestSentinelPasswordsAreRotated(t *testing.T) {
	t.Parallel()
	const fresh = "fresh-s3cr3t"
	ctx := context.Background()
	master := newNode(t, fmt.Sprintf("requirepass %q\n", redisSecret))
	master.start()
	sentinel := newNode(t, fmt.Sprintf("requirepass %q\nsentinel monitor mine 127.0.0.1 %d 1\nsentinel auth-pass mine %q\n"+
		"sentinel down-after-milliseconds mine 60000\n", sentinelSecret, master.port, redisSecret), "--sentinel")
	sentinel.process.start()
	admin := redis.NewClient(&redis.Options{Addr: sentinel.addr(), Password: sentinelSecret, MaxRetries: -1, Protocol: 2})
	defer func() { require.NoError(t, admin.Close()) }()
	waitFor(t, waitTimeout, "Sentinel answers", func() error { return admin.Ping(ctx).Err() })
	inRedis, inSentinel := master.client.Conn(), admin.Conn() // they stay authenticated
	defer func() { require.NoError(t, inRedis.Close()) }()
	defer func() { require.NoError(t, inSentinel.Close()) }()
	rotate := func(conn *redis.Conn) {
		require.NoError(t, conn.Do(ctx, "ACL", "SETUSER", "default", "resetpass", ">"+fresh).Err())
		for _, kind := range []string{"normal", "pubsub"} {
			require.NoError(t, conn.Do(ctx, "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes").Err())
		}
	}

	redisFile, sentinelFile := writeFile(t, "password", redisSecret), writeFile(t, "password", sentinelSecret)
	m := startMuster(t, verbose("--redis.url=redis://"+sentinel.addr()+"?master_name=mine",
		"--redis.password-file="+redisFile, "--redis.sentinel-password-file="+sentinelFile)...)
	m.waitHealthy(waitTimeout)
	notify := func(name string) {
		_, err := deliver(m, newMessage(name, newAlert(name, "a", time.Now().UTC())))
		require.NoError(t, err)
	}
	notify("Before")

	require.NoError(t, os.WriteFile(sentinelFile, []byte(fresh), 0o600))
	rotate(inSentinel)
	require.NoError(t, os.WriteFile(redisFile, []byte(fresh), 0o600))
	rotate(inRedis)
	notify("After")
	m.waitHealthy(waitTimeout)

	// Before a new connection to Redis, Muster asks the Sentinel for its address.
	require.NoError(t, os.WriteFile(sentinelFile, []byte("wrong"), 0o600))
	rotate(inSentinel)
	rotate(inRedis)
	notify("Refused")
	m.waitDegraded()
	require.Equal(t, []string{"Sentinel refuses the user or the password."}, m.problems())
	require.NoError(t, os.WriteFile(sentinelFile, []byte(fresh), 0o600))
	m.waitHealthy(waitTimeout)
	groups, err := m.groups()
	require.NoError(t, err)
	require.Len(t, groups, 3)
	m.checkSecrets()
	log, err := os.ReadFile(m.log)
	require.NoError(t, err)
	require.NotContains(t, string(log), fresh)
}
