package api

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/promslog"

	"muster/grouping"
	"muster/internal/reply"
)

// The API of Alertmanager, answered from what Muster knows, so that its clients still see the
// alerts after a restart of Alertmanager. It adds nothing to Alertmanager's JSON: clients decode it
// strictly. Only changes of silences are passed on to Alertmanager.

const (
	v2Path       = "/api/v2"
	v2SourcePath = "/source/:source" + v2Path
)

// v2Routes adds the routes of Alertmanager's API: for all sources, and for one.
func (d *Door) v2Routes(r gin.IRouter) {
	for _, path := range []string{v2Path, v2SourcePath} {
		v2 := r.Group(path, d.Readers.Admit, d.admitSource)
		reply.Get(v2, "/status", d.serveV2Status)
		reply.Get(v2, "/receivers", d.serveV2Receivers)
		reply.Get(v2, "/alerts", d.serveV2Alerts)
		reply.Get(v2, "/alerts/groups", d.serveV2Groups)
		reply.Get(v2, "/silences", d.serveV2Silences)
		reply.Get(v2, "/silence/:id", d.serveV2Silence)
		v2.POST("/silences", d.passV2Silence)
		v2.DELETE("/silence/:id", d.passV2Expiry)
		reply.Get(v2, "/:unknown", serveV2Unknown)
		reply.Get(v2, "/:unknown/:path", serveV2Unknown)
	}
}

// v2Fail answers with an error in the form that Alertmanager's framework has. The errors of its
// own code are only texts.
func v2Fail(c *gin.Context, code, number int, message string) {
	c.AbortWithStatusJSON(code, gin.H{"code": number, "message": message})
}

// v2FailText answers with an error in the form that Alertmanager's own code has.
func v2FailText(c *gin.Context, code int, text string) {
	var e encoder
	e.quote(text)
	c.Data(code, "application/json", append(e.text, '\n'))
	c.Abort()
}

// serveV2Unknown answers a request for a path that Alertmanager's API does not have.
func serveV2Unknown(c *gin.Context) {
	v2Fail(c, http.StatusNotFound, http.StatusNotFound, "path "+c.Request.URL.Path+" was not found")
}

// admitSource is a middleware. It answers 404 for a source that Muster does not know. Like
// Alertmanager, it forbids caching.
func (d *Door) admitSource(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	source := c.Param("source")
	if source == "" {
		return
	}
	reports, err := d.Groups.SourceReports(c.Request.Context())
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	if !slices.ContainsFunc(reports, func(r grouping.SourceReport) bool { return r.Source == source }) {
		v2Fail(c, http.StatusNotFound, http.StatusNotFound, "source "+reply.Quoted(source)+" was not found")
	}
}

// v2Params are the query parameters of a request, read as Alertmanager reads them: an unknown
// one is ignored, of a repeated one the last counts, and whatever is not true is false.
type v2Params struct {
	values url.Values
	err    error // the first problem
}

func parseV2Params(c *gin.Context) *v2Params {
	values, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		err = fmt.Errorf("the query cannot be read: %w", err)
	}
	return &v2Params{values, err}
}

func (p *v2Params) last(name string) string {
	if all := p.values[name]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// v2True are the texts that Alertmanager reads as true.
var v2True = []string{"true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"}

// allows returns a parameter that is true if it is missing.
func (p *v2Params) allows(name string) bool {
	text := p.last(name)
	return text == "" || slices.Contains(v2True, strings.ToLower(text))
}

// parseV2Matcher parses as Alertmanager does in its default mode.
var parseV2Matcher = compat.FallbackMatcherParser(promslog.NewNopLogger())

func (p *v2Params) matchers(name, problem string) (ms labels.Matchers) {
	for _, text := range p.values[name] {
		m, err := parseV2Matcher(text, "api")
		if err != nil {
			p.fail("%s%w", problem, err)
			return nil
		}
		ms = append(ms, m)
	}
	return ms
}

func (p *v2Params) receiver() *regexp.Regexp {
	text := p.last("receiver")
	if text == "" {
		return nil
	}
	re, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		p.fail("failed to parse receiver param: %w", err)
	}
	return re
}

func (p *v2Params) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// answered reports whether the parameters have a problem, and answers with it.
func (p *v2Params) answered(c *gin.Context) bool {
	if p.err != nil {
		v2FailText(c, http.StatusBadRequest, p.err.Error())
	}
	return p.err != nil
}

// v2Time is how Alertmanager writes times.
const v2Time = "2006-01-02T15:04:05.000Z07:00"

func (e *encoder) v2Time(before string, at time.Time) {
	e.raw(before)
	e.raw(`"`)
	e.text = at.UTC().AppendFormat(e.text, v2Time)
	e.raw(`"`)
}

// list appends a field with texts.
func (e *encoder) list(before string, texts []string) {
	e.raw(before)
	e.raw("[")
	for i, text := range texts {
		if i > 0 {
			e.raw(",")
		}
		e.quote(text)
	}
	e.raw("]")
}
