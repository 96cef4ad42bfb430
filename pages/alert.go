package pages

import (
	"errors"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
	"muster/templates"
)

// maxAlertEvents is the maximum number of events that the page of an alert reads.
const maxAlertEvents = 100

func (d *Door) alertPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	ctx := c.Request.Context()
	fp := grouping.Fingerprint(c.Param("fingerprint"))
	if !fp.Valid() {
		return templates.NewNotFoundPage(site), nil
	}
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseAlertView(params)
	q := grouping.EventQuery{Fingerprint: fp, Limit: maxAlertEvents, Source: v.Source, Receiver: v.Receiver}
	if err := params.Err(); err != nil {
		return nil, err
	}
	groups, err := d.groups.ByFingerprint(ctx, fp)
	if err != nil && !errors.Is(err, grouping.ErrGroupNotFound) {
		return nil, err
	}
	narrowed := grouping.ListQuery{Source: q.Source, Receiver: q.Receiver}
	groups = narrowed.Select(groups)
	if len(groups) == 1 {
		q.Group = groups[0].ID // the history of one group is faster to search
	}
	events, err := d.groups.Events(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case len(groups) == 0:
		return templates.NewGonePage(site, "", fp, events.Events), nil
	}
	return templates.NewAlertPage(site, v, fp, groups, events.Events), nil
}
