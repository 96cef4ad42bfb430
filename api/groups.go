package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
	"muster/internal/reply"
)

func (d *Door) serveGroups(c *gin.Context) {
	params := query.Parse(c.Request.URL.RawQuery)
	asked, at := params.Groups(query.StateAll), params.PastTime(time.Now())
	withAlerts, format := params.Bool("alerts"), params.Format()
	if withAlerts && format == query.FormatCSV {
		params.AddProblem("alerts", "not possible with format=csv, which has one row for each group")
	}
	if err := queryError(params, &asked.Filter); err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	m, ok := d.momentAt(c, at)
	if !ok {
		return
	}
	if format != query.FormatJSON {
		d.exportGroups(c, m, asked.Query(), format, withAlerts)
		return
	}
	page, err := m.List(c.Request.Context(), asked.Query())
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	d.streamJSON(c, 0, func(out *jsonStream) {
		out.enc.mutes, out.enc.now = m.details(d.Groups), m.time()
		out.writeGroups(page.Groups, func(g *grouping.AlertGroup) []*grouping.Alert {
			if withAlerts {
				return g.Alerts
			}
			return nil
		})
		out.writeRaw(`,"total":`)
		out.writeValue(page.Total)
		out.writeFields(m.of)
		out.writeNext(page.Next)
	})
}

// groupIDParam returns the group ID in the path. It answers 404 and returns
// false if the text is not a valid ID.
func groupIDParam(c *gin.Context) (grouping.ID, bool) {
	id := grouping.ID(c.Param("id"))
	if !id.Valid() {
		reply.Fail(c, http.StatusNotFound, "group "+reply.Quoted(string(id))+" not found: an ID has 20 hex digits")
		return "", false
	}
	return id, true
}

func (d *Door) serveGroup(c *gin.Context) {
	id, ok := groupIDParam(c)
	if !ok {
		return
	}
	m, ok := d.onlyMoment(c)
	if !ok {
		return
	}
	g, err := m.Get(c.Request.Context(), id)
	if m.of != nil && errors.Is(err, grouping.ErrGroupNotFound) {
		g, err = d.unkeyedGroup(c.Request.Context(), m, id, err)
	}
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	now := m.time()
	b, err := d.Past.GroupBefore(c.Request.Context(), g, nil, now)
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	more := struct {
		*pastView

		Before beforeView `json:"before"`
	}{m.of, viewBefore(&b, now)}
	d.streamJSON(c, 0, func(out *jsonStream) {
		out.enc.mutes, out.enc.now = m.details(d.Groups), m.time()
		out.writeGroupWith(more, g, g.Alerts)
	})
}

// unkeyedGroup returns a group as it was while only the API told of it. Then it had another ID.
// Otherwise it returns the error.
func (d *Door) unkeyedGroup(ctx context.Context, then moment, id grouping.ID, notFound error) (*grouping.AlertGroup, error) {
	now, err := d.Groups.Get(ctx, id)
	if err != nil {
		return nil, notFound
	}
	if g, err := then.Get(ctx, now.UnkeyedID()); err == nil {
		return g, nil
	}
	return nil, notFound
}

func (d *Door) serveAlert(c *gin.Context) {
	fp := grouping.Fingerprint(c.Param("fingerprint"))
	if !fp.Valid() {
		reply.Fail(c, http.StatusNotFound, "alert "+reply.Quoted(string(fp))+" not found: a fingerprint has 16 hex digits")
		return
	}
	params := query.Parse(c.Request.URL.RawQuery)
	source, receiver, at := params.Text("source"), params.Text("receiver"), params.PastTime(time.Now())
	if err := params.Err(); err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	m, ok := d.momentAt(c, at)
	if !ok {
		return
	}
	groups, err := m.ByFingerprint(c.Request.Context(), fp)
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	q := grouping.ListQuery{Source: source, Receiver: receiver}
	if groups = q.Select(groups); len(groups) == 0 {
		reply.Fail(c, http.StatusNotFound, "alert "+reply.Quoted(string(fp))+" not found in this source and receiver")
		return
	}
	now, before := m.time(), map[string]beforeView{}
	for source, own := range grouping.BySource(groups) {
		b, err := d.Past.AlertBefore(c.Request.Context(), fp, own, nil, now)
		if err != nil {
			reply.Error(c, d.Logger, err)
			return
		}
		before[source] = viewBefore(&b, now)
	}
	d.streamJSON(c, 0, func(out *jsonStream) {
		out.enc.mutes, out.enc.now = m.details(d.Groups), m.time()
		out.writeGroups(groups, func(g *grouping.AlertGroup) []*grouping.Alert { return []*grouping.Alert{g.Alert(fp)} })
		out.writeFields(m.of)
		out.writeRaw(`,"before":`)
		out.writeValue(before)
		out.writeRaw("}")
	})
}
