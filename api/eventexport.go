package api

import (
	"context"
	"encoding/json"

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
// false. It does not use the cursor of the query.
func (d *Door) eachEvent(ctx context.Context, q grouping.EventQuery, write func(*grouping.Event) bool) error {
	written := 0
	for e, err := range d.Groups.StreamEvents(ctx, q.Since) {
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

// writeEventLine writes an event as a line of NDJSON.
func (o *jsonStream) writeEventLine(e *grouping.Event) {
	o.writeValue(viewEvent(e))
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
	text, err := json.Marshal(emptyIfNil(l))
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
