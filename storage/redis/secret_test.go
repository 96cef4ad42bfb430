package redis

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
	require.Equal(t, reasonTLS, faultReason(err))

	require.NoError(t, os.WriteFile(file, server.authority, 0o600))
	require.NoError(t, connect())

	require.NoError(t, os.Remove(file))
	err = connect()
	require.ErrorContains(t, err, "--redis.tls-ca-file: open "+file)
	require.Equal(t, reasonTLS, faultReason(err))
	require.Contains(t, connectionProblem(err), "--redis.tls-ca-file: open "+file)

	_, err = readClientCertificate(TLS{CertFile: file, KeyFile: file})
	require.ErrorContains(t, err, "--redis.tls-cert-file: open "+file)
	require.Equal(t, reasonTLS, faultReason(err))
}
