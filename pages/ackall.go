package pages

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
	"muster/templates"
)

// ackAllPage asks whether a person acknowledges all groups of a view.
func (d *Door) ackAllPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseView(params)
	if err := params.Err(); err != nil {
		return nil, err
	}
	if v.Err != nil {
		return nil, &query.Error{Problems: []query.Problem{{Parameter: "filter", Sentence: v.Err.Brief()}}}
	}
	all, err := d.Groups.All(c.Request.Context())
	if err != nil {
		return nil, err
	}
	// Only firing groups wait for somebody.
	waiting := slices.DeleteFunc(slices.Clone(all), func(g *grouping.AlertGroup) bool {
		return g.Counts.Firing == 0 || g.IsAcknowledged(site.Now) || !v.Filtered() && grouping.IsHeartbeatGroup(d.opts.Groups.Heartbeats, g)
	})
	q := v.ListQuery()
	q.Cursor, q.Limit = "", templates.MaxAckAll
	page, err := grouping.List(waiting, q)
	if err != nil {
		return nil, err
	}
	return templates.NewAckAllPage(site, v, page.Groups, page.Total), nil
}

// ackAll acknowledges the groups of a form.
func (d *Door) ackAll(c *gin.Context) {
	form := c.Request.PostForm
	by, err := d.People.Writer(c.Request, form.Get("by"))
	if err != nil {
		d.refuseAckAll(c, err)
		return
	}
	until, err := parseUntil(form.Get("until"), time.Now())
	if err != nil {
		d.refuseAckAll(c, err)
		return
	}
	acknowledged, gone := 0, 0
	var left []*grouping.AlertGroup
	for _, value := range form["group"][:min(len(form["group"]), templates.MaxAckAll)] {
		id, episode, ok := templates.ParseAckAllRow(value)
		if !ok {
			continue
		}
		_, err := d.Groups.Acknowledge(c.Request.Context(), id, grouping.AckRequest{
			By: by, Note: formText(form.Get("note")), Until: until, Episode: episode,
		})
		over, isOver := errors.AsType[*grouping.EpisodeOverError](err)
		switch {
		case err == nil:
			acknowledged++
		case isOver:
			left = append(left, over.Group)
		case errors.Is(err, grouping.ErrGroupNotFound):
			gone++
		default:
			d.refuseAckAll(c, err)
			return
		}
	}
	d.remember(c, by)
	if len(left)+gone == 0 {
		c.Redirect(http.StatusSeeOther, d.listOf(form.Get("list")))
		return
	}
	d.uncachedPageHandler(func(_ *gin.Context, site *templates.Site) (templates.Page, error) {
		return templates.NewAckedPage(site, viewOf(form.Get("list")), acknowledged, left, gone), nil
	})(c)
}

// viewOf returns the view of a list whose query a form posted.
func viewOf(text string) templates.View {
	return templates.ParseView(query.Parse(strings.TrimPrefix(text, "?")))
}

// refuseAckAll answers with the same groups and what the person typed. Those that are
// acknowledged already are acknowledged once more, which changes nothing.
func (d *Door) refuseAckAll(c *gin.Context, err error) {
	status, says := d.refusal(c, err)
	form := c.Request.PostForm
	kept := templates.PersonInput{Name: form.Get("by"), Text: form.Get("note"), Until: form.Get("until")}
	d.uncachedPageHandler(func(c *gin.Context, site *templates.Site) (templates.Page, error) {
		var groups []*grouping.AlertGroup
		for _, value := range form["group"] {
			id, episode, ok := templates.ParseAckAllRow(value)
			g, err := d.Groups.Get(c.Request.Context(), id)
			if ok && err == nil && g.Opened == episode {
				groups = append(groups, g)
			}
		}
		return templates.NewAckAllAgain(site, viewOf(form.Get("list")), groups, status, says, kept), nil
	})(c)
}
