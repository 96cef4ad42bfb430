package templates

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"muster/history"
	"muster/internal/query"
)

// ReportView is the query of the report page.
type ReportView struct {
	query.Report

	// Window is the duration of a report until now, such as 7d, or "".
	Window string
	Sort   string // one of reportSorts, or ""
	All    bool   // all rows
}

// reportRows is the number of rows that a report shows first.
const reportRows = 20

// reportWindows are the durations that the form offers.
var reportWindows = []Option{{"24h", "last 24 hours", false}, {"7d", "last 7 days", false}, {"30d", "last 30 days", false}}

const (
	sortFirings       = "firings"
	sortTime          = "time"
	sortNotifications = "notifications"
)

// reportSorts are the orders of the rows.
var reportSorts = []string{sortFirings, sortTime, sortNotifications}

// ParseReportView reads the query of the report's URL. It collects the errors in p.
func ParseReportView(p *query.Params, now time.Time) ReportView {
	p.KeepLast("since") // the form has a list and a field
	// The window ends with the millisecond that links can write.
	now = now.Add(time.Millisecond - 1).Truncate(time.Millisecond)
	v := ReportView{Sort: p.Choice("sort", reportSorts), All: p.Bool("all")}
	since, until := p.Text("since"), p.Text("until")
	if until == "" {
		v.Window = cmp.Or(since, "7d")
		if !slices.ContainsFunc(reportWindows, func(o Option) bool { return o.Value == v.Window }) {
			v.Window = ""
		}
	}
	v.Report = p.Report(now)
	return v
}

func (v ReportView) encode() string {
	q := make(parameters, 0, 6)
	q.addFilter(v.Filter)
	if v.Window != "" {
		q.add("since", v.Window)
	} else {
		q.addTimes(v.Since, v.Until)
	}
	q.addReport(v)
	q.add("sort", v.Sort)
	if v.All {
		q.add("all", "true")
	}
	return q.String()
}

func (q *parameters) addTimes(since, until time.Time) {
	q.add("since", since.Format(time.RFC3339Nano))
	q.add("until", until.Format(time.RFC3339Nano))
}

func (q *parameters) addReport(v ReportView) {
	if v.By != "alertname" {
		q.add("by", v.By)
	}
}

// ReportData is the report as CSV or JSON. Its times are absolute.
func (l Links) ReportData(v ReportView, format string) string {
	q := make(parameters, 0, 5)
	q.addFilter(v.Filter)
	q.addTimes(v.Since, v.Until)
	q.addReport(v)
	q.add("format", format)
	return l.path("api", "v1", "report") + q.String()
}

// Report is the report that the view asks for.
func (l Links) Report(v ReportView) string { return l.path("report") + v.encode() }

// with returns the view with one more matcher.
func (v ReportView) with(name, value string) ReportView {
	v.Filter = withMatcher(v.Filter, name, value)
	v.All = false
	return v
}

func withMatcher(f query.Filter, name, value string) query.Filter {
	f.Matchers = append(slices.Clone(f.Matchers), equals(name, value))
	return f
}

// before returns the view of the window before.
func (v ReportView) before() ReportView {
	q := v.Query()
	w := q.Before()
	v.Since, v.Until, v.Window, v.All = w.Since, w.Until, "", false
	return v
}

// counted returns the view of what a number of the report counts.
func (v ReportView) counted(number history.Number) CountedView {
	return CountedView{query.Counted{Report: v.Report, Number: number}}
}

// CountedView is the query of the list behind a number of a report.
type CountedView struct{ query.Counted }

// ParseCountedView reads the query of the list's URL. It collects the errors in p.
func ParseCountedView(p *query.Params, now time.Time) CountedView {
	return CountedView{p.Counted(now.Add(time.Millisecond - 1).Truncate(time.Millisecond))}
}

// countedRows is the number of rows on a page of a list.
const countedRows = 100

// CountedQuery returns the query for the history.
func (v CountedView) CountedQuery() history.CountedQuery { return v.Query(countedRows) }

func (v CountedView) encode() string {
	q := make(parameters, 0, 10)
	q.addFilter(v.Filter)
	q.addTimes(v.Since, v.Until)
	q.addReport(ReportView{Report: v.Report})
	q.add("number", string(v.Number))
	q.add("receiver", v.Receiver)
	q.add("reason", v.Reason)
	if v.Hour != nil {
		q.add("weekday", query.Weekdays()[v.Hour.Day])
		q.add("hour", strconv.Itoa(v.Hour.Hour))
	}
	if v.Severity != nil {
		q.add("severity", v.Severity.String())
	}
	if v.From > 0 {
		q.add("from", strconv.Itoa(v.From))
	}
	return q.String()
}

// Counted is the list of what a number of a report counts.
func (l Links) Counted(v CountedView) string { return l.path("report", "list") + v.encode() }
