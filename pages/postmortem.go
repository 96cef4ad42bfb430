package pages

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/history"
	"muster/internal/query"
	"muster/internal/reply"
)

// maxPostmortemEvents is the maximum number of events in a post-mortem. With more nobody reads
// it, and /api/v1/events has all.
const maxPostmortemEvents = 5000

// servePostmortem answers with a report about one group as Markdown. Without since it is about
// the last episode.
func (d *Door) servePostmortem(c *gin.Context) {
	p := history.Postmortem{ID: grouping.ID(c.Param("id"))}
	if !p.ID.Valid() {
		reply.Fail(c, http.StatusNotFound, "group "+reply.Quoted(string(p.ID))+" not found: an ID has 20 hex digits")
		return
	}
	params, now := query.Parse(c.Request.URL.RawQuery), time.Now()
	p.Since, p.Until = params.Time("since", now), params.Time("until", now)
	if err := params.Err(); err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	if err := d.fillPostmortem(c, &p, now); err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	text := []byte(p.Markdown())
	hold, ok := d.Readers.Hold(c, int64(len(text)))
	if !ok {
		return
	}
	defer hold.Release()
	c.Header("Content-Disposition", `inline; filename="muster-postmortem-`+string(p.ID)+`.md"`)
	c.Data(http.StatusOK, "text/markdown; charset=utf-8", text)
}

// fillPostmortem reads what happened. If the group is not known and has no events, it returns
// a *grouping.GroupNotFoundError.
func (d *Door) fillPostmortem(c *gin.Context, p *history.Postmortem, now time.Time) (err error) {
	ctx := c.Request.Context()
	if p.Group, err = d.Groups.Get(ctx, p.ID); err != nil && !errors.Is(err, grouping.ErrGroupNotFound) {
		return err
	}
	unknown := err
	if p.Since.IsZero() {
		turns, err := d.Groups.Events(ctx, grouping.EventQuery{
			Group: p.ID, Until: p.Until, Kinds: []grouping.EventKind{grouping.EventOpened, grouping.EventClosed}, Limit: 2,
		})
		if err != nil {
			return err
		}
		since, until, _ := history.LastEpisode(turns.Events, now)
		if p.Since = since; p.Until.IsZero() {
			p.Until = until
		}
	}
	if p.Until.IsZero() {
		p.Until = now
	}
	q := grouping.EventQuery{Group: p.ID, Since: p.Since, Until: p.Until, Limit: grouping.MaxLimit}
	for {
		page, err := d.Groups.Events(ctx, q)
		if err != nil {
			return err
		}
		p.Events = append(p.Events, page.Events...)
		q.Cursor, p.Cut = page.Next, page.Next != ""
		if q.Cursor == "" || len(p.Events) >= maxPostmortemEvents {
			break
		}
	}
	if len(p.Events) == 0 && unknown != nil {
		return unknown
	}
	slices.Reverse(p.Events)
	if len(p.Events) > 0 && p.Since.IsZero() {
		p.Since = p.Events[0].Time
	}
	p.Gaps, err = d.Groups.Gaps(ctx, p.Since, p.Until)
	return err
}
