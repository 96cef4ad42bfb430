package receiver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"muster/grouping"
	"muster/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testServer is a complete Muster with memory storage and without a listener.
type testServer struct {
	*Server

	manager *grouping.Manager
	reg     *prometheus.Registry

	mu     sync.Mutex
	status grouping.StorageStatus // guarded by mu
}

func newTestServer(t testing.TB, opts Options) *testServer {
	t.Helper()
	h := &testServer{reg: prometheus.NewRegistry(), status: grouping.StorageStatus{Mode: "memory", Healthy: true}}
	if opts.Groups.Interval == 0 && opts.Groups.StaleAfter == 0 {
		opts.Groups = grouping.DefaultOptions
	}
	var err error
	h.manager, err = grouping.NewManager(storage.NewMemory(storage.MemoryOptions{}), grouping.NewClock(), h.publish, h.reg,
		promslog.NewNopLogger(), opts.Groups)
	require.NoError(t, err)
	h.Server, err = New(h.manager, h.storageStatus, h.reg, h.reg, promslog.NewNopLogger(), opts)
	require.NoError(t, err)
	return h
}

// publish is the watcher of the manager, which is built before the server.
func (h *testServer) publish(u grouping.Update) { h.Publish(u) }

func (h *testServer) storageStatus() grouping.StorageStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status
}

func (h *testServer) setStatus(s grouping.StorageStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = s
}

// do sends a request; headers are pairs of name and value.
func (h *testServer) do(method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	if method == http.MethodPost || method == http.MethodPut {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func (h *testServer) post(body string, headers ...string) *httptest.ResponseRecorder {
	return h.do(http.MethodPost, "/webhook", strings.NewReader(body), headers...)
}

func (h *testServer) get(path string, headers ...string) *httptest.ResponseRecorder {
	return h.do(http.MethodGet, path, nil, headers...)
}

// counter returns the value of a counter with exactly these label values.
func (h *testServer) counter(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := h.reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var pairs []string
			for _, l := range m.GetLabel() {
				pairs = append(pairs, l.GetName(), l.GetValue())
			}
			if strings.Join(pairs, " ") == strings.Join(labels, " ") {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// testDecoder has limits that no test reaches.
var testDecoder = newDecoder(1_000_000, 10_000)

// allocated returns the bytes in use after garbage collection.
func allocated() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
