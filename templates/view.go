package templates

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
	"muster/internal/query"
)

// matcher is one condition of a filter.
type matcher = labels.Matcher

// View is what a reader asked the list of groups to show. It is the whole
// state of the page, and the query of its URL.
type View struct {
	query.Groups

	By   []string // labels to regroup by
	Wall bool
	From int // how many groups come before the page, for display

	// What the page says once for all of its rows.
	oneSource, oneReceiver bool
}

// viewOf is the view of all groups of a state.
func viewOfState(state string) View {
	return View{Groups: query.Groups{State: state, Sort: grouping.SortSeverity}}
}

// LabelsView is the view of the groups of a source and a receiver, in any state,
// that have the labels; "" stands for every source or receiver.
func LabelsView(of grouping.Labels, source, receiver string) View {
	v := viewOfState(query.StateAll)
	v.Source, v.Receiver = source, receiver
	for _, name := range of.Names() {
		v.Matchers = append(v.Matchers, equals(name, of[name]))
	}
	return v
}

// maxBy bounds the labels that are regrouped by.
const maxByLabels = 5

// ParseView reads the query of the list's URL: filter (repeatable), state,
// receiver, source, sort, limit, by, view, cursor and from. What is wrong with
// the filter is told beside the list, what is wrong with the rest is kept in p.
func ParseView(p *query.Params) View {
	v := View{Groups: p.Groups(query.StateFiring), By: p.List("by"), Wall: p.Choice("view", []string{"wall"}) != ""}
	v.Sort = cmp.Or(v.Sort, grouping.SortSeverity)
	if len(v.By) > maxByLabels {
		p.Fault("by", "at most "+strconv.Itoa(maxByLabels)+" labels can be regrouped by")
	}
	if v.From = p.Number("from", 0, math.MaxInt32); v.Cursor == "" {
		v.From = 0
	}
	return v
}

// ListQuery is what to ask the manager for.
func (v View) ListQuery() grouping.ListQuery { return v.Query() }

// Filtered reports whether the view leaves out groups by more than their state.
func (v View) Filtered() bool {
	return len(v.Matchers)+len(v.Words) > 0 || v.Receiver != "" || v.Source != ""
}

func (v View) encode() string {
	q := make(parameters, 0, 8)
	q.addFilter(v.Filter)
	if v.State != query.StateFiring {
		q.add("state", v.State)
	}
	q.add("receiver", v.Receiver)
	q.add("source", v.Source)
	if v.Sort != grouping.SortSeverity {
		q.add("sort", string(v.Sort))
	}
	q.add("by", strings.Join(v.By, ","))
	if v.Wall {
		q.add("view", "wall")
	}
	if v.Limit > 0 {
		q.add("limit", strconv.Itoa(v.Limit))
	}
	q.add("cursor", v.Cursor)
	if v.Cursor != "" && v.From > 0 {
		q.add("from", strconv.Itoa(v.From))
	}
	return q.String()
}

// first is the view from its first page on.
func (v View) first() View {
	v.Cursor, v.From = "", 0
	return v
}

// ungrouped is the list of groups in place of a list by label.
func (v View) ungrouped() View {
	v = v.first()
	v.By = nil
	return v
}

// with is the view with one more matcher. A bad filter gives way to it.
func (v View) with(m *labels.Matcher) View {
	v = v.first()
	v.Texts, v.Err = nil, nil
	for _, old := range v.Matchers {
		if old.String() == m.String() {
			return v
		}
	}
	v.Matchers = append(slices.Clip(v.Matchers), m)
	return v
}

// without is the view without its i-th matcher.
func (v View) without(i int) View {
	v = v.first()
	v.Matchers = slices.Delete(slices.Clone(v.Matchers), i, i+1)
	return v
}

// parameters are a URL's query in a fixed order, without empty values.
type parameters []string

func (q *parameters) add(name, value string) {
	if value != "" {
		*q = append(*q, name+"="+escape(value))
	}
}

// addFilter adds a filter as one text, or as it was typed if it cannot be read.
func (q *parameters) addFilter(f query.Filter) {
	if f.Err == nil {
		q.add("filter", f.Text())
		return
	}
	for _, text := range f.Texts {
		q.add("filter", text)
	}
}

func (q parameters) String() string {
	if len(q) == 0 {
		return ""
	}
	return "?" + strings.Join(q, "&")
}
