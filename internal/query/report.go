package query

import (
	"time"

	"muster/history"
)

// DefaultReportWindow is how much of the past a report is about if nobody says it.
const DefaultReportWindow = 7 * 24 * time.Hour

// Report has the parameters of a report.
type Report struct {
	Filter

	Since, Until time.Time
	By           string
}

// Report reads filter, since, until and by.
func (p *Params) Report(now time.Time) Report {
	r := Report{Filter: p.Filter(), Since: p.Time("since", now), Until: p.Time("until", now)}
	if r.Until.IsZero() {
		r.Until = now.UTC()
	}
	if r.Since.IsZero() {
		r.Since = r.Until.Add(-DefaultReportWindow)
	}
	switch {
	case !r.Since.Before(now):
		p.AddProblem("since", "is in the future")
	case !r.Since.Before(r.Until):
		p.AddProblem("since", "is not before until")
	}
	switch by := p.List("by"); len(by) {
	case 0:
		r.By = "alertname"
	case 1:
		r.By = by[0]
	default:
		p.AddProblem("by", "more than one label name")
	}
	return r
}

// Query returns the query for the history.
func (r *Report) Query() history.ReportQuery {
	return history.ReportQuery{Since: r.Since, Until: r.Until, Matchers: r.Matchers, Words: r.Words, By: r.By}
}
