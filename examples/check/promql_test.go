package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// known has the metrics that expressions may use, with their labels and the values of
// these labels.
type known map[string]map[string]map[string]bool

// targetLabels are the labels that Prometheus adds when it scrapes.
var targetLabels = []string{"instance", "job"}

// completeLabels are the labels whose values are all present after a scrape. Others,
// such as the reason of a rejection, have more values than one run produces.
var completeLabels = []string{"muster_groups state", "muster_alerts status"}

func knownFrom(families map[string]*dto.MetricFamily) known {
	k := known{"up": {}}
	for name, family := range families {
		names := []string{name}
		if family.GetType() == dto.MetricType_HISTOGRAM {
			names = []string{name + "_bucket", name + "_sum", name + "_count"}
		}
		for _, n := range names {
			k[n] = map[string]map[string]bool{}
			if strings.HasSuffix(n, "_bucket") {
				k[n]["le"] = map[string]bool{}
			}
			for _, metric := range family.GetMetric() {
				for _, pair := range metric.GetLabel() {
					if k[n][pair.GetName()] == nil {
						k[n][pair.GetName()] = map[string]bool{}
					}
					k[n][pair.GetName()][pair.GetValue()] = true
				}
			}
		}
	}
	return k
}

var promql = parser.NewParser(parser.Options{})

// check returns an error if the expression is not valid, or uses an unknown metric or
// label.
func (k known) check(expr string) error {
	parsed, err := promql.ParseExpr(expr)
	if err != nil {
		return err
	}
	var wrong []error
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if ok {
			wrong = append(wrong, k.checkSelector(selector))
		}
		return nil
	})
	wrong = append(wrong, k.checkGrouping(parsed))
	return errors.Join(wrong...)
}

func (k known) checkSelector(selector *parser.VectorSelector) error {
	has, ok := k[selector.Name]
	if !ok {
		return fmt.Errorf("no metric %q", selector.Name)
	}
	for _, m := range selector.LabelMatchers {
		if m.Name == model.MetricNameLabel || slices.Contains(targetLabels, m.Name) {
			continue
		}
		values, ok := has[m.Name]
		if !ok {
			return fmt.Errorf("%s has no label %q", selector.Name, m.Name)
		}
		if slices.Contains(completeLabels, selector.Name+" "+m.Name) && m.Type == labels.MatchEqual && !values[m.Value] {
			return fmt.Errorf("%s has no %s %q", selector.Name, m.Name, m.Value)
		}
	}
	return nil
}

// checkGrouping checks the labels that aggregations keep. Each must be a label of a
// metric in the aggregation.
func (k known) checkGrouping(expr parser.Expr) error {
	var wrong []error
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		aggregation, ok := node.(*parser.AggregateExpr)
		if !ok {
			return nil
		}
		has := slices.Clone(targetLabels)
		parser.Inspect(aggregation.Expr, func(node parser.Node, _ []parser.Node) error {
			if selector, ok := node.(*parser.VectorSelector); ok {
				has = slices.AppendSeq(has, maps.Keys(k[selector.Name]))
			}
			return nil
		})
		for _, label := range aggregation.Grouping {
			if !slices.Contains(has, label) {
				wrong = append(wrong, fmt.Errorf("%s: nothing in it has a label %q", aggregation, label))
			}
		}
		return nil
	})
	return errors.Join(wrong...)
}

// The check that the other tests use finds mistakes.
func TestExpressionsAreJudged(t *testing.T) {
	k := known{
		"muster_groups":      {"state": {"firing": true}},
		"muster_live_bucket": {"le": {}},
	}
	for _, tc := range []struct{ expr, wrong string }{
		{expr: `sum by (state, job) (muster_groups{state="firing", instance=~"a"})`},
		{expr: `histogram_quantile(0.9, sum by (le) (rate(muster_live_bucket[5m])))`},
		{`sum(muster_groups`, "unclosed left parenthesis"},
		{`muster_group`, `no metric "muster_group"`},
		{`sum(rate(muster_live_count[5m])) / sum(muster_groups)`, `no metric "muster_live_count"`},
		{`muster_groups{status="firing"}`, `muster_groups has no label "status"`},
		{`muster_groups{state="burning"}`, `muster_groups has no state "burning"`},
		{`sum by (reason) (muster_groups)`, `nothing in it has a label "reason"`},
	} {
		t.Run(tc.expr, func(t *testing.T) {
			err := k.check(tc.expr)
			if tc.wrong == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.wrong)
		})
	}
}

// The rules and the dashboard use only metrics that Muster exposes.
func TestExpressionsNameWhatMusterExposes(t *testing.T) {
	k := knownFrom(scrape(t))
	board := readDashboard(t)
	for place, expr := range board.expressions() {
		t.Run(place, func(t *testing.T) { require.NoError(t, k.check(expr), expr) })
	}
	for place, expr := range ruleExpressions(t) {
		t.Run(place, func(t *testing.T) { require.NoError(t, k.check(expr), expr) })
	}

	t.Run("every metric of Muster is on the dashboard", func(t *testing.T) {
		all := strings.Join(slices.Collect(maps.Values(board.expressions())), "\n")
		for name := range k {
			if !strings.HasPrefix(name, "muster_") || strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count") {
				continue
			}
			require.Contains(t, all, name)
		}
	})
}

// Each rule has a section in the runbook.
func TestRulesHaveRunbooks(t *testing.T) {
	headings := regexp.MustCompile(`(?m)^## (.+)$`).FindAllSubmatch(read(t, "docs/RUNBOOK.md"), -1)
	var named []string
	for _, h := range headings {
		named = append(named, string(h[1]))
	}
	var alerts []string
	for _, group := range readRules(t).Groups {
		for _, rule := range group.Rules {
			alerts = append(alerts, rule.Alert)
			require.Equal(t, "docs/RUNBOOK.md#"+strings.ToLower(rule.Alert), rule.Annotations["runbook"])
			require.NotContains(t, rule.Annotations, "runbook_url", "it would have to be a URL")
		}
	}
	require.NotEmpty(t, alerts)
	require.ElementsMatch(t, alerts, named)
}

func readRules(t *testing.T) *rulefmt.RuleGroups {
	t.Helper()
	rules, errs := rulefmt.Parse(read(t, "examples/alerts.yml"), false, model.UTF8Validation, promql, slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	return rules
}

func ruleExpressions(t *testing.T) map[string]string {
	t.Helper()
	expressions := map[string]string{}
	for _, group := range readRules(t).Groups {
		for _, rule := range group.Rules {
			expressions["rule "+rule.Alert] = rule.Expr
		}
	}
	return expressions
}

// dashboard has the fields of a Grafana dashboard that the tests need.
type dashboard struct {
	UID           string
	Title         string
	SchemaVersion int
	Templating    struct {
		List []variable
	}
	Panels []panel
}

type variable struct {
	Name, Type string
	Query      any
	Datasource *datasource
}

type datasource struct{ Type, UID string }

type panel struct {
	ID          int
	Type, Title string
	Description string
	Datasource  *datasource
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct {
		RefID, Expr string
		Datasource  *datasource
	}
	FieldConfig struct {
		Defaults struct{ Unit string }
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	require.NoError(t, json.Unmarshal(read(t, "examples/grafana/muster.json"), &d))
	return d
}

// grafanaVariables replaces the variables of Grafana by values, so that an expression
// can be parsed.
var grafanaVariables = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$job", "muster", "$instance", "muster:9095")

func (d dashboard) expressions() map[string]string {
	expressions := map[string]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expressions["panel "+p.Title+" "+target.RefID] = grafanaVariables.Replace(target.Expr)
		}
	}
	for _, v := range d.Templating.List {
		if query, ok := v.Query.(map[string]any); ok {
			values := labelValues.FindStringSubmatch(fmt.Sprint(query["query"]))
			if values != nil {
				expressions["variable "+v.Name] = grafanaVariables.Replace("sum by (" + values[2] + ") (" + values[1] + ")")
			}
		}
	}
	return expressions
}

// labelValues matches Grafana's function for the values of a variable.
var labelValues = regexp.MustCompile(`^label_values\((.+), *(\w+)\)$`)

// The dashboard can be imported into any Grafana. It uses the data source variable, all
// panels have a title, and panels do not overlap.
func TestDashboardIsPortable(t *testing.T) {
	d := readDashboard(t)
	require.NotEmpty(t, d.UID)
	require.NotEmpty(t, d.Title)
	require.GreaterOrEqual(t, d.SchemaVersion, 42)

	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
		if v.Type == "query" {
			require.Equal(t, &datasource{"prometheus", "${datasource}"}, v.Datasource, v.Name)
			require.Regexp(t, labelValues, v.Query.(map[string]any)["query"])
		}
	}
	require.Equal(t, []string{"datasource", "job", "instance"}, variables)

	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		require.NotEmpty(t, p.Title)
		require.False(t, ids[p.ID], "panel %d occurs twice", p.ID)
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Less(t, x, 24, p.Title)
				require.Empty(t, taken[[2]int{x, y}], "%s overlaps", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.Equal(t, &datasource{"prometheus", "${datasource}"}, p.Datasource, p.Title)
		require.NotEmpty(t, p.Description, p.Title)
		require.NotEmpty(t, p.FieldConfig.Defaults.Unit, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		refs := map[string]bool{}
		for _, target := range p.Targets {
			require.Equal(t, &datasource{"prometheus", "${datasource}"}, target.Datasource, p.Title)
			require.False(t, refs[target.RefID], p.Title)
			refs[target.RefID] = true
			require.Contains(t, target.Expr, `{job=~"$job", instance=~"$instance"`, p.Title)
			require.NotRegexp(t, `\[\d+[smhd]\]`, target.Expr, "%s: $__rate_interval fits every zoom", p.Title)
		}
	}
}

// Every metric that the documents mention exists. The README mentions all metrics.
func TestDocumentsNameMetrics(t *testing.T) {
	families := scrape(t)
	documents, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, documents)
	readme := filepath.Join(root, "README.md")
	for _, name := range append(documents, readme) {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, metric := range regexp.MustCompile(`\bmuster_\w+`).FindAllString(string(text), -1) {
			require.Contains(t, families, metric, name)
		}
		for metric := range families {
			if name == readme && strings.HasPrefix(metric, "muster_") {
				require.Regexp(t, `\b`+metric+`\b`, string(text), name)
			}
		}
	}
}
