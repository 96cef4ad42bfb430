package api

import (
	"strconv"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
)

// groupColumns are the columns of groups as CSV, in the words of the JSON.
var groupColumns = []string{
	"id", "source", "receiver", "groupKey", "groupLabels", "commonLabels", "commonAnnotations", "routeLabels", "externalURL", "state",
	"settling", "stale", "truncated", "firing", "resolved", "suppressed", "unreported", "createdAt", "updatedAt", "lastNotifiedAt",
	"resolvedAt", "notifications", "lastReason", "version",
	"ackBy", "ackAt", "ackUntil", "ackNote", "newSince", "closedBy", "notes",
}

// exportGroups answers with the groups that the query selects at a moment.
func (d *Door) exportGroups(c *gin.Context, m moment, q grouping.ListQuery, format query.Format, withAlerts bool) {
	list := func(q grouping.ListQuery) (grouping.GroupPage, error) { return m.List(c.Request.Context(), q) }
	d.export(c, format, tableOrLines{
		name: "groups", columns: groupColumns,
		table: func(out *csvStream) {
			out.enc.now = m.time()
			out.fail(eachGroup(q, list, func(g *grouping.AlertGroup) bool {
				out.writeGroup(g)
				return !out.failed()
			}))
		},
		lines: func(out *jsonStream) {
			out.enc.mutes, out.enc.now = m.details(d.Groups), m.time()
			out.fail(eachGroup(q, list, func(g *grouping.AlertGroup) bool {
				var alerts []*grouping.Alert
				if withAlerts {
					alerts = g.Alerts
				}
				out.writeGroup(g, alerts)
				out.endLine()
				return !out.failed()
			}))
		},
	})
}

// eachGroup calls write with all groups that the query selects, until it returns false. It
// lists a page at a time, so old states of groups do not stay in memory for a slow client.
func eachGroup(
	q grouping.ListQuery, list func(grouping.ListQuery) (grouping.GroupPage, error), write func(*grouping.AlertGroup) bool,
) error {
	left := q.Limit
	q.NoTotal = true
	for {
		q.Limit = grouping.MaxLimit
		if left > 0 {
			q.Limit = min(left, grouping.MaxLimit)
		}
		page, err := list(q)
		if err != nil {
			return err
		}
		for _, g := range page.Groups {
			if !write(g) {
				return nil
			}
		}
		if left -= len(page.Groups); left == 0 || page.Next == "" {
			return nil
		}
		q.Cursor = page.Next
	}
}

// writeGroup writes the row of a group.
func (o *csvStream) writeGroup(g *grouping.AlertGroup) {
	o.writeText(string(g.ID))
	o.writeText(g.Source)
	o.writeText(g.Receiver)
	o.writeText(g.GroupKey)
	o.writeLabels(g.GroupLabels)
	o.writeLabels(g.CommonLabels)
	o.writeLabels(g.CommonAnnotations)
	o.writeLabels(g.RouteLabels)
	o.writeText(g.ExternalURL)
	o.writeText(string(g.State))
	o.writeBool(g.Settling)
	o.writeBool(g.Stale)
	o.writeInt(int64(g.Truncated)) //nolint:gosec // G115: a number of alerts
	o.writeInt(int64(g.Counts.Firing))
	o.writeInt(int64(g.Counts.Resolved))
	o.writeInt(int64(g.Counts.Suppressed))
	o.writeInt(int64(g.Counts.Unreported))
	o.writeTime(g.CreatedAt)
	o.writeTime(g.UpdatedAt)
	o.writeTime(g.LastNotifiedAt)
	o.writeTime(g.ResolvedAt())
	o.writeInt(g.Notifications)
	o.writeText(g.LastReason)
	o.writeInt(g.Version)
	o.writePeople(g)
	o.endRow()
}

// writePeople writes the cells about what people wrote. Those of an acknowledgement are empty
// if no acknowledgement counts.
func (o *csvStream) writePeople(g *grouping.AlertGroup) {
	if a := viewAck(g, o.enc.now); a != nil {
		o.writeText(a.By)
		o.writeTime(a.At)
		o.writeTime(a.Until)
		o.writeText(a.Note)
		o.writeInt(int64(a.NewSince))
	} else {
		for range 5 {
			o.writeText("")
		}
	}
	closedBy, notes := "", ""
	if g.ClosedBy != nil {
		closedBy = g.ClosedBy.Name
	}
	if len(g.Notes) > 0 {
		notes = strconv.Itoa(len(g.Notes))
	}
	o.writeText(closedBy)
	o.writeText(notes)
}
