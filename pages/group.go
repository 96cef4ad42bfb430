package pages

import (
	"errors"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/templates"
)

// maxGroupEvents is the maximum number of events that the page of a group reads.
const maxGroupEvents = 500

func (d *Door) groupPage(c *gin.Context, of *visit) (templates.Page, error) {
	id := grouping.ID(c.Param("id"))
	if !id.Valid() {
		return templates.NewNotFoundPage(of.site), nil
	}
	v := templates.ParseGroupView(of.params)
	if err := of.params.Err(); err != nil {
		return nil, err
	}
	id = d.idThen(of, id)
	if err := d.step(of, grouping.EventQuery{Group: id}); err != nil {
		return nil, err
	}
	if of.isBeforeHistory() {
		return templates.NewBeforePage(of.site, v.Page(id)), nil
	}
	events, err := d.Groups.Events(of.ctx, of.upToNow(grouping.EventQuery{Group: id, Limit: maxGroupEvents}))
	if err != nil {
		return nil, err
	}
	g, err := of.state.Get(of.ctx, id)
	switch {
	case errors.Is(err, grouping.ErrGroupNotFound):
		return templates.NewGonePage(of.site, id, "", events.Events), nil
	case err != nil:
		return nil, err
	}
	p := templates.NewGroupPage(of.site, v, g, events.Events)
	before, err := d.Past.GroupBefore(of.ctx, g, of.newest(&events), of.site.Now)
	if err != nil {
		return nil, err
	}
	p.SetBefore(of.site, v, g.ID, &before)
	return p, nil
}

// idThen returns the ID that a group had at the time of the visit. It had another one while only
// the API told of it. Links of today have the new one.
func (d *Door) idThen(of *visit, id grouping.ID) grouping.ID {
	if of.site.Past == nil {
		return id
	}
	if _, err := of.state.Get(of.ctx, id); !errors.Is(err, grouping.ErrGroupNotFound) {
		return id
	}
	if now, err := d.Groups.Get(of.ctx, id); err == nil {
		if then, err := of.state.Get(of.ctx, now.UnkeyedID()); err == nil {
			return then.ID
		}
	}
	return id
}
