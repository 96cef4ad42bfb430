package grouping

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzCheckpoint decodes arbitrary checkpoints, as a damaged storage has them. Each one is read or
// is an error, after a time that depends on its size.
func FuzzCheckpoint(f *testing.F) {
	g := apply(nil, Notification{Key: testKey, Alerts: bigGroup(2), Stamp: NewStamp(base, 0, testWriter)}, testRules).Group
	data, err := (&Checkpoint{Stamp: g.Stamp, Groups: []*AlertGroup{g}}).Encode()
	require.NoError(f, err)
	z, err := gzip.NewReader(bytes.NewReader(data))
	require.NoError(f, err)
	text, err := io.ReadAll(z)
	require.NoError(f, err)
	f.Add(text)
	f.Add(append(bytes.Clone(text), 0)) // more than a checkpoint has
	// The number of records of a group that did not change is damaged.
	var w checkpointWriter
	var out bytes.Buffer
	w.Writer = bufio.NewWriter(&out)
	w.texts(checkpointVersion, string(g.Stamp))
	w.numbers(0, 1)
	w.texts(string(g.ID), "", string(g.Stamp))
	w.numbers(1, 1, 1<<63)
	require.NoError(f, w.Flush())
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, _ = z.Write(text)
		require.NoError(t, z.Close())
		for _, live := range []*AlertGroup{nil, g} {
			done := make(chan struct{})
			go func() {
				defer close(done)
				c, err := DecodeCheckpoint(out.Bytes(), func(ID) *AlertGroup { return live })
				if err == nil {
					_, err = c.Encode()
				}
				if err != nil && strings.Contains(err.Error(), "%!") {
					t.Error(err)
				}
			}()
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("it does not end")
			}
		}
	})
}
