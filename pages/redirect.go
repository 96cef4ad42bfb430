package pages

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// redirectWithoutSlash redirects to the same address without the slash at its
// end.
func (d *Door) redirectWithoutSlash(c *gin.Context) {
	path := strings.TrimPrefix(c.Request.URL.EscapedPath(), d.opts.RoutePrefix)
	redirect(c, d.links.Prefix+strings.TrimRight(path, "/"))
}

// redirectHome redirects to the list of groups.
func (d *Door) redirectHome(c *gin.Context) { redirect(c, d.links.Home()) }

// redirect redirects to a path and keeps the query. The webhook never
// redirects, because Alertmanager would follow with an empty GET.
func redirect(c *gin.Context, path string) {
	if c.Request.URL.RawQuery != "" {
		path += "?" + c.Request.URL.RawQuery
	}
	c.Redirect(http.StatusFound, path)
}
