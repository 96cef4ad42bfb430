package limit

import (
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
)

func TestTake(t *testing.T) {
	l := newLimit("x", Bytes, 10)
	a, ok := l.Take(6)
	require.True(t, ok)
	_, ok = l.Take(5)
	require.False(t, ok)
	b, ok := l.Take(4)
	require.True(t, ok, "the maximum itself is allowed")
	require.Equal(t, int64(10), l.Used())
	require.False(t, b.Grow(1))
	require.Equal(t, int64(4), b.Size(), "the hold is unchanged")
	a.Release()
	a.Release()
	require.Equal(t, int64(4), l.Used(), "a second release changes nothing")
	require.True(t, b.Grow(6))
	b.Release()
	require.Zero(t, l.Used())
	require.True(t, l.Fits(25), "it is alone")
	require.Equal(t, 2, l.Rejected())
	var empty Hold
	empty.Release()
}

// An amount that is larger than the maximum is not rejected forever.
func TestWhatIsTooLargeIsTakenAlone(t *testing.T) {
	l := newLimit("x", Bytes, 10)
	small, ok := l.Take(1)
	require.True(t, ok)
	_, ok = l.Take(25)
	require.False(t, ok)
	require.True(t, l.Fits(9))
	require.False(t, l.Fits(10))
	require.Equal(t, 2, l.Rejected())
	small.Release()
	large, ok := l.Take(25)
	require.True(t, ok)
	require.True(t, large.Grow(5), "it is still alone")
	_, ok = l.Take(1)
	require.False(t, ok)
	large.Release()
	require.Zero(t, l.Used())
}

func TestAdd(t *testing.T) {
	l := newLimit("x", Bytes, 10)
	a, ok := l.Take(8)
	require.True(t, ok)
	a.Add(8)
	require.Equal(t, int64(16), l.Used())
	_, ok = l.Take(1)
	require.False(t, ok)
	a.Release()
	require.Zero(t, l.Used())
}

func TestManyAtOnce(t *testing.T) {
	l := newLimit("x", Requests, 8)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 500 {
				if hold, ok := l.Take(1); ok {
					if used := l.Used(); used > 8 {
						t.Errorf("%d are in use", used)
					}
					hold.Release()
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, l.Used())
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	limits, err := NewRegistry(reg, promslog.NewNopLogger())
	require.NoError(t, err)
	readers, memory := limits.New("readers", Requests, 1), limits.New("responses", Bytes, 100)
	_, ok := readers.Take(1)
	require.True(t, ok)
	_, ok = readers.Take(1)
	require.False(t, ok)
	_, ok = memory.Take(7)
	require.True(t, ok)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP muster_limit_max_bytes Maximum number of bytes in use.
# TYPE muster_limit_max_bytes gauge
muster_limit_max_bytes{limit="responses"} 100
# HELP muster_limit_max_requests Maximum number of concurrent requests.
# TYPE muster_limit_max_requests gauge
muster_limit_max_requests{limit="readers"} 1
# HELP muster_limit_rejections_total Total number of requests that were rejected because the limit was reached.
# TYPE muster_limit_rejections_total counter
muster_limit_rejections_total{limit="readers"} 1
muster_limit_rejections_total{limit="responses"} 0
# HELP muster_limit_used_bytes Number of bytes in use that count against the limit.
# TYPE muster_limit_used_bytes gauge
muster_limit_used_bytes{limit="responses"} 7
# HELP muster_limit_used_requests Number of current requests that count against the limit.
# TYPE muster_limit_used_requests gauge
muster_limit_used_requests{limit="readers"} 1
`), "muster_limit_max_bytes", "muster_limit_max_requests", "muster_limit_rejections_total", "muster_limit_used_bytes",
		"muster_limit_used_requests"))
}
