package templates

import (
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

// View is the query of the list of groups. It is the whole state of the page, and
// the query of its URL.
type View struct {
	query.Groups

	By   []string // labels to group by
	Wall bool
	From int // number of groups before this page

	// All rows have the same source or receiver, which the page shows once.
	oneSource, oneReceiver bool
}

// viewOfState returns the view of all groups in a state.
func viewOfState(state string) View {
	return View{Groups: query.Groups{State: state, Sort: grouping.DefaultSort}}
}

// causeView returns the view of all alerts that are suppressed by a cause. An empty cause
// selects every one.
func causeView(cause grouping.MuteKind) View {
	v := viewOfState(query.StateSuppressed)
	v.Cause = cause
	return v
}

// LabelsView returns the view of the groups that have the labels, in any state. An
// empty source or receiver selects every one.
func LabelsView(of grouping.Labels, source, receiver string) View {
	v := viewOfState(query.StateAll)
	v.Source, v.Receiver = source, receiver
	for _, name := range of.Names() {
		v.Matchers = append(v.Matchers, equals(name, of.Get(name)))
	}
	return v
}

// ParseView reads the query of the list's URL: filter (repeatable), state, receiver,
// source, ack, sort, limit, by, view, cursor and from. It stores an error in the filter
// in the view, because the page shows it beside the list. It collects all other
// errors in p.
func ParseView(p *query.Params) View {
	v := View{Groups: p.Groups(query.StateFiring), By: p.By(), Wall: p.Choice("view", []string{"wall"}) != ""}
	if v.From = p.Number("from", 0, math.MaxInt32); v.Cursor == "" {
		v.From = 0
	}
	return v
}

// Page returns the first page of the view.
func (v View) Page(l Links) string { return l.Groups(v.first()) }

// ListQuery returns the query for the manager.
func (v View) ListQuery() grouping.ListQuery { return v.Query() }

// Filtered reports whether the view has a filter besides the state.
func (v View) Filtered() bool {
	return len(v.Matchers)+len(v.Words) > 0 || v.Receiver != "" || v.Source != "" || v.Silence != "" || v.Ack != ""
}

func (v View) encode() string {
	q := make(parameters, 0, 8)
	q.addFilter(v.Filter)
	if v.State != query.StateFiring {
		q.add("state", v.State)
	}
	q.add("cause", string(v.Cause))
	q.add("silence", v.Silence)
	q.add("receiver", v.Receiver)
	q.add("source", v.Source)
	q.add("ack", string(v.Ack))
	if v.Sort != grouping.DefaultSort {
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

// first returns the view with its first page.
func (v View) first() View {
	v.Cursor, v.From = "", 0
	return v
}

// ungrouped returns the view as a list of groups, on its first page.
func (v View) ungrouped() View {
	v = v.first()
	v.By = nil
	return v
}

// with returns the view with one more matcher. The matcher replaces a filter that
// has an error.
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

// without returns the view without its i-th matcher.
func (v View) without(i int) View {
	v = v.first()
	v.Matchers = slices.Delete(slices.Clone(v.Matchers), i, i+1)
	return v
}

// parameters is the query of a URL. It has a fixed order and no empty values.
type parameters []string

func (q *parameters) add(name, value string) {
	if value != "" {
		*q = append(*q, name+"="+escape(value))
	}
}

// addFilter adds a filter as one text. A filter with an error is added as the reader
// typed it.
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
