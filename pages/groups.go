package pages

import (
	"context"
	"errors"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
	"muster/templates"
)

func (d *Door) groupsPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	ctx := c.Request.Context()
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseView(params)
	err := params.Err()
	if err != nil {
		return nil, err
	}
	if site.Mutes, err = d.groups.SummarizeMutes(ctx, v.OfSuppressed().ListQuery()); err != nil {
		return nil, err
	}
	var p *templates.GroupsPage
	if len(v.By) == 0 {
		p, err = d.listPage(ctx, site, v)
	} else {
		p, err = d.byPage(ctx, site, v)
	}
	if err != nil || !v.LeavesOutOthers() {
		return p, err
	}
	var unreported grouping.GroupPage
	if site.Totals.WithoutHeartbeats.Groups[grouping.StateUnreported] > 0 {
		q := v.OfUnreported().ListQuery()
		q.Limit = 1
		unreported, err = d.groups.List(ctx, q)
	}
	p.AddOthers(site, v, unreported.Total)
	return p, err
}

func (d *Door) listPage(ctx context.Context, site *templates.Site, v templates.View) (*templates.GroupsPage, error) {
	page, err := d.groups.List(ctx, v.ListQuery())
	if err != nil {
		return nil, err
	}
	p := templates.NewGroupsPage(site, v, page)
	if len(page.Groups) > 0 || len(v.Matchers) == 0 {
		return p, nil
	}
	return p, d.suggest(ctx, p, site, v)
}

// suggest adds a filter that matches something to a page whose filter matches nothing.
func (d *Door) suggest(ctx context.Context, p *templates.GroupsPage, site *templates.Site, v templates.View) (err error) {
	p.Suggest(site, v, templates.Known{
		LabelValues: func(name string) []string {
			values, failed := d.groups.LabelValues(ctx, name)
			err = errors.Join(err, failed)
			return values
		},
		Selects: func(q grouping.ListQuery) bool {
			selects, failed := d.groups.Selects(ctx, q)
			err = errors.Join(err, failed)
			return selects
		},
	})
	return err
}

func (d *Door) byPage(ctx context.Context, site *templates.Site, v templates.View) (*templates.GroupsPage, error) {
	groups, err := d.groups.All(ctx)
	if err != nil {
		return nil, err
	}
	q := v.ListQuery()
	selected := q.Select(groups)
	p := templates.NewByPage(site, v, selected)
	if len(selected) == 0 {
		err = d.suggest(ctx, p, site, v)
	}
	return p, err
}
