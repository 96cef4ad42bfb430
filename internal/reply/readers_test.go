package reply

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"muster/internal/limit"
)

// A reader uses a slot until the answer is prepared, and bytes until it is sent.
func TestReadersAreAdmitted(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	limits, err := limit.NewRegistry(prometheus.NewRegistry(), promslog.NewNopLogger())
	require.NoError(t, err)
	readers, err := NewReaders(limits, ReaderOptions{MaxReaders: 1, MaxResponseMemory: 100, MaxWaiting: 1})
	require.NoError(t, err)
	slots, bytes := limits.Limit("readers"), limits.Limit("responses")
	engine := gin.New()
	var during func()
	Get(engine, "/", readers.Admit, func(c *gin.Context) {
		require.EqualValues(t, 1, slots.Used())
		c.Header("ETag", "x")
		hold, ok := readers.Hold(c, 60)
		if !ok {
			require.True(t, c.IsAborted())
			return
		}
		defer hold.Release()
		require.Zero(t, slots.Used(), "the client's speed must not use a slot")
		if run := during; run != nil {
			during = nil
			run()
		}
		c.String(http.StatusOK, "sent")
	})
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w
	}
	during = func() {
		second := get()
		require.Equal(t, http.StatusServiceUnavailable, second.Code)
		require.Equal(t, "Response memory is in use by slow clients, try again.\n", second.Body.String())
		require.Empty(t, second.Header().Get("ETag"), "the answer must not be cached")
		require.Equal(t, "no-store", second.Header().Get("Cache-Control"))
	}
	require.Equal(t, http.StatusOK, get().Code)
	slot, ok := slots.Take(1)
	require.True(t, ok)
	require.Equal(t, "Too many concurrent requests, try again.\n", get().Body.String())
	slot.Release()
	require.Equal(t, http.StatusOK, get().Code)
	require.Zero(t, slots.Used()+bytes.Used())
	require.Equal(t, []limit.Row{
		{Title: "Concurrent readers", Unit: limit.Requests, Maximum: 1, Reached: 1},
		{Title: "Concurrent changes of silences", Unit: limit.Requests, Maximum: 1},
		{Title: "Memory of responses", Unit: limit.Bytes, Maximum: 100, Reached: 1},
	}, limits.Rows())
}

// A request that waits for an Alertmanager has a slot of its own, and takes none from readers.
func TestReadersWait(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	limits, err := limit.NewRegistry(prometheus.NewRegistry(), promslog.NewNopLogger())
	require.NoError(t, err)
	readers, err := NewReaders(limits, ReaderOptions{MaxReaders: 1, MaxResponseMemory: 100, MaxWaiting: 1})
	require.NoError(t, err)
	slots, waiting := limits.Limit("readers"), limits.Limit("silencing")
	engine := gin.New()
	get := func() string {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w.Body.String()
	}
	depth := 0
	Get(engine, "/", readers.Admit, func(c *gin.Context) {
		if depth++; readers.Wait(c) != nil {
			require.EqualValues(t, 1, slots.Used(), "it still has its slot")
			c.String(http.StatusServiceUnavailable, "busy")
			return
		}
		require.Zero(t, slots.Used())
		require.EqualValues(t, 1, waiting.Used())
		if depth == 1 {
			require.Equal(t, "busy", get())
		}
		hold, ok := readers.Hold(c, 1)
		require.True(t, ok)
		defer hold.Release()
		require.Zero(t, waiting.Used(), "the client's speed must not use a slot")
		c.String(http.StatusOK, "done")
	})
	require.Equal(t, "done", get())
	require.Equal(t, "done", get())
	require.Zero(t, slots.Used()+waiting.Used())
	require.Equal(t, 1, waiting.Rejected())
}

func TestReaderOptions(t *testing.T) {
	require.NoError(t, DefaultReaderOptions(1<<20).Validate())
	require.EqualValues(t, 1<<16, DefaultReaderOptions(1<<20).MaxResponseMemory)
	require.EqualValues(t, maxDefaultMemory, DefaultReaderOptions(1<<50).MaxResponseMemory)
	require.Error(t, ReaderOptions{MaxReaders: 1, MaxWaiting: 1}.Validate())
	require.Error(t, ReaderOptions{MaxResponseMemory: 1, MaxWaiting: 1}.Validate())
	require.Error(t, ReaderOptions{MaxReaders: 1, MaxResponseMemory: 1}.Validate())
	_, err := NewReaders(nil, ReaderOptions{})
	require.Error(t, err)
}
