package grouping

import "maps"

// Grafana is what Grafana adds to an alert: its own pages, and the numbers that
// the alert is about. It is immutable.
type Grafana struct {
	SilenceURL   string `json:"silenceURL,omitempty"`
	DashboardURL string `json:"dashboardURL,omitempty"`
	PanelURL     string `json:"panelURL,omitempty"`
	// Values are by the name of their query. ValueString is Grafana's text of
	// them, kept only if it sent no numbers.
	Values      map[string]float64 `json:"values,omitempty"`
	ValueString string             `json:"valueString,omitempty"`
}

// Equal reports whether both say the same. Either may be nil.
func (x *Grafana) Equal(o *Grafana) bool {
	if x == nil || o == nil {
		return x == o
	}
	return x.SilenceURL == o.SilenceURL && x.DashboardURL == o.DashboardURL && x.PanelURL == o.PanelURL &&
		x.ValueString == o.ValueString && maps.Equal(x.Values, o.Values)
}

// FromGrafana reports whether Grafana sent the group. Alertmanager's pages do
// not exist there.
func (g *AlertGroup) FromGrafana() bool {
	for _, a := range g.Alerts {
		if a.Grafana != nil {
			return true
		}
	}
	return false
}
