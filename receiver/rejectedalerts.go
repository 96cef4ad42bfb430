package receiver

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/grouping"
	"muster/internal/reply"
	"muster/internal/wire"
)

// The reasons to reject a single alert: values of a metric label.
const (
	alertRejectedLabels    = "labels"    // too many labels or annotations
	alertRejectedStatus    = "status"    // neither firing nor resolved
	alertRejectedTime      = "time"      // missing, or cannot be encoded
	alertRejectedMalformed = "malformed" // a field with the wrong type
)

func alertRejectionReasons() []string {
	return []string{alertRejectedLabels, alertRejectedStatus, alertRejectedTime, alertRejectedMalformed}
}

const (
	// maxRejectedDetails is the maximum number of rejected alerts that an
	// answer and the status page list.
	maxRejectedDetails = 5
	// maxLeadingInvalid is the maximum number of invalid alerts before the
	// first valid one. A body with more is rejected as a whole.
	maxLeadingInvalid = 1000
)

// rejectedAlerts collects the rejected alerts of one notification. The other
// alerts of the notification are stored. Otherwise Alertmanager would retry the
// whole group forever, and none of its alerts would be stored.
type rejectedAlerts struct {
	count    uint64            // firing or unknown; they count as truncated
	byReason map[string]uint64 // number of alerts by reason
	details  []string          // field and error of the first alerts
}

func (o *rejectedAlerts) record(reason, detail string) {
	if o.byReason == nil {
		o.byReason = map[string]uint64{}
	}
	o.byReason[reason]++
	if len(o.details) < maxRejectedDetails {
		o.details = append(o.details, detail)
	}
}

// addInvalid adds an alert that cannot be decoded. The alert may be firing, so
// it counts as truncated: its absence then proves nothing.
func (o *rejectedAlerts) addInvalid(index int, raw jsontext.Value, err *messageError) {
	reason := alertRejectedMalformed
	switch err.where {
	case "status":
		reason = alertRejectedStatus
	case "startsAt", "endsAt":
		reason = alertRejectedTime
	}
	where := fmt.Sprintf("alerts[%d]", index)
	if err.where != "" {
		where += "." + err.where
	}
	o.count++
	o.record(reason, where+": "+err.what+alertNameIn(raw))
}

// addTooManyLabels adds an alert with too many labels or annotations. It
// ignores resolved alerts, because such an alert was never stored as firing.
func (o *rejectedAlerts) addTooManyLabels(a *wire.Alert, limit int) {
	if a.Status != grouping.StatusFiring {
		return
	}
	o.count++
	o.record(alertRejectedLabels, fmt.Sprintf("alert %s has %d labels and %d annotations, the limit of each is %d",
		reply.Quoted(a.Labels.Get("alertname")), a.Labels.Len(), a.Annotations.Len(), limit))
}

// alertNameIn returns the alert name in the JSON of an invalid alert, as the
// end of a sentence.
func alertNameIn(raw jsontext.Value) string {
	var alert struct {
		Labels struct {
			Name string `json:"alertname"`
		} `json:"labels"`
	}
	if json.Unmarshal(raw, &alert) != nil || alert.Labels.Name == "" {
		return ""
	}
	return " (alert " + reply.Quoted(alert.Labels.Name) + ")"
}

// decodeLenient decodes a body without its invalid alerts.
func (d *decoder) decodeLenient(body []byte) (*wire.Message, rejectedAlerts, error) {
	var out rejectedAlerts
	var m wire.Message
	read := func(dec *jsontext.Decoder, alerts *[]wire.Alert) error {
		return d.decodeValidAlerts(dec, alerts, &out)
	}
	err := json.Unmarshal(body, &m, json.WithUnmarshalers(json.UnmarshalFromFunc(read)))
	return &m, out, err
}

// decodeValidAlerts decodes a list of alerts and adds the invalid ones to out.
func (d *decoder) decodeValidAlerts(dec *jsontext.Decoder, alerts *[]wire.Alert, out *rejectedAlerts) error {
	if dec.PeekKind() != jsontext.KindBeginArray {
		return errors.ErrUnsupported // use the default decoder
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for i := 0; dec.PeekKind() != jsontext.KindEndArray; i++ {
		if i >= d.maxAlerts {
			return d.tooManyAlerts()
		}
		raw, err := dec.ReadValue()
		if err != nil {
			return err
		}
		var a wire.Alert
		if err := readAlert(raw, &a); err != nil {
			out.addInvalid(i, raw, err)
			if len(*alerts) == 0 && i >= maxLeadingInvalid {
				return messageErrorf("alerts", "has more than %d invalid alerts before the first valid one", maxLeadingInvalid)
			}
			continue
		}
		*alerts = append(*alerts, a)
	}
	_, err := dec.ReadToken()
	return err
}

// readAlert decodes and validates one alert.
func readAlert(raw jsontext.Value, a *wire.Alert) *messageError {
	err := json.Unmarshal(raw, a)
	if err == nil {
		return validateAlert(a)
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok && semantic.JSONPointer == "" {
		return &messageError{what: fmt.Sprintf("must not be a JSON %s", jsonKind(semantic.JSONKind))}
	}
	if described, ok := errors.AsType[*messageError](describeError(err, raw)); ok {
		return described
	}
	return &messageError{what: "is invalid"}
}
