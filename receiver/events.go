package receiver

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
)

// EventsPath is the path of the event recorder. A source may follow it.
const EventsPath = "/events"

// observer is what the event recorder needs from the domain. It is safe for concurrent use.
type observer interface {
	// Observe applies what the Alertmanagers of a source said. The sender sends everything
	// again after an error, so an error means that nothing was kept. The domain may keep
	// the observations, and does not change them.
	Observe(ctx context.Context, source string, all []grouping.Observation) error
	// RecordHeard notes which Alertmanagers of a source sent events, also if the events say
	// nothing new. It does not block.
	RecordHeard(source string, heard []grouping.Heard)
}

// KeptEvents is the answer to a body of events. Ignored is the number of events that say
// nothing new, and Refused of those that cannot be read. LeftOut describes the first of these.
type KeptEvents struct {
	Status  string   `json:"status"`
	Kept    int      `json:"kept"`
	Ignored int      `json:"ignored"`
	Refused int      `json:"refused"`
	LeftOut []string `json:"leftOut,omitempty"`
}

// serveEvents keeps the events of Alertmanager's event recorder.
//
// Alertmanager sends a body again after every answer but 2xx, a few times within seconds.
// Then the events are lost, and nothing says so but its log. It also waits for each answer,
// even when it stops. So what a retry cannot fix is answered with 200, and no answer waits.
func (d *Door) serveEvents(c *gin.Context) {
	now := time.Now()
	d.metrics.eventRequestsInFlight.Inc()
	defer d.metrics.eventRequestsInFlight.Dec()
	in, refused := d.events.admit(c)
	if refused != nil {
		d.rejectEvents(c, refused)
		return
	}
	defer in.release()
	b := d.newEventBatch(in, now)
	refused = b.keep(c.Request.Context())
	d.report(c, b)
	if refused != nil {
		d.rejectEvents(c, refused)
		return
	}
	c.JSON(http.StatusOK, KeptEvents{
		Status: "kept", Kept: b.kept, Ignored: b.ignored, Refused: b.refused.count, LeftOut: b.refused.details,
	})
}

// report counts the events of a body, and lists the first refused ones on the status page.
func (d *Door) report(c *gin.Context, b *eventBatch) {
	if len(b.heard) > 0 {
		d.groups.RecordHeard(b.in.source, b.heard)
	}
	source := d.metrics.sourceLabels.label(b.in.source)
	for name, n := range b.received {
		d.metrics.eventsReceived.WithLabelValues(source, name).Add(float64(n))
	}
	for reason, n := range b.refused.byReason {
		d.metrics.eventsRefused.WithLabelValues(reason).Add(float64(n))
	}
	d.limits.RejectSomeEvents(c.Request.Context(), c.Request.RemoteAddr, b.refused.count, b.refused.texts)
}

// rejectEvents rejects a body of events and answers with the error.
func (d *Door) rejectEvents(c *gin.Context, r *refusal) {
	d.limits.RejectEvents(c.Request.Context(), c.Request.RemoteAddr, r.code, r.reason, r.err.Error())
	d.fail(c, r)
}
