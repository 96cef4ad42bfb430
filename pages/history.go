package pages

import (
	"github.com/gin-gonic/gin"

	"muster/internal/query"
	"muster/templates"
)

func (d *Door) historyPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseHistoryView(params, site.Now)
	if err := params.Err(); err != nil {
		return nil, err
	}
	events, err := d.Groups.Events(c.Request.Context(), v.EventQuery())
	if err != nil {
		return nil, err
	}
	return templates.NewHistoryPage(site, v, events), nil
}
