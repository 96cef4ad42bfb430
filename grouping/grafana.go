package grouping

import "maps"

// Grafana holds the fields that only Grafana sends: links to its pages, and the values
// of the alert's queries. It is immutable.
type Grafana struct {
	SilenceURL   string `json:"silenceURL,omitempty"`
	DashboardURL string `json:"dashboardURL,omitempty"`
	PanelURL     string `json:"panelURL,omitempty"`
	// Values maps the name of a query to its value. ValueString is Grafana's text of
	// the values. It is kept only if Grafana sent no numbers.
	Values      map[string]float64 `json:"values,omitempty"`
	ValueString string             `json:"valueString,omitempty"`
}

// Equal reports whether both have equal fields. Either may be nil.
func (x *Grafana) Equal(o *Grafana) bool {
	if x == nil || o == nil {
		return x == o
	}
	return x.SilenceURL == o.SilenceURL && x.DashboardURL == o.DashboardURL && x.PanelURL == o.PanelURL &&
		x.ValueString == o.ValueString && maps.Equal(x.Values, o.Values)
}

// FromGrafana reports whether Grafana sent the group. Grafana does not have the pages
// of Alertmanager.
func (g *AlertGroup) FromGrafana() bool {
	for _, a := range g.Alerts {
		if a.Grafana != nil {
			return true
		}
	}
	return false
}
