package api

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/query"
)

// eventColumns are the columns of events as CSV, in the words of the JSON.
var eventColumns = []string{
	"id", "time", "kind", "groupId", "source", "receiver", "fingerprint", "alertname", "labels", "was", "startsAt", "endsAt",
	"reason", "externalURL", "firing", "resolved", "truncated", "integration", "index", "muteKind", "muteId", "muteRule",
	"silenceId", "silenceCreatedBy", "silenceComment", "from", "to",
	"by", "verified", "text", "until",
}

// exportEvents answers with the events that the query selects, oldest first.
func (d *Door) exportEvents(c *gin.Context, q grouping.EventQuery, format query.Format, name string) {
	ctx := c.Request.Context()
	d.export(c, format, tableOrLines{
		name: name, columns: eventColumns,
		table: func(out *csvStream) {
			out.fail(d.eachEvent(ctx, q, func(e *grouping.Event) bool {
				out.writeEvent(e)
				return !out.failed()
			}))
		},
		lines: func(out *jsonStream) {
			out.fail(d.eachEvent(ctx, q, func(e *grouping.Event) bool {
				out.writeEventLine(e)
				return !out.failed()
			}))
		},
	})
}

// eachEvent calls write with the events that the query selects, oldest first, until it returns
// false. It does not use the cursor of the query. write must not keep the pointer.
func (d *Door) eachEvent(ctx context.Context, q grouping.EventQuery, write func(*grouping.Event) bool) error {
	if q.Group != "" {
		return d.eachEventOfGroup(ctx, q, write)
	}
	written := 0
	var e grouping.Event // one for all, because each would be allocated
	for next, err := range d.Groups.StreamEvents(ctx, q.Since) {
		e = next
		switch {
		case err != nil:
			return err
		case !q.Until.IsZero() && !e.Time.Before(q.Until):
			return nil
		case e.Kind == grouping.EventChanged || !q.Matches(&e):
			continue
		case !write(&e):
			return nil
		}
		if written++; written == q.Limit {
			return nil
		}
	}
	return nil
}

// eachEventOfGroup is eachEvent for a query with a group. A storage reads the events of a group
// without those of the others, but the newest ones first. So all pages are read to learn where they
// begin, and then again from the oldest one.
func (d *Door) eachEventOfGroup(ctx context.Context, q grouping.EventQuery, write func(*grouping.Event) bool) error {
	limit := q.Limit
	q.Cursor, q.Limit = "", grouping.MaxLimit
	cursors := []string{""}
	page, err := d.Groups.Events(ctx, q)
	for ; err == nil && page.Next != ""; page, err = d.Groups.Events(ctx, q) {
		q.Cursor = page.Next
		cursors = append(cursors, page.Next)
	}
	if err != nil {
		return err
	}
	written, events := 0, page.Events
	for i := len(cursors) - 1; ; i-- {
		for j := range slices.Backward(events) {
			if !write(&events[j]) {
				return nil
			}
			if written++; written == limit {
				return nil
			}
		}
		if i == 0 {
			return nil
		}
		if events, err = d.eventsBetween(ctx, q, cursors[i], cursors[i-1]); err != nil {
			return err
		}
	}
}

// eventsBetween returns the events from an ID until before a cursor, the newest first. They are
// those of a page, and those that came late.
func (d *Door) eventsBetween(ctx context.Context, q grouping.EventQuery, from, cursor string) (events []grouping.Event, err error) {
	for {
		q.Cursor = cursor
		page, err := d.Groups.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Events {
			if page.Events[i].ID < from {
				return events, nil
			}
			events = append(events, page.Events[i])
		}
		if cursor = page.Next; cursor <= from {
			return events, nil
		}
	}
}

// writeEventLine writes an event as a line of NDJSON.
func (o *jsonStream) writeEventLine(e *grouping.Event) {
	o.writeEvent(e)
	o.endLine()
}

// writeEvent writes the row of an event.
func (o *csvStream) writeEvent(e *grouping.Event) {
	v := viewEvent(e)
	o.writeText(v.ID)
	o.writeTime(v.Time)
	o.writeText(string(v.Kind))
	o.writeText(string(v.GroupID))
	o.writeText(v.Source)
	o.writeText(v.Receiver)
	o.writeText(string(v.Fingerprint))
	o.writeText(v.Labels.Get("alertname"))
	o.writeLabels(v.Labels)
	o.writeText(string(v.Was))
	o.writeTime(v.StartsAt)
	o.writeTime(v.EndsAt)
	o.writeText(v.Reason)
	o.writeText(v.ExternalURL)
	writeOptional(o, v.Firing)
	writeOptional(o, v.Resolved)
	writeOptional(o, v.Truncated)
	o.writeText(v.Integration)
	writeOptional(o, v.Index)
	m := v.Mute
	if m == nil {
		m = &eventMuteView{}
	}
	o.writeText(string(m.Kind))
	o.writeText(m.ID)
	o.writeText(m.Rule)
	s := v.Silence
	if s == nil {
		s = &silenceChangeView{}
	}
	o.writeText(s.ID)
	o.writeText(s.CreatedBy)
	o.writeText(s.Comment)
	o.writeTime(v.From)
	o.writeTime(v.To)
	o.writeText(v.By)
	if v.Verified == nil {
		o.writeText("")
	} else {
		o.writeBool(*v.Verified)
	}
	o.writeText(v.Text)
	o.writeTime(v.Until)
	o.endRow()
}

// writeLabels writes a cell with labels as a JSON object.
func (o *csvStream) writeLabels(l grouping.Labels) {
	text, err := json.Marshal(l)
	o.fail(err)
	o.writeText(string(text))
}

// writeOptional writes a cell with a number, or an empty one.
func writeOptional[T int | uint64](o *csvStream, n *T) {
	if n == nil {
		o.writeText("")
		return
	}
	o.writeInt(int64(*n))
}
