package query

import (
	"math"
	"slices"
	"time"

	"muster/grouping"
	"muster/history"
)

// defaultReportWindow is how much of the past a report is about if nobody says it.
const defaultReportWindow = 7 * 24 * time.Hour

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
		r.Since = r.Until.Add(-defaultReportWindow)
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

// Counted has the parameters of the list behind a number of a report.
type Counted struct {
	Report

	Number   history.Number
	Receiver string
	Reason   string
	Hour     *history.WeekHour
	Severity *grouping.Severity
	From     int // number of rows before this page
}

// Weekdays are the words of the weekdays. Monday is first.
func Weekdays() []string { return []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} }

// Counted reads the parameters of Report, and number, receiver, reason, weekday and hour,
// severity, and from.
func (p *Params) Counted(now time.Time) Counted {
	c := Counted{
		Report: p.Report(now), Number: history.Number(p.Choice("number", textsOf(history.Numbers()))), Receiver: p.Text("receiver"),
		Reason: p.Choice("reason", append(history.KnownReasons(), history.OtherReasons)), From: p.Number("from", 0, math.MaxInt32),
	}
	if c.Number == "" {
		c.Number = history.NumberFirings
	}
	hour := p.Number("hour", 0, 23)
	if day := p.Choice("weekday", Weekdays()); day != "" {
		c.Hour = &history.WeekHour{Day: slices.Index(Weekdays(), day), Hour: hour}
	}
	if word := p.Choice("severity", severityWords()); word != "" {
		severity := grouping.Severity(slices.Index(severityWords(), word))
		c.Severity = &severity
	}
	return c
}

// severityWords are the words of the severities, by grouping.Severity.
func severityWords() []string {
	words := make([]string, history.Severities)
	for i := range words {
		words[i] = grouping.Severity(i).String()
	}
	return words
}

// Query returns the query for the history.
func (c *Counted) Query(limit int) history.CountedQuery {
	return history.CountedQuery{
		ReportQuery: c.Report.Query(), Number: c.Number, Receiver: c.Receiver, Reason: c.Reason, Hour: c.Hour, Severity: c.Severity,
		Offset: c.From, Limit: limit,
	}
}
