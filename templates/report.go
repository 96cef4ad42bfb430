package templates

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/grouping"
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
	q.add("since", since.Format(time.RFC3339))
	q.add("until", until.Format(time.RFC3339))
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

// events is the history of the report's window with the kinds.
func (v ReportView) events(kinds ...grouping.EventKind) HistoryView {
	return HistoryView{query.Events{Filter: v.Filter, Since: v.Since, Until: v.Until, Kinds: kinds}}
}

// ReportPage says what the alerts of a time cost.
type ReportPage struct {
	Frame

	Action       string
	Text         string
	Err          *query.FilterError
	Chips        []Chip
	Clear        string
	Windows, Bys []Option
	Since, Until string // of the fields
	CSV, JSON    string
	Says         string
	Gaps         string // "2 gaps"
	GapsHref     string
	AfterGaps    string
	Figures      []Figure
	By           string // heading of the first column
	Shown        string
	Sorts        []Chip
	Rows         []ReportRow
	All, AllHref string
	Hours        []string
	Heat         []HeatRow
	Days         []DayRow
	DaysTitle    string
	Reasons      []string
	Receivers    []ReceiverRow
	Empty        *Empty
	UnknownEnds  string
}

// Figure is one number of a report.
type Figure struct{ Label, Value, Small, Href string }

// ReportRow has the numbers of the alerts with one key.
type ReportRow struct {
	Key      string
	Severity *Severity
	Name     string
	Href     string
	Now      string // the list of what fires now, or ""
	Firings  string
	Change   string
	Events   string // href of the firings
	Bar      string // width in percent
	Time     string
	Median   string
	P90      string
	Flaps    string
	Self     string
	Muted    string
	Notified string
}

// HeatRow has the firings of a weekday by hour.
type HeatRow struct {
	Day   string
	Cells []HeatCell
}

// HeatCell has the firings of an hour. Level is from 0 to 4.
type HeatCell struct {
	Text  string
	Level int
}

// DayRow has the firings of a day or a week.
type DayRow struct {
	Day, Href, Total, Critical string
	Bars                       []Bar
}

// Bar is a part of a bar, in percent.
type Bar struct{ Class, X, Width string }

// ReceiverRow has the notifications to a receiver, by the reasons of the page.
type ReceiverRow struct {
	Receiver, All, Href string
	Counts              []LabeledCount
}

// LabeledCount is a number with the heading of its column.
type LabeledCount struct{ Label, Text string }

// NewReportPage makes the report. fires reports whether a view of the list has firing groups.
// If v.Err is set, the report is that without the filter.
func NewReportPage(s *Site, v ReportView, r *history.Report, fires func(View) bool) *ReportPage {
	p := &ReportPage{
		Frame: s.newFrame("report", "Report"), Action: s.Links.Report(ReportView{Report: query.Report{By: "alertname"}, Window: "7d"}),
		Text: v.Text(), Err: v.Err, CSV: s.Links.ReportData(v, "csv"), JSON: s.Links.ReportData(v, ""),
	}
	p.Action, _, _ = strings.Cut(p.Action, "?")
	p.Still = true
	if v.Err != nil {
		p.status = codeBadRequest
	}
	p.setForm(v)
	p.setChips(s, v)
	p.setSays(s, v, r)
	if r.Totals.Firings == 0 && r.Totals.Firing == 0 && r.Totals.Notifications == 0 {
		p.Empty = &Empty{Title: "Nothing fired in this time"}
		return p
	}
	p.Figures = figures(s, v, r)
	p.setRows(s, v, r, fires)
	p.setHeat(r)
	p.setDays(s, v, r)
	p.setReceivers(s, v, r)
	return p
}

func (p *ReportPage) setForm(v ReportView) {
	for _, o := range reportWindows {
		o.Selected = o.Value == v.Window
		p.Windows = append(p.Windows, o)
	}
	if v.Window == "" {
		p.Windows = append([]Option{{"", "other times", true}}, p.Windows...)
		p.Since, p.Until = v.Since.Format("2006-01-02T15:04"), v.Until.Format("2006-01-02T15:04")
	}
	for _, by := range []string{"alertname", history.ByReceiver, "namespace", grouping.SeverityLabel()} {
		text := "by " + by
		if by == "alertname" {
			text = "by alert"
		}
		p.Bys = append(p.Bys, Option{by, text, by == v.By})
	}
	if !slices.ContainsFunc(p.Bys, func(o Option) bool { return o.Selected }) {
		p.Bys = append(p.Bys, Option{v.By, "by " + shorten(v.By), true})
	}
	p.By = shorten(v.By)
	switch v.By {
	case "alertname":
		p.By = "Alert"
	case history.ByReceiver:
		p.By = "Receiver"
	}
}

func (p *ReportPage) setChips(s *Site, v ReportView) {
	c := chips[ReportView]{view: v, href: s.Links.Report}
	c.addFilter(func(to *ReportView) *query.Filter { return &to.Filter })
	if p.Chips = c.list; len(p.Chips) > 0 || v.Err != nil {
		v.Filter = query.Filter{}
		p.Clear = s.Links.Report(v)
	}
}

// setSays sets the sentence about the time of the report.
func (p *ReportPage) setSays(s *Site, v ReportView, r *history.Report) {
	length := r.Until.Sub(r.Since)
	window := windowText(length)
	p.Says = formatClock(r.Since.UTC(), s.Now) + " to " + formatClock(r.Until.UTC(), s.Now) + " UTC"
	switch {
	case r.Before != nil:
		p.Says += ", compared with the " + window + " before."
	default:
		p.Says += ". The " + window + " before are not in the history."
	}
	if !r.KnownSince.IsZero() {
		p.Says += " The history begins " + formatClock(r.KnownSince.UTC(), s.Now) + "."
	}
	if len(r.Gaps) > 0 {
		missing := time.Duration(0)
		for _, g := range r.Gaps {
			missing += g.To.Sub(g.From)
		}
		p.Says += " No data for " + Age(missing) + " of it ("
		gaps := v.events(grouping.EventGap)
		gaps.Filter = query.Filter{}
		p.Gaps, p.GapsHref = plural(len(r.Gaps), "gap", "gaps"), s.Links.History(gaps)
		p.AfterGaps = "): the numbers are lower bounds."
	}
	if n := r.Totals.UnknownEnds; n*10 > r.Totals.Ended+n {
		p.UnknownEnds = plural(n, "firing", "firings") + " without a known end " + plainly(n, "is", "are") + " left out of median and shares."
	}
}

// windowText writes a duration in one unit if it can.
func windowText(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = d.Round(time.Minute); {
	case d >= 2*day && d%day == 0:
		return strconv.Itoa(int(d/day)) + " days"
	case d%time.Hour == 0 && d > time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " hours"
	default:
		return Age(d)
	}
}

// figures returns the numbers at the top.
func figures(s *Site, v ReportView, r *history.Report) []Figure {
	t, b, compared := &r.Totals, &r.TotalsBefore, r.Before != nil
	href := func(kinds ...grouping.EventKind) string { return s.Links.History(v.events(kinds...)) }
	count := func(now, before int) string {
		if !compared {
			return ""
		}
		if now == before {
			return "as before"
		}
		return arrow(now-before, formatCount) + ", before " + formatCount(before)
	}
	duration := func(now, before time.Duration) string {
		if !compared {
			return ""
		}
		return arrow(int((now-before)/time.Second), secondsText) + ", before " + Age(before)
	}
	median, resolve := "none ended", ""
	if t.Ended > 0 {
		median, resolve = Age(t.Median), "90 % within "+Age(t.P90)
	}
	share := func(n, before int) (value, small string) {
		value, small = shareText(t, n), plural(n, "firing", "firings")
		if compared && b.Ended > 0 && t.Ended > 0 {
			points := percent(n, t.Ended) - percent(before, b.Ended)
			small = arrow(points, func(n int) string { return plural(n, "point", "points") }) + ": " + small
		}
		return value, small
	}
	self, selfSmall := share(t.SelfResolved, b.SelfResolved)
	muted, mutedSmall := share(t.Suppressed, b.Suppressed)
	flapped := ""
	if compared {
		flapped = arrow(t.Flapped-b.Flapped, formatCount)
	}
	return []Figure{
		{"firings", formatCount(t.Firings), count(t.Firings, b.Firings), href(grouping.EventFired, grouping.EventRefired)},
		{"time firing", Age(t.Firing), duration(t.Firing, b.Firing), href()},
		{"median time to resolve", median, resolve, href(grouping.EventResolved)},
		{
			"notifications", formatCount(t.Notifications), count(t.Notifications, b.Notifications),
			href(grouping.EventNotified, grouping.EventDelivered),
		},
		{"over within 5m by itself", self, selfSmall, href(grouping.EventResolved)},
		{"suppressed", muted, mutedSmall, href(grouping.EventSuppressed)},
		{"flapped", plural(t.Flapped, "alert", "alerts"), flapped, href(grouping.EventRefired)},
	}
}

func secondsText(n int) string { return Age(time.Duration(n) * time.Second) }

// arrow writes a difference with its direction.
func arrow(n int, text func(int) string) string {
	switch {
	case n > 0:
		return "↑ " + text(n)
	case n < 0:
		return "↓ " + text(-n)
	default:
		return "as before"
	}
}

func percent(n, of int) int { return (200*n + of) / (2 * of) }

// shareText writes the share of the ended episodes.
func shareText(r *history.Row, n int) string {
	if r.Ended == 0 {
		return "–"
	}
	return strconv.Itoa(percent(n, r.Ended)) + " %"
}

func (p *ReportPage) setRows(s *Site, v ReportView, r *history.Report, fires func(View) bool) {
	rows := slices.Clone(r.Rows)
	sort := cmp.Or(v.Sort, sortFirings)
	slices.SortStableFunc(rows, func(a, b history.Row) int {
		switch sort {
		case sortTime:
			return cmp.Compare(b.Firing, a.Firing)
		case sortNotifications:
			return cmp.Compare(b.Notifications, a.Notifications)
		default:
			return 0
		}
	})
	total := len(rows)
	words := map[string]string{sortFirings: "firings", sortTime: "time firing", sortNotifications: "notifications"}
	if total > reportRows && !v.All {
		rows = rows[:reportRows]
		to := v
		to.All = true
		p.All, p.AllHref = "Show all "+formatCount(total), s.Links.Report(to)
	}
	p.Shown = formatCount(len(rows)) + " of " + formatCount(total) + ", by " + words[sort]
	for _, other := range reportSorts {
		if other != sort {
			to := v
			to.Sort = other
			p.Sorts = append(p.Sorts, Chip{Text: "by " + words[other], Href: s.Links.Report(to)})
		}
	}
	most := 1
	for i := range rows {
		most = max(most, rows[i].Firings)
	}
	for i := range rows {
		p.Rows = append(p.Rows, newReportRow(s, v, &rows[i], r.Before != nil, most, fires))
	}
}

func newReportRow(s *Site, v ReportView, r *history.Row, compared bool, most int, fires func(View) bool) ReportRow {
	row := ReportRow{
		Key: r.Key, Name: shorten(r.Key), Firings: formatCount(r.Firings), Bar: strconv.Itoa(100 * r.Firings / most), Time: Age(r.Firing),
		Median: "none ended", P90: "–", Flaps: formatCount(r.Flaps), Self: shareText(r, r.SelfResolved), Muted: shareText(r, r.Suppressed),
		Notified: formatCount(r.Notifications),
	}
	if r.Ended > 0 {
		row.Median, row.P90 = Age(r.Median), Age(r.P90)
	}
	switch {
	case !compared:
	case r.FiringsBefore == 0 && r.Firings > 0:
		row.Change = "new"
	default:
		row.Change = arrow(r.Firings-r.FiringsBefore, formatCount)
	}
	events, list := v.events(grouping.EventFired, grouping.EventRefired), viewOfState(query.StateFiring)
	list.Filter = v.Filter
	if v.By == history.ByReceiver {
		events.Receiver, list.Receiver = r.Key, r.Key
		all := v.events()
		all.Receiver = r.Key
		row.Href = s.Links.History(all)
	} else {
		look := severities[r.Severity]
		look.Word = cmp.Or(shorten(r.SeverityWord), look.Word)
		row.Severity = &look
		if row.Name == "" {
			row.Name = "no " + shorten(v.By)
		}
		if len(r.Key) <= maxLinkLength {
			row.Href = s.Links.Report(v.with(v.By, r.Key))
			events.Filter, list.Filter = withMatcher(v.Filter, v.By, r.Key), withMatcher(v.Filter, v.By, r.Key)
		}
	}
	row.Events = s.Links.History(events)
	if fires != nil && fires(list) {
		row.Now = s.Links.Groups(list)
	}
	return row
}

func (p *ReportPage) setHeat(r *history.Report) {
	most := 0
	for _, day := range r.Heat {
		most = max(most, slices.Max(day[:]))
	}
	for hour := range 24 {
		p.Hours = append(p.Hours, strconv.Itoa(hour/10)+strconv.Itoa(hour%10))
	}
	for i, day := range r.Heat {
		row := HeatRow{Day: []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}[i]}
		for _, n := range day {
			cell := HeatCell{Text: "·"}
			if n > 0 {
				cell = HeatCell{formatCount(n), max(1, (4*n+most-1)/most)}
			}
			row.Cells = append(row.Cells, cell)
		}
		p.Heat = append(p.Heat, row)
	}
}

// maxDayRows is the number of days above which a report shows weeks.
const maxDayRows = 45

func (p *ReportPage) setDays(s *Site, v ReportView, r *history.Report) {
	days, step := r.Days, 1
	p.DaysTitle = "Day by day"
	if len(days) > maxDayRows {
		step, p.DaysTitle = 7, "Week by week"
	}
	var joined []history.Day
	most := 1
	for i, day := range days {
		if i%step == 0 {
			joined = append(joined, history.Day{Day: day.Day})
		}
		d := &joined[len(joined)-1]
		d.Firings += day.Firings
		for severity, n := range day.BySeverity {
			d.BySeverity[severity] += n
		}
		most = max(most, d.Firings)
	}
	for _, day := range joined {
		events := v.events(grouping.EventFired, grouping.EventRefired)
		if day.Day.After(v.Since) {
			events.Since = day.Day
		}
		if end := day.Day.AddDate(0, 0, step); end.Before(v.Until) {
			events.Until = end
		}
		row := DayRow{Day: day.Day.Format("Mon Jan 2"), Href: s.Links.History(events), Total: formatCount(day.Firings)}
		if n := day.BySeverity[grouping.SeverityCritical]; n > 0 {
			row.Critical = formatCount(n) + " critical"
		}
		x := 0.0
		for severity, n := range day.BySeverity {
			if width := 100 * float64(n) / float64(most); n > 0 {
				row.Bars = append(row.Bars, Bar{severities[severity].Class, decimal(x), decimal(width)})
				x += width
			}
		}
		p.Days = append(p.Days, row)
	}
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// reasonTitles are the columns of the reasons that Alertmanager sends, in their order.
var reasonTitles = []struct{ reason, title string }{
	{"first notification", "First"},
	{"new alerts added", "New alerts"},
	{"some alerts resolved", "Some resolved"},
	{"all alerts resolved", "All resolved"},
	{"repeat interval elapsed", "Repeats"},
}

func (p *ReportPage) setReceivers(s *Site, v ReportView, r *history.Report) {
	for _, c := range reasonTitles {
		p.Reasons = append(p.Reasons, c.title)
	}
	p.Reasons = append(p.Reasons, "Other")
	for _, c := range r.Receivers {
		events := v.events(grouping.EventNotified)
		events.Receiver = c.Receiver
		row := ReceiverRow{Receiver: shorten(c.Receiver), All: formatCount(c.Notifications), Href: s.Links.History(events)}
		rest := c.Notifications
		for _, known := range reasonTitles {
			n := c.ByReason[known.reason]
			rest -= n
			row.Counts = append(row.Counts, LabeledCount{strings.ToLower(known.title), formatCount(n)})
		}
		row.Counts = append(row.Counts, LabeledCount{"other", formatCount(rest)})
		p.Receivers = append(p.Receivers, row)
	}
}
