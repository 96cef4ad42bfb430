package pages

import (
	"errors"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
	"muster/templates"
)

// maxGroupEvents is the maximum number of events that the page of a group reads.
const maxGroupEvents = 500

func (d *Door) groupPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	ctx := c.Request.Context()
	id := grouping.ID(c.Param("id"))
	if !id.Valid() {
		return templates.NewNotFoundPage(site), nil
	}
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseGroupView(params)
	if err := params.Err(); err != nil {
		return nil, err
	}
	events, err := d.groups.Events(ctx, grouping.EventQuery{Group: id, Limit: maxGroupEvents})
	if err != nil {
		return nil, err
	}
	g, err := d.groups.Get(ctx, id)
	switch {
	case errors.Is(err, grouping.ErrGroupNotFound):
		return templates.NewGonePage(site, id, "", events.Events), nil
	case err != nil:
		return nil, err
	}
	return templates.NewGroupPage(site, v, g, events.Events), nil
}
