package pages

import (
	"errors"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/history"
	"muster/templates"
)

func (d *Door) groupsPage(_ *gin.Context, of *visit) (templates.Page, error) {
	v := templates.ParseView(of.params)
	err := of.params.Err()
	if err != nil {
		return nil, err
	}
	if err = d.step(of, grouping.EventQuery{Matchers: v.Matchers, Words: v.Words, Source: v.Source, Receiver: v.Receiver}); err != nil {
		return nil, err
	}
	site := of.site
	if of.isBeforeHistory() {
		return templates.NewBeforePage(site, v.Page), nil
	}
	if site.Mutes, err = of.state.SummarizeMutes(of.ctx, v.OfSuppressed().ListQuery()); err != nil {
		return nil, err
	}
	var p *templates.GroupsPage
	if len(v.By) == 0 {
		p, err = of.listPage(v)
	} else {
		p, err = of.byPage(v)
	}
	if err != nil || !v.LeavesOutOthers() {
		return p, err
	}
	return p, of.addOthers(p, v)
}

// addOthers adds the line about the groups that a list of firing groups leaves out.
func (of *visit) addOthers(p *templates.GroupsPage, v templates.View) error {
	var unreported, closed grouping.GroupPage
	q := v.OfUnreported().ListQuery()
	q.Limit = 1
	var err error
	if of.site.Totals.WithoutHeartbeats.Groups[grouping.StateUnreported] > 0 {
		unreported, err = of.state.List(of.ctx, q)
	}
	if q.Closed = true; err == nil && unreported.Total > 0 {
		closed, err = of.state.List(of.ctx, q)
	}
	p.AddOthers(of.site, v, unreported.Total, closed.Total)
	return err
}

func (of *visit) listPage(v templates.View) (*templates.GroupsPage, error) {
	page, err := of.state.List(of.ctx, v.ListQuery())
	if err != nil {
		return nil, err
	}
	of.site.BeforeOf = func(g *grouping.AlertGroup) (history.Before, bool) {
		return of.past.ListedBefore(of.ctx, g, of.site.Now)
	}
	p := templates.NewGroupsPage(of.site, v, page)
	if err := of.countAcknowledged(p, v, page.Total); err != nil {
		return nil, err
	}
	if len(page.Groups) > 0 || len(v.Matchers) == 0 {
		return p, nil
	}
	return p, of.suggest(p, v)
}

// countAcknowledged says how many groups of the view are acknowledged, if the page says so.
func (of *visit) countAcknowledged(p *templates.GroupsPage, v templates.View, total int) error {
	switch {
	case !p.CountsAcknowledged(v):
		p.SetAcknowledged(of.site, v, total, 0)
	case of.site.Totals.WithoutHeartbeats.Acknowledged == 0 && len(p.Acked) == 0:
		p.SetAcknowledged(of.site, v, total, 0)
	default:
		q := v.ListQuery()
		q.Ack, q.Limit, q.Cursor = grouping.AckYes, 1, ""
		acknowledged, err := of.state.List(of.ctx, q)
		if err != nil {
			return err
		}
		p.SetAcknowledged(of.site, v, total, acknowledged.Total)
	}
	return nil
}

// suggest adds a filter that matches something to a page whose filter matches nothing.
func (of *visit) suggest(p *templates.GroupsPage, v templates.View) (err error) {
	p.Suggest(of.site, v, templates.Known{
		LabelValues: func(name string) []string {
			values, failed := of.state.LabelValues(of.ctx, name)
			err = errors.Join(err, failed)
			return values
		},
		Selects: func(q grouping.ListQuery) bool {
			selects, failed := of.state.Selects(of.ctx, q)
			err = errors.Join(err, failed)
			return selects
		},
	})
	return err
}

func (of *visit) byPage(v templates.View) (*templates.GroupsPage, error) {
	groups, err := of.state.All(of.ctx)
	if err != nil {
		return nil, err
	}
	q := v.ListQuery()
	selected := q.Select(groups)
	p := templates.NewByPage(of.site, v, selected)
	if len(selected) == 0 {
		err = of.suggest(p, v)
	}
	return p, err
}
