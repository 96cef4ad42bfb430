package pages

import (
	"context"
	"errors"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
	"muster/templates"
)

// maxSilenceEvents is the maximum number of events about silences that the page of a silence
// reads.
const maxSilenceEvents = 500

func (d *Door) silencesPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	ctx := c.Request.Context()
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseSilencesView(params)
	err := params.Err()
	if err != nil {
		return nil, err
	}
	of := grouping.ListQuery{Source: v.Source, Mutes: &grouping.MuteQuery{}}
	if site.Mutes, err = d.Groups.SummarizeMutes(ctx, of); err != nil {
		return nil, err
	}
	var found []grouping.SilencePage
	for _, q := range v.Queries() {
		page, err := d.Groups.Silences(ctx, q)
		if err != nil {
			return nil, err
		}
		found = append(found, page)
	}
	return templates.NewSilencesPage(site, v, found), nil
}

func (d *Door) silencePage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	ctx := c.Request.Context()
	params := query.Parse(c.Request.URL.RawQuery)
	source := params.Text("source")
	if err := params.Err(); err != nil {
		return nil, err
	}
	return d.silencePageOf(ctx, site, source, c.Param("id"))
}

// silencePageOf returns the page of a silence. An empty source means any.
func (d *Door) silencePageOf(ctx context.Context, site *templates.Site, source, id string) (templates.Page, error) {
	s, err := d.Groups.Silence(ctx, source, id)
	switch {
	case errors.Is(err, grouping.ErrSilenceNotFound):
		return templates.NewNoSilencePage(site, id), nil
	case err != nil:
		return nil, err
	}
	events, err := d.Groups.Events(ctx, grouping.EventQuery{Source: s.Source, Kinds: templates.SilenceKinds(), Limit: maxSilenceEvents})
	if err != nil {
		return nil, err
	}
	return templates.NewSilencePage(site, s, events.Events), nil
}
