package api

import (
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
	"muster/internal/reply"
)

func (d *Door) serveGroupEvents(c *gin.Context) {
	if id, ok := groupIDParam(c); ok {
		d.respondEvents(c, id, "group-"+string(id)+"-events")
	}
}

func (d *Door) serveEvents(c *gin.Context) { d.respondEvents(c, "", "events") }

// respondEvents answers with events of a group, or of all groups. name is the name of the file
// if they are exported.
func (d *Door) respondEvents(c *gin.Context, id grouping.ID, name string) {
	params := query.Parse(c.Request.URL.RawQuery)
	now := time.Now()
	asked, format, follow := params.Events(now), params.Format(), params.Follow()
	if asked.Group = id; id == "" {
		asked.Group = params.GroupID("group")
	}
	if err := queryError(params, &asked.Filter); err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	if follow {
		d.followEvents(c, asked.Query(nil), now)
		return
	}
	if format != query.FormatJSON {
		d.exportEvents(c, asked.Query(nil), format, name)
		return
	}
	page, err := d.Groups.Events(c.Request.Context(), asked.Query(nil))
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	d.streamJSON(c, eventsSize(page.Events), func(out *jsonStream) {
		out.writeRaw(`{"events":[`)
		for i := range page.Events {
			if out.failed() {
				return
			}
			out.writeComma(i)
			out.writeEvent(&page.Events[i])
		}
		out.writeRaw("]")
		out.writeNext(page.Next)
	})
}
