package templates

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"sync"
)

//go:embed html
var htmlFiles embed.FS

// Page is a page for the Renderer: one of the page structs of this package.
type Page interface {
	// Code is the HTTP status code of the response.
	Code() int

	templateName() string
}

func (*GroupsPage) templateName() string      { return "groups" }
func (*GroupPage) templateName() string       { return "group" }
func (*AlertPage) templateName() string       { return "alert" }
func (*HistoryPage) templateName() string     { return "history" }
func (*SilencesPage) templateName() string    { return "silences" }
func (*SilencePage) templateName() string     { return "silence" }
func (*SilenceFormPage) templateName() string { return "silenceform" }
func (*ReportPage) templateName() string      { return "report" }
func (*ReportListPage) templateName() string  { return "reportlist" }
func (*StatusPage) templateName() string      { return "status" }
func (*HelpPage) templateName() string        { return "help" }
func (*ProblemPage) templateName() string     { return "problem" }
func (*FormPage) templateName() string        { return "form" }
func (*AckAllPage) templateName() string      { return "ackall" }

// Renderer renders pages and has the static files. It is safe for concurrent
// use.
type Renderer struct {
	prefix string
	pages  *template.Template // has a template for each page
	assets map[string]*Asset
	rows   rowCache
}

// New parses all templates and reads the static files, which are served under the
// prefix (see NewLinks). It fails if a template cannot be rendered.
func New(prefix string) (*Renderer, error) {
	assets, err := loadAssets(servedFiles)
	if err != nil {
		return nil, err
	}
	r := &Renderer{prefix: NewLinks("", prefix).Prefix, assets: assets}
	funcs := template.FuncMap{"static": r.assetURL, "rows": r.rows.all, "pastRows": r.rows.once}
	// All pages are in one set. A set for each page would hold its own copy of what they share.
	r.pages, err = template.New("").Funcs(funcs).Option("missingkey=error").ParseFS(htmlFiles, "html/*.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	compact(r.pages)
	r.rows.template = r.pages
	for _, p := range []Page{
		&GroupsPage{}, &GroupPage{}, &AlertPage{}, &HistoryPage{}, &SilencesPage{}, &SilencePage{}, &SilenceFormPage{}, &ReportPage{},
		&ReportListPage{}, &StatusPage{}, &HelpPage{}, &ProblemPage{}, &FormPage{}, &AckAllPage{},
	} {
		// html/template checks the escaping at the first execution. An unsafe
		// template must fail at the start, not for a reader.
		if _, err := r.Render(p); err != nil {
			return nil, err
		}
	}
	if _, err := r.rows.all([]GroupRow{{Why: Phrases{{}}}}); err != nil {
		return nil, err
	}
	return r, nil
}

// assetURL returns the URL of a static file.
func (r *Renderer) assetURL(name string) (string, error) {
	a := r.assets[name]
	if a == nil {
		return "", fmt.Errorf("no static file %q", name)
	}
	return r.prefix + "/" + staticDir + "/" + a.Name, nil
}

// Render returns the page as HTML. The caller owns the result.
func (r *Renderer) Render(p Page) ([]byte, error) {
	b, _ := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if err := r.pages.ExecuteTemplate(b, p.templateName(), p); err != nil {
		return nil, fmt.Errorf("templates: %s: %w", p.templateName(), err)
	}
	return bytes.Clone(b.Bytes()), nil
}

// buffers holds the buffers that pages are rendered into. A full page has about
// 100 KiB.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
