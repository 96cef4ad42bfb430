package templates

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
)

// matcher is one condition of a filter.
type matcher = labels.Matcher

// View is what a reader asked the list of groups to show. It is the whole
// state of the page, and the query of its URL.
type View struct {
	Text     string // the filter as it was typed
	Matchers labels.Matchers
	Words    []string
	Err      *FilterError // what is wrong with Text; then nothing is filtered

	State    string // firing (the default), unreported, resolved or all
	Receiver string
	Source   string
	Sort     grouping.Sort
	By       []string // labels to regroup by
	Wall     bool

	Cursor string // of the page of groups, as grouping gave it
	From   int    // how many groups come before the page, for display
}

// The states that a view can show.
const (
	ViewFiring     = "firing"
	ViewUnreported = "unreported"
	ViewResolved   = "resolved"
	ViewAll        = "all"
)

// maxBy bounds the labels that are regrouped by.
const maxBy = 5

// ParseView reads the query of the list's URL: filter (repeatable), state,
// receiver, source, sort, by, view, cursor and from. What it does not know it
// leaves at its default.
func ParseView(q url.Values) View {
	v := View{
		Text: joinFilters(q["filter"]), State: ViewFiring, Receiver: q.Get("receiver"), Source: q.Get("source"),
		Sort: grouping.SortSeverity, Cursor: q.Get("cursor"), Wall: q.Get("view") == "wall",
	}
	v.Matchers, v.Words, v.Err = ParseFilter(v.Text)
	if s := q.Get("state"); slices.Contains([]string{ViewUnreported, ViewResolved, ViewAll}, s) {
		v.State = s
	}
	if s := grouping.Sort(q.Get("sort")); slices.Contains(grouping.Sorts(), s) {
		v.Sort = s
	}
	for _, names := range q["by"] {
		for name := range strings.SplitSeq(names, ",") {
			if name = strings.TrimSpace(name); name != "" && len(v.By) < maxBy && !slices.Contains(v.By, name) {
				v.By = append(v.By, name)
			}
		}
	}
	if n, err := strconv.Atoi(q.Get("from")); err == nil && n > 0 && v.Cursor != "" {
		v.From = n
	}
	return v
}

func joinFilters(filters []string) string {
	kept := make([]string, 0, len(filters))
	for _, f := range filters {
		if strings.TrimSpace(f) != "" {
			kept = append(kept, f)
		}
	}
	return strings.Join(kept, ", ")
}

// ListQuery is what to ask the manager for.
func (v View) ListQuery() grouping.ListQuery {
	q := grouping.ListQuery{
		Matchers: v.Matchers, Words: v.Words, Receiver: v.Receiver, Source: v.Source, Sort: v.Sort, Cursor: v.Cursor,
	}
	switch v.State {
	case ViewUnreported:
		q.States = []grouping.State{grouping.StateUnreported}
	case ViewResolved:
		q.States = []grouping.State{grouping.StateResolved}
	case ViewAll:
	default:
		q.States = []grouping.State{grouping.StateFiring, grouping.StateMixed}
	}
	return q
}

// Filtered reports whether the view leaves out groups by more than their state.
func (v View) Filtered() bool {
	return len(v.Matchers)+len(v.Words) > 0 || v.Receiver != "" || v.Source != ""
}

func (v View) encode() string {
	q := make(query, 0, 8)
	q.add("filter", v.filterText())
	if v.State != ViewFiring {
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
	q.add("cursor", v.Cursor)
	if v.Cursor != "" && v.From > 0 {
		q.add("from", strconv.Itoa(v.From))
	}
	return q.String()
}

func (v View) filterText() string {
	if v.Err != nil {
		return v.Text
	}
	return filterText(v.Matchers, v.Words)
}

func filterText(ms labels.Matchers, words []string) string {
	parts := make([]string, 0, len(ms)+1)
	for _, m := range ms {
		parts = append(parts, m.String())
	}
	if len(words) > 0 {
		parts = append(parts, strings.Join(words, " "))
	}
	return strings.Join(parts, ", ")
}

// first is the view from its first page on.
func (v View) first() View {
	v.Cursor, v.From = "", 0
	return v
}

// with is the view with one more matcher. A bad filter gives way to it.
func (v View) with(m *labels.Matcher) View {
	v = v.first()
	v.Text, v.Err = "", nil
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

// query is a URL query in a fixed order, without empty values.
type query []string

func (q *query) add(name, value string) {
	if value != "" {
		*q = append(*q, name+"="+escape(value))
	}
}

func (q query) String() string {
	if len(q) == 0 {
		return ""
	}
	return "?" + strings.Join(q, "&")
}
