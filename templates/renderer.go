package templates

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"
)

//go:embed html
var htmlFiles embed.FS

// ContentSecurityPolicy is the policy that the pages are written for: nothing
// inline, nothing from elsewhere.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Page is what a Renderer renders: one of this package's page structs.
type Page interface {
	// Code is the HTTP status to answer with.
	Code() int

	templateName() string
}

func (*GroupsPage) templateName() string  { return "groups" }
func (*GroupPage) templateName() string   { return "group" }
func (*AlertPage) templateName() string   { return "alert" }
func (*HistoryPage) templateName() string { return "history" }
func (*StatusPage) templateName() string  { return "status" }
func (*HelpPage) templateName() string    { return "help" }
func (*ProblemPage) templateName() string { return "problem" }

// Renderer renders pages. It is safe for concurrent use.
type Renderer struct {
	prefix string
	pages  map[string]*template.Template
	assets map[string]*asset
	rows   rowCache
}

// shared are the files that every page builds upon.
var sharedFiles = []string{"html/layout.html", "html/blocks.html"}

// New parses every template and reads the static files, which are served
// under the prefix (see NewLinks).
func New(prefix string) (*Renderer, error) {
	assets, err := loadAssets(staticFiles)
	if err != nil {
		return nil, err
	}
	r := &Renderer{prefix: NewLinks("", prefix).Prefix, pages: map[string]*template.Template{}, assets: assets}
	funcs := template.FuncMap{"static": r.assetURL, "rowHead": r.rows.get}
	base, err := template.New("layout").Funcs(funcs).Option("missingkey=error").ParseFS(htmlFiles, sharedFiles...)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	compact(base)
	if r.rows.template, err = base.Clone(); err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	files, err := fs.Glob(htmlFiles, "html/*.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	for _, file := range files {
		if file == sharedFiles[0] || file == sharedFiles[1] {
			continue
		}
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(htmlFiles, file)
		}
		if err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
		compact(t)
		r.pages[strings.TrimSuffix(path.Base(file), ".html")] = t
	}
	for _, p := range []Page{&GroupsPage{}, &GroupPage{}, &AlertPage{}, &HistoryPage{}, &StatusPage{}, &HelpPage{}, &ProblemPage{}} {
		// Escaping is decided at the first execution: a template that cannot be
		// made safe fails here, and not before a reader.
		if _, err := r.Render(p); err != nil {
			return nil, err
		}
	}
	if _, err := r.rows.get(GroupRow{}); err != nil {
		return nil, err
	}
	return r, nil
}

// static is the address of a static file.
func (r *Renderer) assetURL(name string) (string, error) {
	a := r.assets[name]
	if a == nil {
		return "", fmt.Errorf("no static file %q", name)
	}
	return r.prefix + "/" + staticDir + "/" + a.name, nil
}

// Render returns the page as HTML, whole or not at all.
func (r *Renderer) Render(p Page) ([]byte, error) {
	t := r.pages[p.templateName()]
	if t == nil {
		return nil, fmt.Errorf("templates: no page %q", p.templateName())
	}
	b, _ := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if err := t.ExecuteTemplate(b, "layout", p); err != nil {
		return nil, fmt.Errorf("templates: %s: %w", p.templateName(), err)
	}
	return bytes.Clone(b.Bytes()), nil
}

// A full page is some 100 KiB: what it is written into is used again.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
