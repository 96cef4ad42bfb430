package receiver

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"muster/grouping"
	"muster/internal/webhook"
)

// The limits of what is kept of Grafana's fields: they are stored with each
// alert. A link that is cut leads nowhere, so a longer one is left out.
const (
	maxGrafanaLink   = 8 << 10
	maxGrafanaValues = 50
	maxGrafanaText   = 1 << 10
)

// grafana is what Grafana adds to an alert, in the domain's words. It is never
// nil: that Grafana sent the alert is known by it.
func grafanaFields(w *webhook.Grafana) *grouping.Grafana {
	if w == nil {
		return &grouping.Grafana{}
	}
	link := func(url string) string {
		if len(url) > maxGrafanaLink {
			return ""
		}
		return url
	}
	g := &grouping.Grafana{
		SilenceURL: link(w.SilenceURL), DashboardURL: link(w.DashboardURL), PanelURL: link(w.PanelURL), Values: grafanaValues(w.Values),
	}
	if len(g.Values) == 0 {
		g.ValueString = truncateText(w.ValueString, maxGrafanaText)
	}
	return g
}

// grafanaValues reads the numbers. What is not a number is no reason to refuse
// an alert.
func grafanaValues(text []byte) map[string]float64 {
	var all map[string]any
	if len(text) == 0 || json.Unmarshal(text, &all) != nil {
		return nil
	}
	values := map[string]float64{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		number, ok := all[name].(float64)
		if ok && len(name) <= maxQuoted && len(values) < maxGrafanaValues {
			values[name] = number
		}
	}
	return values
}

// cutText returns the beginning of a text, of so many bytes at most.
func truncateText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
