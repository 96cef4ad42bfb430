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
	readers, err := NewReaders(limits, ReaderOptions{MaxReaders: 1, MaxResponseMemory: 100})
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
		require.JSONEq(t, `{"error":"response memory is in use by slow clients, try again"}`, second.Body.String())
		require.Empty(t, second.Header().Get("ETag"), "the answer must not be cached")
		require.Equal(t, "no-store", second.Header().Get("Cache-Control"))
	}
	require.Equal(t, http.StatusOK, get().Code)
	slot, ok := slots.Take(1)
	require.True(t, ok)
	require.JSONEq(t, `{"error":"too many concurrent requests, try again"}`, get().Body.String())
	slot.Release()
	require.Equal(t, http.StatusOK, get().Code)
	require.Zero(t, slots.Used()+bytes.Used())
	require.Equal(t, []limit.Row{
		{Title: "Concurrent readers", Unit: limit.Requests, Maximum: 1, Reached: 1},
		{Title: "Memory of responses", Unit: limit.Bytes, Maximum: 100, Reached: 1},
	}, limits.Rows())
}

func TestReaderOptions(t *testing.T) {
	require.NoError(t, DefaultReaderOptions(1<<20).Validate())
	require.EqualValues(t, 1<<16, DefaultReaderOptions(1<<20).MaxResponseMemory)
	require.EqualValues(t, maxDefaultMemory, DefaultReaderOptions(1<<50).MaxResponseMemory)
	require.Error(t, ReaderOptions{MaxReaders: 1}.Validate())
	require.Error(t, ReaderOptions{MaxResponseMemory: 1}.Validate())
	_, err := NewReaders(nil, ReaderOptions{})
	require.Error(t, err)
}
