package pages

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
	"muster/internal/reply"
	"muster/templates"
)

// failPage answers with a page that describes the error.
func (d *Door) failPage(c *gin.Context, err error) {
	if c.Request.Context().Err() != nil {
		reply.Cancelled(c)
		return
	}
	site := d.bareSite(c.Request)
	switch {
	case errors.Is(err, grouping.ErrBadQuery):
		d.renderPage(c, templates.NewBadQueryPage(site, problemTexts(err)))
	case errors.Is(err, grouping.ErrBusy):
		d.renderPage(c, templates.NewBusyPage(site, http.StatusServiceUnavailable))
	default:
		d.Logger.ErrorContext(c.Request.Context(), "Building a page failed", "handler", c.FullPath(), "err", err)
		d.renderPage(c, templates.NewErrorPage(site, http.StatusServiceUnavailable, reply.RequestID(c.Request.Context())))
	}
}

// problemTexts returns the problems in a grouping.ErrBadQuery, one sentence
// each.
func problemTexts(err error) []string {
	var bad *query.Error
	if !errors.As(err, &bad) {
		return []string{strings.TrimPrefix(err.Error(), grouping.ErrBadQuery.Error()+": ")}
	}
	texts := make([]string, len(bad.Problems))
	for i, p := range bad.Problems {
		texts[i] = p.String()
	}
	return texts
}

func notFoundPage(_ *gin.Context, site *templates.Site) (templates.Page, error) {
	return templates.NewNotFoundPage(site), nil
}
