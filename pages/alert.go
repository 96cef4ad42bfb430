package pages

import (
	"errors"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/templates"
)

// maxAlertEvents is the maximum number of events that the page of an alert reads.
const maxAlertEvents = 100

func (d *Door) alertPage(c *gin.Context, of *visit) (templates.Page, error) {
	fp := grouping.Fingerprint(c.Param("fingerprint"))
	if !fp.Valid() {
		return templates.NewNotFoundPage(of.site), nil
	}
	v := templates.ParseAlertView(of.params)
	q := grouping.EventQuery{Fingerprint: fp, Limit: maxAlertEvents, Source: v.Source, Receiver: v.Receiver}
	if err := of.params.Err(); err != nil {
		return nil, err
	}
	groups, err := of.state.ByFingerprint(of.ctx, fp)
	if err != nil && !errors.Is(err, grouping.ErrGroupNotFound) {
		return nil, err
	}
	narrowed := grouping.ListQuery{Source: q.Source, Receiver: q.Receiver}
	groups = narrowed.Select(groups)
	if err := d.step(of, q); err != nil {
		return nil, err
	}
	if of.isBeforeHistory() {
		return templates.NewBeforePage(of.site, v.Page(fp)), nil
	}
	if len(groups) == 1 {
		q.Group = groups[0].ID // the history of one group is faster to search
	}
	events, err := d.Groups.Events(of.ctx, of.upToNow(q))
	switch {
	case err != nil:
		return nil, err
	case len(groups) == 0:
		return templates.NewGonePage(of.site, "", fp, events.Events), nil
	}
	p := templates.NewAlertPage(of.site, v, fp, groups, events.Events)
	var before []templates.SourceBefore
	for source, own := range grouping.BySource(groups) {
		b, err := d.Past.AlertBefore(of.ctx, fp, own, of.newest(&events), of.site.Now)
		if err != nil {
			return nil, err
		}
		before = append(before, templates.SourceBefore{Source: source, Before: b})
	}
	p.SetBefore(of.site, v, fp, before)
	return p, nil
}
