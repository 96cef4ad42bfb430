package pages

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
	"muster/templates"
)

// redirectToGroup redirects from a notification template to the page of the
// group. A template knows the receiver and the group labels, but not the group
// key.
func (d *Door) redirectToGroup(c *gin.Context) {
	params := query.Parse(c.Request.URL.RawQuery)
	// Alertmanager also quotes the receiver's name in templates.
	receiver, source := grouping.UnquoteReceiver(params.Text("receiver")), params.Text("source")
	want := params.Labels("l")
	if err := params.Err(); err != nil {
		d.failPage(c, err)
		return
	}
	groups, err := d.Groups.Find(c.Request.Context(), receiver, want)
	if err != nil {
		d.failPage(c, err)
		return
	}
	ofSource := grouping.ListQuery{Source: source}
	groups = ofSource.Select(groups)
	target := d.links.Groups(templates.LabelsView(want, source, receiver))
	if len(groups) > 0 && !slices.ContainsFunc(groups, func(g *grouping.AlertGroup) bool { return g.Source != groups[0].Source }) {
		target = d.links.Group(groups[0].ID) // with several sources, the list names each
	}
	c.Redirect(http.StatusFound, target)
}
