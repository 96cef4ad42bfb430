package receiver

import (
	"muster/grouping"
	"muster/internal/wire"
)

// What the tests over the whole HTTP side need.
const (
	MaxRejectedDetails  = maxRejectedDetails
	TokenReloadInterval = tokenReloadInterval
	LargeBody           = largeBody

	AlertRejectedLabels    = alertRejectedLabels
	AlertRejectedStatus    = alertRejectedStatus
	AlertRejectedTime      = alertRejectedTime
	AlertRejectedMalformed = alertRejectedMalformed
)

// Decode decodes a notification of the default source without limits.
func Decode(text []byte) (grouping.Notification, error) {
	m, rejected, err := testDecoder.decode(text)
	if err != nil {
		return grouping.Notification{}, err
	}
	return testDecoder.notification(m, grouping.DefaultSource, &rejected), nil
}

// DecodeUsual decodes a message of at most maxAlerts alerts if it has the usual form.
func DecodeUsual(text []byte, maxAlerts int) (*wire.Message, bool) {
	return newDecoder(maxAlerts, 10_000).decodeUsual(text)
}

// DecodeAny decodes a message of at most maxAlerts alerts in any form. It returns false
// if the message, or an alert of it, is invalid.
func DecodeAny(text []byte, maxAlerts int) (*wire.Message, bool) {
	m, rejected, err := newDecoder(maxAlerts, 10_000).decodeAny(text)
	return m, err == nil && rejected.byReason == nil
}
