package receiver

import "muster/grouping"

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
	return testDecoder.notification(m, defaultSource, &rejected), nil
}
