package storage

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"muster/grouping"
)

// Muster uses a rotated password without a restart. The file and Redis may get the
// password in any order and with a pause between. No acknowledged write is lost.
func TestRedisPasswordIsRotated(t *testing.T) {
	server := startRedis(t)
	admin := redis.NewClient(&redis.Options{Network: "unix", Addr: server.socket})
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
	r, err := NewRedis(RedisOptions{URL: "unix://" + server.socket, PasswordFile: file}, promslog.NewNopLogger())
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
			return s.Reason == reasonAuth && strings.Contains(text, want)
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
	require.Len(t, groups[testKey.ID()].Alerts, sent)
}

func TestSecretsAreLimited(t *testing.T) {
	s := &secrets{}
	for i := range 3 * maxSecrets {
		s.add(fmt.Sprint("secret-", i, "."))
		s.add(fmt.Sprint("secret-", i, "."))
		s.add("")
	}
	require.Len(t, s.values, maxSecrets)
	require.Equal(t, "<hidden> secret-1.", s.redact(fmt.Sprintf("secret-%d. secret-1.", 3*maxSecrets-1)))
}

// The certificates of the authorities and of Muster are read for each connection.
// The error names a file that cannot be read.
func TestRedisCertificatesAreRotated(t *testing.T) {
	server, other := startPongServer(t), startPongServer(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, other.authority, 0o600))
	dial := tlsDialer(plainDialer(time.Minute), &tls.Config{MinVersion: tls.VersionTLS12}, file, time.Minute)
	connect := func() error {
		conn, err := dial(t.Context(), "tcp", server.Addr().String())
		if err == nil {
			require.NoError(t, conn.Close())
		}
		return err
	}
	err := connect()
	require.ErrorContains(t, err, "x509:")
	require.Equal(t, reasonTLS, FaultReason(err))

	require.NoError(t, os.WriteFile(file, server.authority, 0o600))
	require.NoError(t, connect())

	require.NoError(t, os.Remove(file))
	err = connect()
	require.ErrorContains(t, err, "--redis.tls-ca-file: open "+file)
	require.Equal(t, reasonTLS, FaultReason(err))
	require.Contains(t, connectionProblem(err), "--redis.tls-ca-file: open "+file)

	_, err = readClientCertificate(RedisTLS{CertFile: file, KeyFile: file})
	require.ErrorContains(t, err, "--redis.tls-cert-file: open "+file)
	require.Equal(t, reasonTLS, FaultReason(err))
}
