package receiver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/iotest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"muster/internal/limit"
)

func newBodyLimit(t *testing.T, maximum int64) *limit.Limit {
	t.Helper()
	limits, err := limit.NewRegistry(prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return limits.New("bodies", limit.Bytes, maximum)
}

// A body is received unchanged, however its client announces and sends it. The limit
// counts its bytes, and the whole of every buffer that was made for it.
func TestBodyIsReceivedUnchanged(t *testing.T) {
	bodies := newBodyLimit(t, 1<<30)
	text := bytes.Repeat([]byte("0123456789abcde"), 1<<19)
	for _, size := range []int{
		0, 1, minBody - 1, minBody, minBody + 1, 4 * minBody, 4*minBody + 1, maxMediumBody, maxMediumBody + 2, maxPooledBody + 1,
	} {
		for announced, contentLength := range map[string]int64{
			"announced": int64(size), "unknown": -1, "more announced": 2 * int64(size), "maximum": 1<<63 - 1,
		} {
			for name, r := range map[string]io.Reader{
				"end after": bytes.NewReader(text[:size]),
				"end with":  iotest.DataErrReader(bytes.NewReader(text[:size])),
				"in halves": iotest.HalfReader(bytes.NewReader(text[:size])),
			} {
				name = fmt.Sprint(size, " bytes, ", announced, ", ", name)
				b := newRequestBody(bodies, contentLength)
				initial := b.buf.Cap()
				require.Nil(t, b.receive(r), name)
				require.True(t, bytes.Equal(text[:size], b.bytes()), name)
				require.GreaterOrEqual(t, b.hold.Size(), int64(size), name)
				if b.buf.Cap() > initial {
					require.Equal(t, int64(b.buf.Cap()), b.hold.Size(), name)
				}
				b.close()
				b.close()
				require.Zero(t, bodies.Used(), name)
			}
		}
	}
}

// A client that announces a large body and sends little uses little of the limit.
func TestAnnouncedBytesAreNotCounted(t *testing.T) {
	bodies := newBodyLimit(t, 1<<30)
	b := newRequestBody(bodies, 64<<20)
	defer b.close()
	const sent = 10_000
	broken := errors.New("the connection broke")
	require.NotNil(t, b.receive(io.MultiReader(bytes.NewReader(make([]byte, sent)), iotest.ErrReader(broken))))
	require.LessOrEqual(t, bodies.Used(), int64(4*sent))
}

// A body that grows above the limit is rejected, unless it is the only one. Nothing of
// it stays in use.
func TestBodyGrowsWithinTheLimit(t *testing.T) {
	const size = 1 << 20
	bodies := newBodyLimit(t, size/2)
	for _, contentLength := range []int64{-1, size} {
		alone := newRequestBody(bodies, contentLength)
		require.Nil(t, alone.receive(bytes.NewReader(make([]byte, size))))
		second := newRequestBody(bodies, contentLength)
		refused := second.receive(bytes.NewReader(make([]byte, 100)))
		require.NotNil(t, refused)
		require.Equal(t, limit.Overloaded, refused.reason)
		second.close()
		alone.close()
		require.Zero(t, bodies.Used())
	}
}

// A body that grew leaves its buffer to the next one of about its size.
func TestGrownBuffersAreUsedAgain(t *testing.T) {
	bodies := newBodyLimit(t, 1<<30)
	buffers, grown := map[*bytes.Buffer]bool{}, 0
	for i := range 20 { // the race detector drops some buffers
		b := newRequestBody(bodies, int64(10_000+i))
		require.Nil(t, b.receive(bytes.NewReader(make([]byte, 10_000+i))))
		buffers[b.buf] = true
		grown++
		b.close()
	}
	require.Less(t, len(buffers), grown)
}

// A large buffer is used again for large bodies only.
func TestSmallBodiesGetSmallBuffers(t *testing.T) {
	bodies := newBodyLimit(t, 1<<30)
	for range 10 { // the race detector drops some buffers
		large := newRequestBody(bodies, maxPooledBody-1)
		require.Nil(t, large.receive(bytes.NewReader(make([]byte, maxPooledBody-1))))
		require.Equal(t, maxPooledBody, large.buf.Cap(), "the body and its end fit")
		small := newRequestBody(bodies, 100)
		large.close()
		require.Equal(t, minBody, small.buf.Cap())
		small.close()
	}
}
