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

	"muster/internal/negotiate"
)

//go:embed static
var staticFiles embed.FS

// staticDir is the folder of static files, in the tree and in URLs.
const staticDir = "static"

// asset is a static file under a name that carries its hash, so that it can be
// cached for ever.
type asset struct {
	name    string // app.0123456789abcdef.css
	kind    string
	etag    string
	plain   []byte
	gzipped []byte
}

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// loadAssets reads and compresses the static files, by their plain names.
func loadAssets(files fs.FS) (map[string]*asset, error) {
	assets := map[string]*asset{}
	entries, err := fs.ReadDir(files, staticDir)
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	for _, e := range entries {
		ext := path.Ext(e.Name())
		kind := contentTypes[ext]
		if kind == "" {
			return nil, fmt.Errorf("static files: %s: no content type is known for %q", e.Name(), ext)
		}
		body, err := fs.ReadFile(files, path.Join(staticDir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("static files: %w", err)
		}
		if ext != ".svg" {
			body = squeeze(body)
		}
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:8])
		var zipped bytes.Buffer
		w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
		if err == nil {
			_, err = w.Write(body)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("static files: %s: %w", e.Name(), err)
		}
		assets[e.Name()] = &asset{
			name: strings.TrimSuffix(e.Name(), ext) + "." + hash + ext, kind: kind, etag: `"` + hash + `"`,
			plain: body, gzipped: zipped.Bytes(),
		}
	}
	return assets, nil
}

// squeeze drops indentation, empty lines and lines of comment, which is what
// can be had without knowing the language. No string goes over a line's end.
func squeeze(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 && !bytes.HasPrefix(line, []byte("//")) {
			out = append(append(out, line...), '\n')
		}
	}
	return out
}

// Static serves the static files, and nothing else, under their hashed names;
// the last element of the path names the file, whatever stands before it.
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
		h.Set("Content-Type", a.kind)
		body, etag := a.plain, a.etag
		if negotiate.Gzip(req.Header.Values("Accept-Encoding")) {
			// Another representation is another tag.
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
			_, _ = w.Write(body) // nobody is left to tell
		}
	})
}

func matchesETag(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
			return true
		}
	}
	return false
}
