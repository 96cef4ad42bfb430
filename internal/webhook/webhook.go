// Package webhook is what Alertmanager posts to a webhook. Importing
// Alertmanager's own types would link the clients of every other receiver.
package webhook

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"muster/grouping"
)

// Message is the body of a notification. It has the fields of Alertmanager's
// notify/webhook.Message, which a test of receiver holds it against.
type Message struct {
	*Data

	Version         string `json:"version"`
	GroupKey        string `json:"groupKey"`
	TruncatedAlerts uint64 `json:"truncatedAlerts"`
}

// Data is what Alertmanager also gives to its templates.
type Data struct {
	Receiver           string          `json:"receiver"`
	Status             string          `json:"status"`
	Alerts             []Alert         `json:"alerts"`
	NotificationReason string          `json:"notification_reason"`
	GroupLabels        grouping.Labels `json:"groupLabels"`
	CommonLabels       grouping.Labels `json:"commonLabels"`
	CommonAnnotations  grouping.Labels `json:"commonAnnotations"`
	RouteLabels        grouping.Labels `json:"routeLabels"`
	ExternalURL        string          `json:"externalURL"`
}

// Alert is an alert as a message lists it.
type Alert struct {
	Status       grouping.Status `json:"status"`
	Labels       grouping.Labels `json:"labels"`
	Annotations  grouping.Labels `json:"annotations"`
	StartsAt     time.Time       `json:"startsAt"`
	EndsAt       time.Time       `json:"endsAt"`
	GeneratorURL string          `json:"generatorURL"`
	Fingerprint  string          `json:"fingerprint"`

	*Grafana
}

// Grafana is what Grafana adds to an alert. It is nil if none of it is there.
type Grafana struct {
	SilenceURL   string         `json:"silenceURL,omitempty"`
	DashboardURL string         `json:"dashboardURL,omitempty"`
	PanelURL     string         `json:"panelURL,omitempty"`
	Values       jsontext.Value `json:"values,omitempty"` // numbers by the name of their query
	ValueString  string         `json:"valueString,omitempty"`
}
