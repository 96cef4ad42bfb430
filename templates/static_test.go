package templates

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestStatic(t *testing.T) {
	r := newRenderer(t)
	h := r.Static()
	get := func(method, path string, header ...string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, path, nil)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w
	}
	path, err := r.assetURL("app.css")
	require.NoError(t, err)
	require.Regexp(t, `^/am/static/app\.[0-9a-f]{16}\.css$`, path)

	plain := get("GET", path)
	body, err := io.ReadAll(plain.Body)
	require.NoError(t, err)
	require.Equal(t, r.assets["app.css"].plain, body)
	require.Equal(t, "text/css; charset=utf-8", plain.Header().Get("Content-Type"))
	require.Equal(t, "public, max-age=31536000, immutable", plain.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", plain.Header().Get("X-Content-Type-Options"))
	require.Empty(t, plain.Header().Get("Content-Encoding"))

	zip := get("GET", path, "Accept-Encoding", "br, gzip;q=0.8")
	require.Equal(t, "gzip", zip.Header().Get("Content-Encoding"))
	require.NotEqual(t, plain.Header().Get("ETag"), zip.Header().Get("ETag"))
	unzipped, err := gzip.NewReader(zip.Body)
	require.NoError(t, err)
	body, err = io.ReadAll(unzipped)
	require.NoError(t, err)
	require.Equal(t, r.assets["app.css"].plain, body)

	require.Empty(t, get("GET", path, "Accept-Encoding", "gzip;q=0").Header().Get("Content-Encoding"))
	require.Equal(t, http.StatusNotModified, get("GET", path, "If-None-Match", plain.Header().Get("ETag")).Code)
	require.Equal(t, http.StatusNotModified, get("GET", path, "Accept-Encoding", "gzip", "If-None-Match", `"x", W/`+zip.Header().Get("ETag")).Code)
	require.Equal(t, http.StatusMethodNotAllowed, get("POST", path).Code)
	head := get("HEAD", path)
	body, _ = io.ReadAll(head.Body)
	require.Empty(t, body)
	for _, no := range []string{"/am/static/", "/am/static/app.css", "/am/static/app.0000000000000000.css", "/am/static/../renderer.go", "/"} {
		require.Equal(t, http.StatusNotFound, get("GET", no).Code, no)
	}
}

func TestBrokenFilesFailAtStart(t *testing.T) {
	_, err := loadAssets(fstest.MapFS{"static/a.exe": {}})
	require.Error(t, err)
	_, err = loadAssets(fstest.MapFS{})
	require.Error(t, err)
	_, err = newRenderer(t).assetURL("nope")
	require.Error(t, err)
}
