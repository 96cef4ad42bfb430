package check

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"github.com/xiatechs/jsonata-go"
	"sigs.k8s.io/yaml"
)

// infinityType is the type of the data source Infinity.
const infinityType = "yesoreyeram-infinity-datasource"

// infinityQuery is the part of a query of Infinity that says what it reads.
type infinityQuery struct {
	Datasource struct{ Type string }
	URL        string
	URLOptions struct {
		Params []struct{ Key, Value string }
	} `json:"url_options"`
	RootSelector string `json:"root_selector"`
	Columns      []struct{ Selector, Text, Type string }
}

// infinityQueries returns the queries of the dashboard by the names of their panels and
// annotations.
func infinityQueries(t *testing.T) map[string]infinityQuery {
	t.Helper()
	var dashboard struct {
		Annotations struct {
			List []struct {
				Name   string
				Target infinityQuery
			}
		}
		Panels []struct {
			Title   string
			Targets []infinityQuery
		}
	}
	require.NoError(t, json.Unmarshal(read(t, "examples/grafana/muster-history.json"), &dashboard))
	queries := map[string]infinityQuery{}
	for _, a := range dashboard.Annotations.List {
		queries["annotation "+a.Name] = a.Target
	}
	for _, p := range dashboard.Panels {
		for i, target := range p.Targets {
			queries[fmt.Sprintf("panel %s %d", p.Title, i)] = target
		}
	}
	maps.DeleteFunc(queries, func(_ string, q infinityQuery) bool { return q.Datasource.Type != infinityType })
	return queries
}

// postEpisodes posts notifications about an alert that resolved and fires again.
func postEpisodes(t *testing.T, muster string, now time.Time) {
	t.Helper()
	at := func(minutes int) string {
		return now.Add(time.Duration(minutes) * time.Minute).UTC().Format(time.RFC3339)
	}
	for _, post := range []struct{ status, startsAt, endsAt string }{
		{"firing", at(-60), "0001-01-01T00:00:00Z"},
		{"resolved", at(-60), at(-58)},
		{"firing", at(-10), "0001-01-01T00:00:00Z"},
	} {
		body := strings.NewReplacer(
			`"status":"firing"`, `"status":"`+post.status+`"`, "2026-11-22T09:00:00Z", post.startsAt,
			"0001-01-01T00:00:00Z", post.endsAt, `"labels":{`, `"labels":{"namespace":"batch","severity":"critical",`,
		).Replace(notification)
		res, err := http.Post(muster+"/webhook", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
}

// selectRows returns what a root selector selects. Infinity reads it as a path in GJSON
// first, and then as an expression in JSONata.
func selectRows(t *testing.T, answer, selector string) string {
	t.Helper()
	if r := gjson.Get(answer, selector); r.Exists() || !strings.ContainsAny(selector, "$(") {
		return r.String()
	}
	expression, err := jsonata.Compile(selector)
	require.NoError(t, err)
	var data any
	require.NoError(t, json.Unmarshal([]byte(answer), &data))
	rows, err := expression.Eval(data)
	require.NoError(t, err)
	text, err := json.Marshal(rows)
	require.NoError(t, err)
	require.Equal(t, byte('['), text[0], "%s", text)
	return string(text)
}

// The queries of the dashboard of the history select fields that the answers of Muster have.
func TestDashboardOfTheHistory(t *testing.T) {
	queries := infinityQueries(t)
	require.Greater(t, len(queries), 8)
	muster, now := startMuster(t), time.Now()
	postEpisodes(t, muster, now)
	seconds := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	variables := []string{
		"${__from:date:seconds}", seconds(now.Add(-2 * time.Hour)), "${__to:date:seconds}", seconds(now.Add(time.Minute)), "${by}", "namespace",
	}
	for name, q := range queries {
		t.Run(name, func(t *testing.T) {
			checkColumns(t, q, ask(t, muster, q, append(variables, "${filter}", `severity="critical"`)))
			// Nothing is selected, and this is not an error.
			selectRows(t, ask(t, muster, q, append(variables, "${filter}", `severity="absent"`)), q.RootSelector)
		})
	}
}

// ask returns the answer of Muster to a query with the values of variables.
func ask(t *testing.T, muster string, q infinityQuery, variables []string) string {
	t.Helper()
	params := url.Values{}
	for _, p := range q.URLOptions.Params {
		params.Add(p.Key, strings.NewReplacer(variables...).Replace(p.Value))
	}
	require.NotContains(t, params.Encode(), url.QueryEscape("${"))
	res, err := http.Get(muster + q.URL + "?" + params.Encode())
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", text)
	return string(text)
}

// checkColumns checks that the rows of an answer have each column of a query, with a value of
// its type. What a Muster that has just started cannot answer must be in the description of the
// API: the window before, and gaps.
func checkColumns(t *testing.T, q infinityQuery, answer string) {
	t.Helper()
	rows := gjson.Parse(selectRows(t, answer, q.RootSelector))
	list := []gjson.Result{rows}
	if rows.IsArray() {
		list = rows.Array()
	}
	for _, c := range q.Columns {
		i := slices.IndexFunc(list, func(row gjson.Result) bool { return row.Get(c.Selector).Exists() })
		if i < 0 {
			require.Contains(t, describedFields(t, q.URL, q.RootSelector), c.Selector, "no row has it: %s", rows.Raw)
			continue
		}
		switch value := list[i].Get(c.Selector); c.Type {
		case "number":
			require.Equal(t, gjson.Number, value.Type, "%s is %s", c.Selector, value.Raw)
		case "timestamp":
			_, err := time.Parse(time.RFC3339, value.String())
			_, errDay := time.Parse(time.DateOnly, value.String())
			require.True(t, err == nil || errDay == nil, "%s is %s", c.Selector, value.Raw)
		default:
			require.Equal(t, gjson.String, value.Type, "%s is %s", c.Selector, value.Raw)
		}
	}
}

// describedFields returns the fields of a part of an answer, as openapi.yaml describes them.
func describedFields(t *testing.T, path, part string) []string {
	t.Helper()
	text, err := yaml.YAMLToJSON(read(t, "docs/openapi.yaml"))
	require.NoError(t, err)
	document := gjson.ParseBytes(text)
	var resolve func(gjson.Result) gjson.Result
	resolve = func(schema gjson.Result) gjson.Result {
		if ref := schema.Get("$ref").String(); ref != "" {
			return resolve(document.Get(strings.ReplaceAll(strings.TrimPrefix(ref, "#/"), "/", ".")))
		}
		if items := schema.Get("items"); items.Exists() {
			return resolve(items)
		}
		return schema
	}
	answer := document.Get("paths").Get(path).Get("get.responses.200.content").Get("application/json").Get("schema")
	fields := resolve(resolve(answer).Get("properties").Get(part)).Get("properties")
	return slices.Collect(maps.Keys(fields.Map()))
}
