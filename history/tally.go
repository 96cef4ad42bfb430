package history

import (
	"cmp"
	"slices"
	"time"

	"muster/grouping"
)

// Report answers the query. Of the time before the digest begins, only that is counted of
// which its beginning or its events tell.
func (d *Digest) Report(q ReportQuery) *Report {
	t := d.newTally(q)
	if before := q.Before(); !before.Since.Before(d.since) && before.Since.Before(before.Until) {
		t.report.Before, t.before = &before, stretchOf(before)
	}
	t.addDays()
	t.addGaps()
	t.addAlerts()
	t.addNotes()
	t.finish()
	return t.report
}

func (d *Digest) newTally(q ReportQuery) tally {
	t := tally{
		d: d, q: q, window: stretchOf(Window{q.Since, q.Until}),
		report: &Report{Window: Window{q.Since, q.Until}, By: q.By}, rowOf: map[string]int{},
	}
	if d.since.After(q.Since) {
		t.report.KnownSince = d.since
	}
	return t
}

// addAlerts counts the episodes of the selected alerts.
func (t *tally) addAlerts() {
	t.selected = make([]int32, len(t.d.alerts))
	for i := range t.d.alerts {
		t.selected[i] = notSelected
		if t.selects(&t.d.alerts[i]) {
			t.selected[i] = 0
			t.addAlert(i)
		}
	}
}

// stretch is a Window in milliseconds.
type stretch struct{ since, until millis }

// stretchOf rounds up, so that a window until now has what happened just before.
func stretchOf(w Window) stretch {
	up := func(t time.Time) millis { return millis(t.Add(time.Millisecond - 1).UnixMilli()) }
	return stretch{up(w.Since), up(w.Until)}
}

func (s stretch) has(t millis) bool { return s.since <= t && t < s.until }

// inside returns how much of an interval is inside.
func (s stretch) inside(from, to millis) millis { return max(0, min(to, s.until)-max(from, s.since)) }

const notSelected = -1

// tally counts for one report.
type tally struct {
	d              *Digest
	q              ReportQuery
	window, before stretch // before is empty if there is none
	report         *Report

	totals, totalsBefore count
	rows                 []count
	rowOf                map[string]int // index in rows
	// selected has the row of each alert, or notSelected. By receiver there is no such row.
	selected []int32
	sorted   []episode // memory for the episodes of one alert
	of       []int     // memory for the rows of one episode
	// visit gets the selected episodes instead, and visitNote the notifications of the window
	// with the group, if they are not nil. An occurrence is valid during the call.
	visit     func(*occurrence)
	visitNote func(group int, n *note)
}

// count counts for one row.
type count struct {
	Row

	firing    millis
	durations []millis // of the ended episodes
	// acked and criticalAcked are how long after their begin episodes were acknowledged.
	acked, criticalAcked []millis
	last                 millis
	active               bool  // the row has anything in the window
	flapOf               int32 // the last alert with a flap, plus 1
}

// selects reports whether the query selects the alert.
func (t *tally) selects(a *alertLine) bool {
	q := grouping.EventQuery{Matchers: t.q.Matchers, Words: t.q.Words}
	e := grouping.Event{Source: a.id.Source, Labels: a.labels}
	if len(q.Words) == 0 {
		return q.Matches(&e)
	}
	// A word can be in the name of a receiver.
	for i := range a.episodes {
		for _, r := range t.d.receivers.sets[a.episodes[i].receivers] {
			if e.Receiver = t.d.receivers.names.list[r]; q.Matches(&e) {
				return true
			}
		}
	}
	return false
}

// row returns the index of the row with the key.
func (t *tally) row(key string) int {
	i, known := t.rowOf[key]
	if !known {
		i = len(t.rows)
		t.rowOf[key] = i
		t.rows = append(t.rows, count{Row: Row{Key: key, Severity: grouping.SeverityNone}})
	}
	return i
}

// addAlert counts the episodes of an alert.
func (t *tally) addAlert(index int) {
	a := &t.d.alerts[index]
	episodes := a.episodes
	if !slices.IsSortedFunc(episodes, compareEpisodes) {
		t.sorted = append(t.sorted[:0], episodes...)
		slices.SortFunc(t.sorted, compareEpisodes)
		episodes = t.sorted
	}
	if t.q.By != ByReceiver {
		row := t.row(a.labels.Get(t.q.By))
		t.of, t.selected[index] = append(t.of[:0], row), int32(row) //nolint:gosec // G115: memory ends before
	}
	word := a.labels.Get(grouping.SeverityLabel())
	severity := grouping.SeverityOf(word)
	ended := millis(0)
	for i := range episodes {
		ep := &episodes[i]
		begin := ep.begin()
		end := ep.end()
		if i+1 < len(episodes) && end == endless {
			end = max(begin, episodes[i+1].begin()) // it is not firing twice
		}
		if t.q.By == ByReceiver {
			t.of = t.of[:0]
			for _, r := range t.d.receivers.sets[ep.receivers] {
				t.of = append(t.of, t.row(t.d.receivers.names.list[r]))
			}
		}
		o := occurrence{
			episode: ep, begin: begin, end: end, flap: ended != 0 && begin-ended <= millis(FlapInterval.Milliseconds()),
			alert: int32(index), severity: severity, word: word, //nolint:gosec // G115: memory ends before
		}
		t.add(&o)
		if end != endless {
			ended = max(ended, end)
		}
	}
}

func compareEpisodes(a, b episode) int { return cmp.Compare(a.startsAt, b.startsAt) }

// occurrence is an episode as it is counted.
type occurrence struct {
	*episode

	begin, end millis
	flap       bool // it began soon after the alert's last end
	alert      int32
	severity   grouping.Severity
	word       string
}

// presence is what an episode is in a window, and so in which numbers it is.
type presence struct {
	inside                          millis
	began, flap                     bool
	ended, selfResolved, suppressed bool // it ended inside, and its end is known
	acknowledged                    bool // and a person acknowledged it before
	lost                            bool // it was no longer reported inside, and its end is not known
}

// counted reports whether any number has the episode.
func (p *presence) counted() bool { return p.began || p.ended || p.lost || p.inside > 0 }

// in returns what the episode is in a window.
func (o *occurrence) in(w stretch) presence {
	p := presence{inside: w.inside(o.begin, o.end), began: w.has(o.begin)}
	p.flap = p.began && o.flap
	if o.end == endless || !w.has(o.end) {
		return p
	}
	p.ended, p.lost = o.endsAt != 0, o.endsAt == 0
	p.selfResolved = p.ended && o.end-o.begin <= millis(SelfResolved.Milliseconds())
	p.suppressed = p.ended && o.suppressed
	p.acknowledged = p.ended && o.ackedAt != 0 && o.ackedAt <= o.end
	return p
}

func (t *tally) add(o *occurrence) {
	if t.visit != nil {
		t.visit(o)
		return
	}
	t.totals.add(o, t.window)
	t.totalsBefore.add(o, t.before)
	began := t.window.has(o.begin)
	for _, i := range t.of {
		t.rows[i].add(o, t.window)
		if t.before.has(o.begin) {
			t.rows[i].FiringsBefore++
		}
	}
	if t.before.has(o.begin) {
		t.totals.FiringsBefore++
	}
	if !began {
		return
	}
	at := o.begin.time()
	t.report.Heat[(int(at.Weekday())+6)%7][at.Hour()]++ // Sunday is 0
	if first := t.report.Days[0].Day; !at.Before(first) {
		day := &t.report.Days[at.Sub(first)/(24*time.Hour)]
		day.Firings++
		day.BySeverity[o.severity]++
	}
}

// add counts an episode in a window.
func (c *count) add(o *occurrence, w stretch) {
	is := o.in(w)
	if !is.counted() {
		return
	}
	if !c.active || o.severity.Compare(c.Severity) < 0 {
		c.Severity, c.SeverityWord = o.severity, o.word
	}
	c.active = true
	c.firing += is.inside
	if is.began {
		c.Firings++
		c.last = max(c.last, o.begin)
	}
	if is.flap {
		c.Flaps++
		if c.flapOf != o.alert+1 {
			c.flapOf = o.alert + 1
			c.Flapped++
		}
	}
	if is.lost {
		c.UnknownEnds++
	}
	if !is.ended {
		return
	}
	c.Ended++
	c.durations = append(c.durations, o.end-o.begin)
	if is.selfResolved {
		c.SelfResolved++
	}
	if is.suppressed {
		c.Suppressed++
	}
	c.addAcknowledged(o, is.acknowledged)
}

// addAcknowledged counts an episode that ended.
func (c *count) addAcknowledged(o *occurrence, acknowledged bool) {
	critical := o.severity == grouping.SeverityCritical
	if critical {
		c.Critical++
	}
	if !acknowledged {
		return
	}
	c.Acknowledged++
	c.acked = append(c.acked, o.ackedAt-o.begin)
	if critical {
		c.CriticalAcknowledged++
		c.criticalAcked = append(c.criticalAcked, o.ackedAt-o.begin)
	}
}

// finished returns the row.
func (c *count) finished() Row {
	r := c.Row
	r.Firing = time.Duration(c.firing) * time.Millisecond
	if c.last != 0 {
		r.LastAt = c.last.time()
	}
	r.Median, r.P90 = ranksOf(c.durations)
	r.AckMedian, _ = ranksOf(c.acked)
	r.CriticalAckMedian, _ = ranksOf(c.criticalAcked)
	return r
}

// ranksOf sorts durations, and returns what half of them, and nine of ten, do not exceed.
func ranksOf(durations []millis) (median, p90 time.Duration) {
	if len(durations) == 0 {
		return 0, 0
	}
	slices.Sort(durations)
	return time.Duration(nearestRank(durations, 50)) * time.Millisecond, time.Duration(nearestRank(durations, 90)) * time.Millisecond
}

func (t *tally) finish() {
	r := t.report
	r.Totals, r.TotalsBefore = t.totals.finished(), t.totalsBefore.finished()
	for i := range t.rows {
		if c := &t.rows[i]; c.active || c.Notifications > 0 {
			r.Rows = append(r.Rows, c.finished())
		}
	}
	slices.SortFunc(r.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Firings, a.Firings), cmp.Compare(b.Firing, a.Firing), cmp.Compare(a.Key, b.Key))
	})
	slices.SortFunc(r.Receivers, func(a, b ReceiverCount) int {
		return cmp.Or(cmp.Compare(b.Notifications, a.Notifications), cmp.Compare(a.Receiver, b.Receiver))
	})
}

// addDays adds the days of the window. An alert can have started before the history begins,
// but not many did so long before.
func (t *tally) addDays() {
	const day, earlier = 24 * time.Hour, 31
	first := latest(t.q.Since, t.d.since.AddDate(0, 0, -earlier)).UTC().Truncate(day)
	for at := first; at.Before(t.q.Until) || len(t.report.Days) == 0; at = at.Add(day) {
		t.report.Days = append(t.report.Days, Day{Day: at})
	}
}

// addGaps adds the parts of gaps inside the window.
func (t *tally) addGaps() {
	for _, g := range t.d.gaps {
		if !g.Overlaps(t.q.Since, t.q.Until) {
			continue
		}
		if g.From.Before(t.q.Since) {
			g.From = t.q.Since
		}
		if g.To.After(t.q.Until) {
			g.To = t.q.Until
		}
		t.report.Gaps = append(t.report.Gaps, g)
	}
	slices.SortFunc(t.report.Gaps, func(a, b grouping.Gap) int { return a.From.Compare(b.From) })
}
