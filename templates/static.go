package templates

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/css"
	"github.com/tdewolff/minify/v2/js"

	"muster/internal/negotiate"
)

//go:embed static
var staticFiles embed.FS

// staticDir is the folder of static files, in the tree and in URLs.
const staticDir = "static"

// asset is a static file as it is served. Its URL contains a hash of its
// content, so that clients can cache it for ever.
type asset struct {
	name        string // app.0123456789abcdef.css
	contentType string
	etag        string // of the plain content
	plain       []byte
	gzipped     []byte
}

// contentTypes has an entry for each kind of static file.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// minifiers compact static files, so that their sources can be written to be
// read. Names in scripts stay: a stack trace in a browser's console names the
// functions of the source.
var minifiers = map[string]minify.Minifier{
	".css": &css.Minifier{},
	".js":  &js.Minifier{KeepVarNames: true, Version: 2022},
}

// loadAssets reads, compacts and compresses the static files. The keys of the
// result are the names of the files in the tree.
func loadAssets(files fs.FS) (map[string]*asset, error) {
	entries, err := fs.ReadDir(files, staticDir)
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	assets := map[string]*asset{}
	for _, entry := range entries {
		source, err := fs.ReadFile(files, path.Join(staticDir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("static files: %w", err)
		}
		if assets[entry.Name()], err = newAsset(entry.Name(), source); err != nil {
			return nil, fmt.Errorf("static files: %s: %w", entry.Name(), err)
		}
	}
	return assets, nil
}

// newAsset prepares one static file for serving.
func newAsset(name string, source []byte) (*asset, error) {
	ext := path.Ext(name)
	contentType := contentTypes[ext]
	if contentType == "" {
		return nil, fmt.Errorf("no content type is known for %q", ext)
	}
	plain, err := minifyAsset(ext, source)
	if err != nil {
		return nil, err
	}
	gzipped, err := compress(plain)
	if err != nil {
		return nil, err
	}
	// The hash is that of the served bytes: it changes if a new version of the
	// minifier gives another result for the same source.
	sum := sha256.Sum256(plain)
	hash := hex.EncodeToString(sum[:8])
	return &asset{
		name:        strings.TrimSuffix(name, ext) + "." + hash + ext,
		contentType: contentType,
		etag:        `"` + hash + `"`,
		plain:       plain,
		gzipped:     gzipped,
	}, nil
}

// minifyAsset removes comments and white space from a style sheet or a script.
// Other files stay as they are. A script with a syntax error is an error.
func minifyAsset(ext string, source []byte) ([]byte, error) {
	minifier := minifiers[ext]
	if minifier == nil {
		return source, nil
	}
	var out bytes.Buffer
	if err := minifier.Minify(minify.New(), &out, bytes.NewReader(source), nil); err != nil {
		return nil, fmt.Errorf("compacting: %w", err)
	}
	return out.Bytes(), nil
}

func compress(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Static returns a handler that serves the static files under their hashed
// names, and nothing else. The last element of the path names the file: the
// handler ignores what comes before it.
func (r *Renderer) Static() http.Handler {
	byName := make(map[string]*asset, len(r.assets))
	for _, a := range r.assets {
		byName[a.name] = a
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		a := byName[path.Base(req.URL.Path)]
		if a == nil {
			http.Error(w, "no such file", http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Vary", "Accept-Encoding")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Type", a.contentType)
		body, etag := a.plain, a.etag
		if negotiate.Gzip(req.Header.Values("Accept-Encoding")) {
			// Another representation needs another tag.
			body, etag = a.gzipped, strings.TrimSuffix(a.etag, `"`)+`-gz"`
			h.Set("Content-Encoding", "gzip")
		}
		h.Set("ETag", etag)
		if matchesETag(req.Header.Get("If-None-Match"), etag) {
			h.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if req.Method == http.MethodGet {
			_, _ = w.Write(body) // the client is gone: there is nobody to report the error to
		}
	})
}

// matchesETag reports whether an If-None-Match header lists the tag.
func matchesETag(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
			return true
		}
	}
	return false
}
