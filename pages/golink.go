package pages

import (
	"maps"
	"net/http"
	"strings"

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
	want := grouping.Labels{}
	for _, pair := range params.All("l") {
		name, value, _ := strings.Cut(pair, "=")
		want[name] = value
	}
	if err := params.Err(); err != nil {
		d.failPage(c, err)
		return
	}
	groups, err := d.groups.AllGroups(c.Request.Context())
	if err != nil {
		d.failPage(c, err)
		return
	}
	var best *grouping.AlertGroup
	sources := map[string]bool{}
	for _, g := range groups {
		if source != "" && g.Source != source || g.Receiver != receiver || !maps.Equal(g.GroupLabels, want) {
			continue
		}
		if sources[g.Source] = true; best == nil || moreLikely(g, best) {
			best = g
		}
	}
	target := d.links.Groups(templates.LabelsView(want, source, receiver))
	if len(sources) == 1 { // several sources: the list names each
		target = d.links.Group(best.ID)
	}
	c.Redirect(http.StatusFound, target)
}

// moreLikely reports whether a is more likely the group of the notification. It
// prefers the group that is firing, then the group with the newest
// notification.
func moreLikely(a, b *grouping.AlertGroup) bool {
	if (a.Counts.Firing > 0) != (b.Counts.Firing > 0) {
		return a.Counts.Firing > 0
	}
	return a.LastNotifiedAt.After(b.LastNotifiedAt)
}
