// Command compact writes the static files as they are served, without comments and white space.
// Run it with `go generate ./templates` after a change of a source. Muster itself does not compact
// anything: that would take time at each start, and memory for a minifier.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/css"
	"github.com/tdewolff/minify/v2/js"
)

// minifiers compact static files, so that their sources can be written to be
// read. Names in scripts stay: a stack trace in a browser's console names the
// functions of the source.
var minifiers = map[string]minify.Minifier{
	".css": &css.Minifier{},
	".js":  &js.Minifier{KeepVarNames: true, Version: 2022},
}

func main() {
	if err := run("static", "served"); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run writes the files of one folder to another one, which then has no other files.
func run(from, to string) error {
	files, err := compactAll(from)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(to, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// compactAll returns the files of a folder as they are served.
func compactAll(folder string) (map[string][]byte, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		source, err := os.ReadFile(filepath.Join(folder, entry.Name())) //nolint:gosec // G304: the folder is ours
		if err != nil {
			return nil, err
		}
		if files[entry.Name()], err = compact(filepath.Ext(entry.Name()), source); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
	}
	return files, nil
}

// compact removes comments and white space from a style sheet or a script.
// Other files stay as they are. A script with a syntax error is an error.
func compact(ext string, source []byte) ([]byte, error) {
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
