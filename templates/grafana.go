package templates

import (
	"slices"
	"strconv"

	"muster/grouping"
)

// grafanaActions returns the links that Grafana sent, without those in offered.
func grafanaActions(g grouping.Grafana, offered []Action) []Action {
	var out []Action
	for _, link := range []struct{ text, url string }{
		{"Dashboard", g.DashboardURL}, {"Panel", g.PanelURL}, {silenceText, g.SilenceURL},
	} {
		href, ok := webLink(link.url)
		if !ok || slices.ContainsFunc(offered, func(a Action) bool { return a.Href == href }) {
			continue
		}
		out = append(out, Action{Text: link.text, Href: href, Outside: true})
	}
	return out
}

// offered returns the links without the silence if the page shows a past state.
func (s *Site) offered(g grouping.Grafana) grouping.Grafana {
	if s.isPast() {
		g.SilenceURL = ""
	}
	return g
}

// sharedGrafana returns the links that are equal on all alerts.
func sharedGrafana(alerts []*grouping.Alert) grouping.Grafana {
	var shared grouping.Grafana
	for i, a := range alerts {
		if a.Grafana == nil {
			return grouping.Grafana{}
		}
		if i == 0 {
			shared = *a.Grafana
			continue
		}
		for _, link := range []struct {
			ours  *string
			other string
		}{
			{&shared.SilenceURL, a.Grafana.SilenceURL},
			{&shared.DashboardURL, a.Grafana.DashboardURL},
			{&shared.PanelURL, a.Grafana.PanelURL},
		} {
			if *link.ours != link.other {
				*link.ours = ""
			}
		}
	}
	return shared
}

// grafanaPairs returns the values that Grafana sent.
func grafanaPairs(g *grouping.Grafana) []Pair {
	if g == nil {
		return nil
	}
	var out []Pair
	for _, name := range sortedKeys(g.Values) {
		out = append(out, Pair{"Value " + name, TextLink{Text: strconv.FormatFloat(g.Values[name], 'g', -1, 64)}})
	}
	if g.ValueString != "" {
		out = append(out, Pair{"Values", TextLink{Text: g.ValueString}})
	}
	return out
}
