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
	"sync"
)

//go:generate go run ./internal/compact
//go:embed served
var servedFiles embed.FS

// servedDir is the folder of the static files as they are served. They are made of their
// sources in the folder static. staticDir is the folder in URLs.
const servedDir, staticDir = "served", "static"

// Asset is a static file as it is served. Its name contains a hash of its content,
// so that clients can cache it for ever. It must not be modified.
type Asset struct {
	Name    string // app.0123456789abcdef.css
	Type    string // the content type
	Hash    string // of the body
	Body    []byte
	Gzipped func() []byte // the compressed body
}

// contentTypes has an entry for each kind of static file.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// loadAssets reads the static files. The keys of the result are the names of the files in the
// tree.
func loadAssets(files fs.FS) (map[string]*Asset, error) {
	entries, err := fs.ReadDir(files, servedDir)
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	assets := map[string]*Asset{}
	for _, entry := range entries {
		body, err := fs.ReadFile(files, path.Join(servedDir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("static files: %w", err)
		}
		if assets[entry.Name()], err = newAsset(entry.Name(), body); err != nil {
			return nil, fmt.Errorf("static files: %w", err)
		}
	}
	return assets, nil
}

// newAsset prepares one static file for serving. It is compressed when a client first asks for
// that.
func newAsset(name string, body []byte) (*Asset, error) {
	ext := path.Ext(name)
	contentType := contentTypes[ext]
	if contentType == "" {
		return nil, fmt.Errorf("%s: no content type is known for %q", name, ext)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:8])
	return &Asset{
		Name:    strings.TrimSuffix(name, ext) + "." + hash + ext,
		Type:    contentType,
		Hash:    hash,
		Body:    body,
		Gzipped: sync.OnceValue(func() []byte { return compress(body) }),
	}, nil
}

func compress(plain []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
	_, _ = w.Write(plain)                                   // a buffer takes all
	_ = w.Close()
	return out.Bytes()
}

// Static returns the static files by the names that they are served under.
func (r *Renderer) Static() map[string]Asset {
	byName := make(map[string]Asset, len(r.assets))
	for _, a := range r.assets {
		byName[a.Name] = *a
	}
	return byName
}
