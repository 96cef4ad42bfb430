package receiver_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
)

// grafanaBody returns a Grafana notification with one alert for each set of
// fields.
func grafanaBody(version string, alerts ...string) string {
	list := make([]string, 0, len(alerts))
	for i, fields := range alerts {
		list = append(list, fmt.Sprintf(`{"status":"firing","labels":{"alertname":"CPU high","host":"w%d"},"annotations":{},`+
			`"startsAt":"2026-11-26T20:00:00+02:00","endsAt":"0001-01-01T00:00:00Z",`+
			`"generatorURL":"http://grafana:3000/alerting/grafana/u%d/view","fingerprint":"00000000000000a%d"%s}`, i, i, i, fields))
	}
	return `{"version":"` + version + `","orgId":1,"state":"alerting","title":"t","message":"m","receiver":"ops","status":"firing",` +
		`"groupKey":"{}:{alertname=\"CPU high\"}","groupLabels":{"alertname":"CPU high"},"commonLabels":{},"commonAnnotations":{},` +
		`"externalURL":"http://grafana:3000/","alerts":[` + strings.Join(list, ",") + `]}`
}

func grafanaExtras(host string) string {
	return fmt.Sprintf(`,"silenceURL":"http://grafana:3000/alerting/silence/new?alertmanager=grafana&matcher=host%%3D%s",`+
		`"dashboardURL":"http://grafana:3000/d/n","panelURL":"http://grafana:3000/d/n?viewPanel=4&host=%s",`+
		`"values":{"A":93.5,"C":1},"valueString":"[ A ]"`, host, host)
}

// Grafana's links are stored and shown, and no link to an Alertmanager is
// invented.
func TestGrafanasLinksAreShown(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, grafanaBody("1", grafanaExtras("w0"), grafanaExtras("w1")))
	var g struct {
		Alerts []struct {
			Fingerprint, SilenceURL, DashboardURL, PanelURL, ValueString string
			Values                                                       map[string]float64
		}
	}
	require.NoError(t, json.Unmarshal(h.Get("/api/v1/groups/"+id).Body.Bytes(), &g))
	require.Len(t, g.Alerts, 2)
	require.Equal(t, "http://grafana:3000/alerting/silence/new?alertmanager=grafana&matcher=host%3Dw0", g.Alerts[0].SilenceURL)
	require.Equal(t, "http://grafana:3000/d/n", g.Alerts[0].DashboardURL)
	require.Equal(t, "http://grafana:3000/d/n?viewPanel=4&host=w0", g.Alerts[0].PanelURL)
	require.Equal(t, map[string]float64{"A": 93.5, "C": 1}, g.Alerts[0].Values)
	require.Empty(t, g.Alerts[0].ValueString, "the numbers replace the text")

	page := h.Get("/groups/" + id).Body.String()
	require.NotContains(t, page, "#/silences/new")
	for _, link := range []string{
		"alerting/silence/new?alertmanager=grafana&amp;matcher=host%3Dw0",
		"alerting/silence/new?alertmanager=grafana&amp;matcher=host%3Dw1", "d/n?viewPanel=4&amp;host=w1",
	} {
		require.Contains(t, page, `href="http://grafana:3000/`+link+`"`)
	}
	require.Equal(t, 1, strings.Count(page, `href="http://grafana:3000/d/n"`), "a link of all alerts is shown once")
	page = h.Get("/alerts/00000000000000a0").Body.String()
	require.NotContains(t, page, "#/silences/new")
	for _, want := range []string{
		`href="http://grafana:3000/alerting/silence/new?alertmanager=grafana&amp;matcher=host%3Dw0"`,
		`href="http://grafana:3000/d/n"`, "<dt>Value A</dt><dd><bdi>93.5</bdi></dd>",
	} {
		require.Contains(t, page, want)
	}

	// An alert without these fields is still Grafana's, for example one of its
	// test button.
	bare := h.PostKept(t, strings.ReplaceAll(grafanaBody("1", ""), "CPU high", "Bare"))
	require.NotContains(t, h.Get("/groups/"+bare).Body.String(), "silences/new")
	// A notification of Alertmanager ignores these fields.
	other := h.PostKept(t, strings.ReplaceAll(grafanaBody("4", grafanaExtras("w0")), "CPU high", "AM"))
	require.Contains(t, h.Get("/groups/"+other).Body.String(), "#/silences/new")
	require.NotContains(t, h.Get("/api/v1/groups/"+other).Body.String(), "panelURL")
}

// Grafana's fields never reject an alert, have limits, and link only to web
// pages.
func TestGrafanasFieldsAreLimited(t *testing.T) {
	many := make([]string, 0, 200)
	for i := range 200 {
		many = append(many, fmt.Sprintf(`"v%03d":%d`, i, i))
	}
	for name, tc := range map[string]struct{ fields, want string }{
		"values null":          {`,"values":null,"valueString":"[ var='A' ]"`, `"valueString":"[ var='A' ]"`},
		"no value is a number": {`,"values":{"A":"x","B":null,"C":[1]}`, `"generatorURL"`},
		"values in a list":     {`,"values":[1,2]`, `"generatorURL"`},
		"too many values":      {`,"values":{` + strings.Join(many, ",") + `}`, `"v049":49}`},
		"a long name":          {`,"values":{"` + strings.Repeat("n", 1000) + `":1,"A":2}`, `"values":{"A":2}`},
		"a huge number":        {`,"values":{"A":1e999},"valueString":"v"`, `"generatorURL"`},
		"a long text":          {`,"valueString":"` + strings.Repeat("é", 10_000) + `"`, `"valueString":"` + strings.Repeat("é", 512) + `"`},
		"a long link":          {`,"panelURL":"http://x/` + strings.Repeat("p", 20_000) + `"`, `"generatorURL"`},
		"a script": {
			`,"silenceURL":"javascript:alert(1)","panelURL":"//x","dashboardURL":"d/n"`,
			`"silenceURL":"javascript:alert(1)"`,
		},
	} {
		h := testserver.New(t, testserver.Options{})
		id := h.PostKept(t, grafanaBody("1", tc.fields))
		answer := h.Get("/api/v1/groups/" + id).Body.String()
		require.Contains(t, answer, tc.want, name)
		require.Less(t, len(answer), 4000, name)
		for _, path := range []string{"/groups/" + id, "/alerts/00000000000000a0"} {
			require.NotContains(t, h.Get(path).Body.String(), `href="javascript`, name)
			require.NotContains(t, h.Get(path).Body.String(), `href="d/n`, name)
		}
	}
}

// A repeated notification changes nothing; new numbers do.
func TestGrafanasValuesAreUpdated(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	id := h.PostKept(t, grafanaBody("1", grafanaExtras("w0")))
	stamp := func() string {
		groups, err := h.Manager.All(t.Context())
		require.NoError(t, err)
		return string(groups[0].Alerts[0].Stamp)
	}
	first := stamp()
	h.PostKept(t, grafanaBody("1", grafanaExtras("w0")))
	require.Equal(t, first, stamp())
	h.PostKept(t, strings.Replace(grafanaBody("1", grafanaExtras("w0")), "93.5", "99", 1))
	require.NotEqual(t, first, stamp())
	require.Contains(t, h.Get("/api/v1/groups/"+id).Body.String(), `"values":{"A":99,"C":1}`)
}
