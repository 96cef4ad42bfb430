package receiver

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/internal/limit"
)

// serveWebhook stores a notification.
//
// The status code decides what Alertmanager does next. 200: the notification is
// stored. 503: Alertmanager retries within a second. 4xx: Alertmanager sends it
// again only after a group_interval. So 4xx is for errors that a retry cannot
// fix.
func (d *Door) serveWebhook(c *gin.Context) {
	// Take the stamp on arrival: receiving the body may take a while.
	stamp := d.groups.Stamp()
	d.metrics.webhooksInFlight.Inc()
	defer d.metrics.webhooksInFlight.Dec()
	in, refused := d.webhook.admit(c)
	if refused != nil {
		d.reject(c, refused)
		return
	}
	defer in.release()
	n, rejected, refused := d.decode(in)
	if refused != nil {
		d.reject(c, refused)
		return
	}
	n.Stamp = stamp
	out, err := d.groups.Ingest(c.Request.Context(), n)
	recycleAlerts(n.Alerts)
	if err != nil {
		d.reject(c, unstored(c.Request.Context(), err))
		return
	}
	d.recordRejectedAlerts(c, rejected)
	if out.Rejected > 0 {
		d.limits.Count(limit.AlertsOfGroup)
	}
	d.metrics.notificationsReceived.WithLabelValues(d.metrics.sourceLabels.label(in.source), reasonLabel(n.Reason)).Inc()
	c.JSON(http.StatusOK, Kept{Group: out.Group.ID, Status: "kept", Cut: out.Rejected + rejected.count, LeftOut: rejected.details})
}

// Kept is the answer to a stored notification. Cut is the number of alerts
// that were not stored, because they are invalid or the group is full. LeftOut
// describes the first invalid alerts.
type Kept struct {
	Group   grouping.ID `json:"group"`
	Status  string      `json:"status"`
	Cut     uint64      `json:"cut,omitempty"`
	LeftOut []string    `json:"leftOut,omitempty"`
}

// decode decodes a body and releases it. The alerts that cannot be stored are not
// part of the notification.
func (d *Door) decode(in *admitted) (grouping.Notification, rejectedAlerts, *refusal) {
	defer in.body.close()
	m, rejected, err := d.decoder.decode(in.body.bytes())
	if err != nil {
		return grouping.Notification{}, rejectedAlerts{}, refuseMessage(err, in.body.bytes())
	}
	n := d.decoder.notification(m, in.source, &rejected)
	m.Release()
	return n, rejected, nil
}

// refuseMessage is the refusal of a body that is not a valid notification.
func refuseMessage(err error, body []byte) *refusal {
	if bad, ok := errors.AsType[*messageError](err); ok && bad.tooLarge {
		return &refusal{code: http.StatusRequestEntityTooLarge, reason: limit.TooManyAlerts, err: err}
	}
	if isEvent(body) {
		err = fmt.Errorf("this is of the event recorder: send it to %s, and only notifications to %s", EventsPath, Path)
	}
	return &refusal{code: http.StatusBadRequest, reason: limit.BadMessage, err: err}
}

// reject rejects a notification and answers with the error.
func (d *Door) reject(c *gin.Context, r *refusal) {
	d.limits.Reject(c.Request.Context(), c.Request.RemoteAddr, r.code, r.reason, r.err.Error())
	d.fail(c, r)
}

// recordRejectedAlerts counts the rejected alerts of a stored notification and
// lists the first ones on the status page.
func (d *Door) recordRejectedAlerts(c *gin.Context, rejected rejectedAlerts) {
	for reason, n := range rejected.byReason {
		d.metrics.alertsRejected.WithLabelValues(reason).Add(float64(n))
	}
	if rejected.byReason[alertRejectedLabels] > 0 {
		d.limits.Count(limit.LabelsOfAlert)
	}
	d.limits.RejectAlerts(c.Request.Context(), c.Request.RemoteAddr, rejected.count, rejected.details)
}
