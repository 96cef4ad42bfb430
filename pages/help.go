package pages

import (
	"github.com/gin-gonic/gin"

	"muster/templates"
)

func helpPage(_ *gin.Context, site *templates.Site) (templates.Page, error) {
	return templates.NewHelpPage(site), nil
}
