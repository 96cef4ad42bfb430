package pages_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
)

func TestStatic(t *testing.T) {
	h := testserver.New(t, testserver.Options{ExternalURL: "http://host/am", RoutePrefix: "/am"})
	path := regexp.MustCompile(`/am/static/app\.[0-9a-f]{16}\.css`).FindString(h.Get("/am/").Body.String())
	require.NotEmpty(t, path)
	get := func(path string, headers ...string) *httptest.ResponseRecorder { return h.Get(path, headers...) }

	plain := get(path)
	require.Equal(t, http.StatusOK, plain.Code)
	text := plain.Body.String()
	require.Contains(t, text, "color")
	require.Equal(t, "text/css; charset=utf-8", plain.Header().Get("Content-Type"))
	require.Equal(t, "public, max-age=31536000, immutable", plain.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", plain.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "Accept-Encoding", plain.Header().Get("Vary"))
	require.Empty(t, plain.Header().Get("Content-Encoding"))

	zip := get(path, "Accept-Encoding", "br, gzip;q=0.8")
	require.Equal(t, "gzip", zip.Header().Get("Content-Encoding"))
	require.NotEqual(t, plain.Header().Get("ETag"), zip.Header().Get("ETag"))
	unzipped, err := gzip.NewReader(zip.Body)
	require.NoError(t, err)
	body, err := io.ReadAll(unzipped)
	require.NoError(t, err)
	require.Equal(t, text, string(body))

	require.Empty(t, get(path, "Accept-Encoding", "gzip;q=0").Header().Get("Content-Encoding"))
	require.Equal(t, http.StatusNotModified, get(path, "If-None-Match", plain.Header().Get("ETag")).Code)
	again := get(path, "Accept-Encoding", "gzip", "If-None-Match", `"x", W/`+zip.Header().Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Empty(t, again.Header().Get("Content-Encoding"))
	require.Equal(t, http.StatusMethodNotAllowed, h.Do(http.MethodPost, path, nil).Code)
	for _, no := range []string{
		"/am/static/", "/am/static/app.css", "/am/static/app.0000000000000000.css", "/am/static/../renderer.go", "/static/",
	} {
		require.Equal(t, http.StatusNotFound, get(no).Code, no)
	}

	// HEAD has the headers of GET, and no body.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, h.Listen(t).URL+path, nil)
	require.NoError(t, err)
	head := testserver.Answer(t, r)
	require.Equal(t, http.StatusOK, head.Code)
	require.Equal(t, plain.Header().Get("ETag"), head.Header.Get("ETag"))
	require.Equal(t, plain.Header().Get("Content-Length"), head.Header.Get("Content-Length"))
	require.Empty(t, head.Text)
	http.DefaultClient.CloseIdleConnections()
}
