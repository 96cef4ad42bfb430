package receiver

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/grouping"
	"muster/internal/webhook"
)

// The reasons for which an alert of a notification is left out: labels of a
// metric.
const (
	alertRejectedLabels    = "labels"    // too many labels or annotations
	alertRejectedStatus    = "status"    // neither firing nor resolved
	alertRejectedTime      = "time"      // a time that is missing, or cannot be written again
	alertRejectedMalformed = "malformed" // a field of another type
)

func alertRejectionReasons() []string {
	return []string{alertRejectedLabels, alertRejectedStatus, alertRejectedTime, alertRejectedMalformed}
}

const (
	// maxNamed bounds the alerts that an answer and the status page name.
	maxRejectedDetails = 5
	// maxBadAtFirst is how many alerts in a row a body may begin with that
	// cannot be taken, before it counts as a body that cannot be read.
	maxLeadingInvalid = 1000
)

// leftOut is what of a notification was not taken. A defect of one alert does
// not cost its neighbours: Alertmanager would send the whole group again and
// again, and none of its alerts would ever arrive.
type rejectedAlerts struct {
	count    uint64            // how many count as cut from the message
	byReason map[string]uint64 // alerts, by reason
	details  []string          // the first ones: what is wrong with them, and where
}

func (o *rejectedAlerts) record(reason, sentence string) {
	if o.byReason == nil {
		o.byReason = map[string]uint64{}
	}
	o.byReason[reason]++
	if len(o.details) < maxRejectedDetails {
		o.details = append(o.details, sentence)
	}
}

// addBad adds an alert that cannot be read. It may be firing, so it counts as
// cut: nothing is concluded from its absence.
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

// addTooManyLabels adds an alert with more labels or annotations than are
// taken. One that is resolved was never taken, so nothing is missed.
func (o *rejectedAlerts) addTooManyLabels(a *webhook.Alert, limit int) {
	if a.Status != grouping.StatusFiring {
		return
	}
	o.count++
	o.record(alertRejectedLabels, fmt.Sprintf("alert %s has %d labels and %d annotations, the limit is %d",
		quoted(a.Labels["alertname"]), len(a.Labels), len(a.Annotations), limit))
}

// nameIn names the alert in a text that cannot be read as one.
func alertNameIn(raw jsontext.Value) string {
	var alert struct {
		Labels struct {
			Name string `json:"alertname"`
		} `json:"labels"`
	}
	if json.Unmarshal(raw, &alert) != nil || alert.Labels.Name == "" {
		return ""
	}
	return ", of alert " + quoted(alert.Labels.Name)
}

// lenient reads a body of which some alerts cannot be taken, without them.
func (d *decoder) decodeLenient(body []byte) (*webhook.Message, rejectedAlerts, error) {
	var out rejectedAlerts
	var m webhook.Message
	read := func(dec *jsontext.Decoder, alerts *[]webhook.Alert) error {
		return d.decodeValidAlerts(dec, alerts, &out)
	}
	err := json.Unmarshal(body, &m, json.WithUnmarshalers(json.UnmarshalFromFunc(read)))
	return &m, out, err
}

// goodAlerts reads the alerts that can be taken.
func (d *decoder) decodeValidAlerts(dec *jsontext.Decoder, alerts *[]webhook.Alert, out *rejectedAlerts) error {
	if dec.PeekKind() != jsontext.KindBeginArray {
		return errors.ErrUnsupported // the usual way
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
		var a webhook.Alert
		if err := readAlert(raw, &a); err != nil {
			out.addInvalid(i, raw, err)
			if len(*alerts) == 0 && i >= maxLeadingInvalid {
				return messageErrorf("alerts", "begins with %d alerts that cannot be read", i)
			}
			continue
		}
		*alerts = append(*alerts, a)
	}
	_, err := dec.ReadToken()
	return err
}

// readAlert reads one alert, and says what is wrong with it.
func readAlert(raw jsontext.Value, a *webhook.Alert) *messageError {
	err := json.Unmarshal(raw, a)
	if err == nil {
		return validateAlert(a)
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok && semantic.JSONPointer == "" {
		return &messageError{what: fmt.Sprintf("a JSON %s is not allowed here", jsonKind(semantic.JSONKind))}
	}
	if described, ok := errors.AsType[*messageError](describeError(err, raw)); ok {
		return described
	}
	return &messageError{what: "cannot be read"}
}
