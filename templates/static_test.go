package templates

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
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
	again := get("GET", path, "Accept-Encoding", "gzip", "If-None-Match", `"x", W/`+zip.Header().Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Equal(t, http.StatusMethodNotAllowed, get("POST", path).Code)
	head := get("HEAD", path)
	body, _ = io.ReadAll(head.Body)
	require.Empty(t, body)
	for _, no := range []string{"/am/static/", "/am/static/app.css", "/am/static/app.0000000000000000.css", "/am/static/../renderer.go", "/"} {
		require.Equal(t, http.StatusNotFound, get("GET", no).Code, no)
	}
}

// Sources are written to be read, and served without what only readers need.
func TestStaticFilesAreCompacted(t *testing.T) {
	assets, err := loadAssets(staticFiles)
	require.NoError(t, err)
	require.Len(t, assets, 3)
	// The // of an address in a string follows a colon.
	comment := regexp.MustCompile(`/\*|\*/|(^|[^:])//`)
	for name, maximumShare := range map[string]float64{"app.css": 0.7, "app.js": 0.6} {
		source, err := staticFiles.ReadFile(path.Join(staticDir, name))
		require.NoError(t, err)
		require.True(t, comment.Match(source), "%s: the source has comments", name)
		served := assets[name].plain
		require.Empty(t, comment.FindAllString(string(served), -1), name)
		require.NotContains(t, string(served), "\n ", "%s is not indented", name)
		require.Less(t, float64(len(served)), maximumShare*float64(len(source)), name)
	}
	for name, served := range assets {
		again, err := minifyAsset(path.Ext(name), served.plain)
		require.NoError(t, err)
		require.Equal(t, string(served.plain), string(again), "%s: compacting twice changes nothing", name)
	}
}

func TestCompactKeepsTheMeaning(t *testing.T) {
	for _, test := range []struct{ ext, source, want string }{
		{".css", "/* why */\na > b,\n.c {\n  color: red; /* why */\n  width: calc(1px + 2px);\n}\n", "a>b,.c{color:red;width:calc(1px + 2px)}"},
		{".css", `a::after { content: "/* no comment */  two spaces"; }`, `a::after{content:"/* no comment */  two spaces"}`},
		{".css", "@media (max-width: 720px) { .a .b { top: 0 !important; } }", "@media(max-width:720px){.a .b{top:0!important}}"},
		{".js", "/** @type {string} */\nconst address = 'http://a//b'; // why\nshow(address);\n", `const address="http://a//b";show(address)`},
		{".js", "function full(longName) {\n  return `a  ${longName} // b`;\n}\n", "function full(longName){return`a  ${longName} // b`}"},
		{".svg", "<svg>\n  <!-- stays -->\n</svg>\n", "<svg>\n  <!-- stays -->\n</svg>\n"},
	} {
		compacted, err := minifyAsset(test.ext, []byte(test.source))
		require.NoError(t, err)
		require.Equal(t, test.want, string(compacted))
	}
}

// The address of a static file contains the hash of what is served there, and
// the policy of the pages allows this address alone.
func TestTheHashIsThatOfTheServedBytes(t *testing.T) {
	r := newRenderer(t)
	page, err := r.Render(&HelpPage{})
	require.NoError(t, err)
	for name := range r.assets {
		address, err := r.assetURL(name)
		require.NoError(t, err)
		require.Contains(t, string(page), `="`+address+`"`, "a page refers to it")

		w := httptest.NewRecorder()
		r.Static().ServeHTTP(w, httptest.NewRequest(http.MethodGet, address, nil))
		require.Equal(t, http.StatusOK, w.Code)
		sum := sha256.Sum256(w.Body.Bytes())
		hash := hex.EncodeToString(sum[:8])
		require.Contains(t, address, "."+hash+".")
		require.Equal(t, `"`+hash+`"`, w.Header().Get("ETag"))
	}
	require.NotRegexp(t, `<style|<script>| style=| on[a-z]+=`, string(page), "the policy forbids what is inline")
}

func TestBrokenFilesFailAtStart(t *testing.T) {
	_, err := loadAssets(fstest.MapFS{"static/a.exe": {}})
	require.Error(t, err)
	_, err = loadAssets(fstest.MapFS{})
	require.Error(t, err)
	_, err = loadAssets(fstest.MapFS{"static/a.js": {Data: []byte("let = ;")}})
	require.ErrorContains(t, err, "a.js")
	_, err = newRenderer(t).assetURL("nope")
	require.Error(t, err)
}
