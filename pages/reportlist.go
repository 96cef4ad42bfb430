package pages

import (
	"github.com/gin-gonic/gin"

	"muster/internal/query"
	"muster/templates"
)

// reportListPage lists what a number of a report counts.
func (d *Door) reportListPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseCountedView(params, site.Now)
	if err := params.Err(); err != nil {
		return nil, err
	}
	counted, err := d.Past.Counted(c.Request.Context(), v.CountedQuery())
	if err != nil {
		return nil, err
	}
	return templates.NewReportListPage(site, v, counted), nil
}
