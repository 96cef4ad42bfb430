package wire

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"muster/grouping"
)

// Message is the body of a notification. It has the fields of Alertmanager's
// notify/webhook.Message. A test in package receiver compares the two.
type Message struct {
	*Data

	Version         string `json:"version"`
	GroupKey        string `json:"groupKey"`
	TruncatedAlerts uint64 `json:"truncatedAlerts"`
}

// Data is the part of a message that Alertmanager also passes to its templates.
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

// Alert is one alert of a message.
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

// Grafana has the fields that Grafana adds to an alert. The pointer in Alert is nil
// if an alert has none of these fields.
type Grafana struct {
	SilenceURL   string         `json:"silenceURL,omitempty"`
	DashboardURL string         `json:"dashboardURL,omitempty"`
	PanelURL     string         `json:"panelURL,omitempty"`
	Values       jsontext.Value `json:"values,omitempty"` // an object: query name to number
	ValueString  string         `json:"valueString,omitempty"`
}
