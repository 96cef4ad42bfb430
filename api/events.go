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
		d.respondEvents(c, id)
	}
}

func (d *Door) serveEvents(c *gin.Context) { d.respondEvents(c, "") }

func (d *Door) respondEvents(c *gin.Context, id grouping.ID) {
	params := query.Parse(c.Request.URL.RawQuery)
	asked := params.Events(time.Now())
	if asked.Group = id; id == "" {
		asked.Group = params.GroupID("group")
	}
	if err := queryError(params, &asked.Filter); err != nil {
		reply.Error(c, d.logger, err)
		return
	}
	page, err := d.groups.Events(c.Request.Context(), asked.Query(nil))
	if err != nil {
		reply.Error(c, d.logger, err)
		return
	}
	d.streamJSON(c, eventsSize(page.Events), func(out *jsonStream) {
		out.writeRaw(`{"events":[`)
		for i := range page.Events {
			if out.failed() {
				return
			}
			out.writeComma(i)
			out.writeValue(viewEvent(&page.Events[i]))
		}
		out.writeRaw("]")
		out.writeNext(page.Next)
	})
}
