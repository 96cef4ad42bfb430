package pages

import (
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/common/version"

	"muster/internal/limit"
	"muster/templates"
)

func (d *Door) statusPage(_ *gin.Context, site *templates.Site) (templates.Page, error) {
	return templates.NewStatusPage(site, templates.StatusInput{
		Build: []templates.Fact{
			{Name: "Version", Value: version.Version},
			{Name: "Revision", Value: version.GetRevision()},
			{Name: "Go", Value: version.GoVersion},
		},
		Settings: d.settings(), Limits: d.limitRows(), Rejected: d.rejections(),
		Problems: d.Problems(), Listeners: d.Live.Clients(),
	}), nil
}

func (d *Door) settings() []templates.Fact {
	facts := make([]templates.Fact, 0, len(d.opts.Settings))
	for _, setting := range d.opts.Settings {
		facts = append(facts, templates.Fact{Name: setting.Name, Value: setting.Value})
	}
	return facts
}

// limitRows returns the limits of the domain and those of the doors.
func (d *Door) limitRows() []templates.Limit {
	rows := []templates.Limit{
		{Name: "Groups", Value: groupLimit(d.opts.Groups.MaxGroups), TimesReached: d.Limits.TimesReached(limit.Full)},
		{Name: "Alerts in a group", Value: groupLimit(d.opts.Groups.MaxAlerts), TimesReached: d.Limits.TimesReached(limit.AlertsOfGroup)},
	}
	for _, row := range d.Limits.Rows() {
		value := strconv.FormatInt(row.Maximum, 10)
		if row.Unit == limit.Bytes {
			value = bytesText(row.Maximum)
		}
		rows = append(rows, templates.Limit{Name: row.Title, Value: value, TimesReached: row.Reached})
	}
	return rows
}

// groupLimit formats a limit of the domain, where 0 means no limit.
func groupLimit(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n)
}

func (d *Door) rejections() []templates.Rejection {
	var rows []templates.Rejection
	for _, r := range d.Limits.Rejections() {
		rows = append(rows, templates.Rejection{At: r.At, From: r.From, Status: r.Code, Reason: r.Text, Times: r.Times})
	}
	return rows
}

// bytesText formats a size in the largest unit that gives a whole number.
func bytesText(n int64) string {
	const kibi, mebi = 1 << 10, 1 << 20
	switch {
	case n >= mebi && n%mebi == 0:
		return strconv.FormatInt(n/mebi, 10) + " MiB"
	case n >= kibi && n%kibi == 0:
		return strconv.FormatInt(n/kibi, 10) + " KiB"
	default:
		return strconv.FormatInt(n, 10) + " bytes"
	}
}
