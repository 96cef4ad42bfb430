package receiver

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"muster/grouping"
	"muster/internal/wire"
)

// Maximum sizes of the fields that Grafana adds. They are stored with each
// alert. A truncated link is useless, so a longer link is dropped.
const (
	maxGrafanaLink   = 8 << 10
	maxGrafanaValues = 50
	maxGrafanaText   = 1 << 10
	maxGrafanaName   = 40
)

// grafanaExtras returns the fields that Grafana adds to an alert. The result is
// never nil, because a non-nil value marks an alert that Grafana sent.
func grafanaFields(w *wire.Grafana) *grouping.Grafana {
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

// grafanaValues returns the numbers in a JSON object. It ignores all other
// values: they are not a reason to reject the alert.
func grafanaValues(text []byte) map[string]float64 {
	var all map[string]any
	if len(text) == 0 || json.Unmarshal(text, &all) != nil {
		return nil
	}
	values := map[string]float64{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		number, ok := all[name].(float64)
		if ok && len(name) <= maxGrafanaName && len(values) < maxGrafanaValues {
			values[name] = number
		}
	}
	return values
}

// truncateText returns the first bytes of a text, at most maximum, and never
// splits a character.
func truncateText(s string, maximum int) string {
	if len(s) <= maximum {
		return s
	}
	for maximum > 0 && !utf8.RuneStart(s[maximum]) {
		maximum--
	}
	return s[:maximum]
}
