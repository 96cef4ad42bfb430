package templates

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/css"
	"github.com/tdewolff/minify/v2/js"
)

//go:embed static
var staticFiles embed.FS

// staticDir is the folder of static files, in the tree and in URLs.
const staticDir = "static"

// Asset is a static file as it is served. Its name contains a hash of its content,
// so that clients can cache it for ever. It must not be modified.
type Asset struct {
	Name    string // app.0123456789abcdef.css
	Type    string // the content type
	Hash    string // of the body
	Body    []byte
	Gzipped []byte
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
func loadAssets(files fs.FS) (map[string]*Asset, error) {
	entries, err := fs.ReadDir(files, staticDir)
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	assets := map[string]*Asset{}
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
func newAsset(name string, source []byte) (*Asset, error) {
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
	return &Asset{
		Name:    strings.TrimSuffix(name, ext) + "." + hash + ext,
		Type:    contentType,
		Hash:    hash,
		Body:    plain,
		Gzipped: gzipped,
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

// Static returns the static files by the names that they are served under.
func (r *Renderer) Static() map[string]Asset {
	byName := make(map[string]Asset, len(r.assets))
	for _, a := range r.assets {
		byName[a.Name] = *a
	}
	return byName
}
