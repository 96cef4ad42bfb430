package pages

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"muster/internal/query"
	"muster/templates"
)

// reportPage makes a report. A browser keeps it for a minute: it is costly, and its numbers change
// little.
func (d *Door) reportPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseReportView(params, site.Now)
	if err := params.Err(); err != nil {
		return nil, err
	}
	ctx := c.Request.Context()
	report, err := d.Past.Report(ctx, v.Query())
	if err != nil {
		return nil, err
	}
	var failed error
	p := templates.NewReportPage(site, v, report, func(list templates.View) bool {
		fires, err := d.Groups.Selects(ctx, list.ListQuery())
		if err != nil {
			failed = err
		}
		return fires
	})
	if failed != nil {
		return nil, failed
	}
	if p.Code() == http.StatusOK {
		c.Header("Cache-Control", "max-age=60")
	}
	return p, nil
}
