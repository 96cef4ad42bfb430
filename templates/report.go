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
	Says         Phrases
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
	Legend       []Severity // of the bars
	Reasons      []string
	Receivers    []ReceiverRow
	Empty        *Empty
}

// Figure is one number of a report. Href is empty if it counts nothing.
type Figure struct{ Label, Value, Small, Href string }

// ReportRow has the numbers of the alerts with one key.
type ReportRow struct {
	Key      string
	Severity *Severity
	Name     string
	Href     string
	Now      string // the list of what fires now, or ""
	Firings  NumberLink
	Change   string
	Bar      string       // width in percent
	Numbers  []NumberLink // the other columns
}

// NumberLink is a number with the heading of its column. It leads to what it counts, unless that
// is nothing.
type NumberLink struct{ Label, Text, Href string }

// countedHref returns the address of the list of what is counted, or "" if the list is empty.
func (s *Site) countedHref(count int, to CountedView) string {
	if count == 0 {
		return ""
	}
	return s.Links.Counted(to)
}

// HeatRow has the firings of a weekday by hour.
type HeatRow struct {
	Day   string
	Cells []HeatCell
}

// HeatCell has the firings of an hour. Level is from 0 to 4.
type HeatCell struct {
	Text, Href string
	Level      int
}

// DayRow has the firings of a day or a week.
type DayRow struct {
	Day             string
	Total, Critical NumberLink // Critical has no text if there is none
	Bars            []Bar
}

// Bar is a part of a bar, in percent.
type Bar struct{ Class, X, Width string }

// ReceiverRow has the notifications to a receiver, by the reasons of the page.
type ReceiverRow struct {
	Receiver string
	Counts   []NumberLink
}

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
	p.setHeat(s, v, r)
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
	p.Says.say(formatClock(r.Since.UTC(), s.Now) + " to " + formatClock(r.Until.UTC(), s.Now) + " UTC")
	switch {
	case r.Before != nil:
		p.Says.say(", compared with ")
		p.Says = append(p.Says, Phrase{Text: "the " + window + " before", Href: s.Links.Report(v.before())})
		p.Says.say(".")
	default:
		p.Says.say(". The " + window + " before are not in the history.")
	}
	if !r.KnownSince.IsZero() {
		p.Says.say(" The history begins " + formatClock(r.KnownSince.UTC(), s.Now) + ".")
	}
	if len(r.Gaps) > 0 {
		missing := time.Duration(0)
		for _, g := range r.Gaps {
			missing += g.To.Sub(g.From)
		}
		p.Says.say(" No data for " + Age(missing) + " of it (")
		p.Says = append(p.Says, Phrase{Text: plural(len(r.Gaps), "gap", "gaps"), Href: s.Links.Counted(v.counted(history.NumberGaps))})
		p.Says.say("): the numbers are lower bounds.")
	}
	if n := r.Totals.UnknownEnds; n*10 > r.Totals.Ended+n {
		p.Says.say(" ")
		p.Says = append(p.Says, Phrase{
			Text: plural(n, "firing", "firings") + " without a known end", Href: s.Links.Counted(v.counted(history.NumberUnknownEnds)),
		})
		p.Says.say(" " + plainly(n, "is", "are") + " left out of median and shares.")
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
	href := func(n history.Number, of int) string { return s.countedHref(of, v.counted(n)) }
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
		{"firings", formatCount(t.Firings), count(t.Firings, b.Firings), href(history.NumberFirings, t.Firings)},
		{"time firing", Age(t.Firing), duration(t.Firing, b.Firing), href(history.NumberFiring, int(t.Firing))},
		{"median time to resolve", median, resolve, href(history.NumberEnded, t.Ended)},
		{
			"notifications", formatCount(t.Notifications), count(t.Notifications, b.Notifications),
			href(history.NumberNotifications, t.Notifications),
		},
		{"over within 5m by itself", self, selfSmall, href(history.NumberSelfResolved, t.SelfResolved)},
		{"suppressed", muted, mutedSmall, href(history.NumberSuppressed, t.Suppressed)},
		acknowledged(s, v, t),
		{"flapped", plural(t.Flapped, "alert", "alerts"), flapped, href(history.NumberFlaps, t.Flaps)},
	}
}

// acknowledged returns the share that people acknowledged: of the critical firings that ended, or
// of all if none of them was critical.
func acknowledged(s *Site, v ReportView, t *history.Row) Figure {
	to := v.counted(history.NumberAcknowledged)
	n, of, after, what := t.Acknowledged, t.Ended, t.AckMedian, "of all"
	if t.Critical > 0 {
		worst := grouping.SeverityCritical
		to.Severity = &worst
		n, of, after, what = t.CriticalAcknowledged, t.Critical, t.CriticalAckMedian, "of critical"
	}
	f := Figure{Label: "acknowledged", Value: "–", Small: what, Href: s.countedHref(n, to)}
	if of > 0 {
		f.Value = strconv.Itoa(percent(n, of)) + " %"
	}
	if n > 0 {
		f.Small += ", median after " + Age(after)
	}
	return f
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
	row := ReportRow{Key: r.Key, Name: shorten(r.Key), Bar: strconv.Itoa(100 * r.Firings / most)}
	switch {
	case !compared:
	case r.FiringsBefore == 0 && r.Firings > 0:
		row.Change = "new"
	default:
		row.Change = arrow(r.Firings-r.FiringsBefore, formatCount)
	}
	counted, list, linked := v.counted(""), viewOfState(query.StateFiring), true
	list.Filter = v.Filter
	if v.By == history.ByReceiver {
		counted.Receiver, list.Receiver = r.Key, r.Key
	} else {
		look := severities[r.Severity]
		look.Word = cmp.Or(shorten(r.SeverityWord), look.Word)
		row.Severity = &look
		if row.Name == "" {
			row.Name = "no " + shorten(v.By)
		}
		if linked = len(r.Key) <= maxLinkLength; linked {
			row.Href = s.Links.Report(v.with(v.By, r.Key))
			counted.Filter, list.Filter = withMatcher(v.Filter, v.By, r.Key), withMatcher(v.Filter, v.By, r.Key)
		}
	}
	number := func(label, text string, n history.Number, of int) NumberLink {
		if !linked {
			of = 0
		}
		to := counted
		to.Number = n
		return NumberLink{label, text, s.countedHref(of, to)}
	}
	row.setNumbers(r, number)
	if fires != nil && fires(list) {
		row.Now = s.Links.Groups(list)
	}
	return row
}

func (row *ReportRow) setNumbers(r *history.Row, number func(label, text string, n history.Number, of int) NumberLink) {
	median, p90 := "none ended", "–"
	if r.Ended > 0 {
		median, p90 = Age(r.Median), Age(r.P90)
	}
	row.Firings = number("firings", formatCount(r.Firings), history.NumberFirings, r.Firings)
	row.Numbers = []NumberLink{
		number("time firing", Age(r.Firing), history.NumberFiring, int(r.Firing)),
		number("median", median, history.NumberEnded, r.Ended),
		number("90 % within", p90, history.NumberEnded, r.Ended),
		number("flaps", formatCount(r.Flaps), history.NumberFlaps, r.Flaps),
		number("over in 5m", shareText(r, r.SelfResolved), history.NumberSelfResolved, r.SelfResolved),
		number("suppressed", shareText(r, r.Suppressed), history.NumberSuppressed, r.Suppressed),
		number("acknowledged", shareText(r, r.Acknowledged), history.NumberAcknowledged, r.Acknowledged),
		number("notified", formatCount(r.Notifications), history.NumberNotifications, r.Notifications),
	}
}

func (p *ReportPage) setHeat(s *Site, v ReportView, r *history.Report) {
	most := 0
	for _, day := range r.Heat {
		most = max(most, slices.Max(day[:]))
	}
	for hour := range 24 {
		p.Hours = append(p.Hours, strconv.Itoa(hour/10)+strconv.Itoa(hour%10))
	}
	for i, day := range r.Heat {
		row := HeatRow{Day: []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}[i]}
		for hour, n := range day {
			cell := HeatCell{Text: "·"}
			if n > 0 {
				to := v.counted(history.NumberFirings)
				to.Hour = &history.WeekHour{Day: i, Hour: hour}
				cell = HeatCell{formatCount(n), s.Links.Counted(to), max(1, (4*n+most-1)/most)}
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
	var all [history.Severities]int
	most := 1
	for i, day := range days {
		if i%step == 0 {
			joined = append(joined, history.Day{Day: day.Day})
		}
		d := &joined[len(joined)-1]
		d.Firings += day.Firings
		for severity, n := range day.BySeverity {
			d.BySeverity[severity] += n
			all[severity] += n
		}
		most = max(most, d.Firings)
	}
	for severity, n := range all {
		if n > 0 {
			p.Legend = append(p.Legend, severities[severity])
		}
	}
	for _, day := range joined {
		to := v.counted(history.NumberFirings)
		if day.Day.After(v.Since) {
			to.Since = day.Day
		}
		if end := day.Day.AddDate(0, 0, step); end.Before(v.Until) {
			to.Until = end
		}
		row := DayRow{Day: day.Day.Format("Mon Jan 2"), Total: NumberLink{Text: formatCount(day.Firings), Href: s.countedHref(day.Firings, to)}}
		if n := day.BySeverity[grouping.SeverityCritical]; n > 0 {
			critical := grouping.SeverityCritical
			to.Severity = &critical
			row.Critical = NumberLink{Text: formatCount(n) + " critical", Href: s.Links.Counted(to)}
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

// reasonTitles are the columns of history.KnownReasons.
var reasonTitles = []string{"First", "New alerts", "Some resolved", "All resolved", "Repeats"}

func (p *ReportPage) setReceivers(s *Site, v ReportView, r *history.Report) {
	p.Reasons = append(append([]string{"All"}, reasonTitles...), "Other")
	for _, c := range r.Receivers {
		row := ReceiverRow{Receiver: shorten(c.Receiver)}
		add := func(title string, n int, reason string) {
			to := v.counted(history.NumberNotifications)
			to.Receiver, to.Reason = c.Receiver, reason
			row.Counts = append(row.Counts, NumberLink{strings.ToLower(title), formatCount(n), s.countedHref(n, to)})
		}
		add("All", c.Notifications, "")
		rest := c.Notifications
		for i, reason := range history.KnownReasons() {
			rest -= c.ByReason[reason]
			add(reasonTitles[i], c.ByReason[reason], reason)
		}
		add("Other", rest, history.OtherReasons)
		p.Receivers = append(p.Receivers, row)
	}
}
