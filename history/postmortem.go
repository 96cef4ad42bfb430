package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// Postmortem is what a report about an outage of one group begins with.
type Postmortem struct {
	ID           grouping.ID
	Since, Until time.Time
	// Events are those of the group in this time, oldest first. Cut says that there are more
	// older ones, which are left out.
	Events []grouping.Event
	Cut    bool
	// Gaps are the times in which Muster was not running.
	Gaps []grouping.Gap
	// Group is the group, or nil if it was removed.
	Group *grouping.AlertGroup
}

// LastEpisode returns the time of the last episode of a group. The events are those of the group
// of the kinds opened and closed, newest first. It returns false if the group never opened.
func LastEpisode(events []grouping.Event, now time.Time) (since, until time.Time, ok bool) {
	until = now
	for i := range events {
		e := &events[i]
		if e.Kind == grouping.EventOpened {
			return e.Time, until, true
		}
		if e.Kind == grouping.EventClosed {
			// Deliveries of the resolution follow within a minute.
			until = minTime(e.Time.Add(time.Minute), now)
		}
	}
	return time.Time{}, until, false
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// firings is what a Postmortem says about one alert.
type firings struct {
	labels      grouping.Labels
	fingerprint grouping.Fingerprint
	starts      []time.Time
	end         time.Time // of the last firing; zero: it still fires
	firing      time.Duration
}

// Markdown returns the report. Everything that somebody sent is code or escaped, so it can
// neither break a table nor become a link or HTML.
func (p *Postmortem) Markdown() string {
	var b strings.Builder
	alerts := p.alerts()
	fmt.Fprintf(&b, "# Post-mortem: %s\n\n## Summary\n\n", plain(p.name()))
	p.summarize(&b, alerts)
	p.listAlerts(&b, alerts)
	p.listNotifications(&b)
	p.listDeliveries(&b)
	p.listMutes(&b)
	p.listPeople(&b)
	table(&b, "Gaps", []string{"From", "To"}, p.Gaps, func(g *grouping.Gap) []string {
		return []string{moment(g.From), moment(g.To)}
	})
	p.listTimeline(&b)
	return b.String()
}

// name returns the name of the group, also if it was removed.
func (p *Postmortem) name() string {
	if p.Group != nil {
		return cmp.Or(p.Group.Name, string(p.ID))
	}
	for i := range p.Events {
		if name := p.Events[i].Labels.Get("alertname"); name != "" {
			return name
		}
	}
	return string(p.ID)
}

func (p *Postmortem) summarize(b *strings.Builder, alerts []*firings) {
	source, receiver, key := p.origin()
	item := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "- %s: %s\n", name, value)
		}
	}
	item("Time", fmt.Sprintf("%s to %s (%s)", moment(p.Since), moment(p.Until), length(p.Until.Sub(p.Since))))
	item("Source", code(source))
	item("Receiver", code(receiver))
	item("Group key", code(key))
	item("Group", code(string(p.ID)))
	firings := 0
	for _, a := range alerts {
		firings += len(a.starts)
	}
	item("Alerts", fmt.Sprintf("%d, which fired %d times", len(alerts), firings))
	item("Notifications", fmt.Sprint(p.count(grouping.EventNotified)))
	item("Deliveries", fmt.Sprint(p.count(grouping.EventDelivered)))
	if p.Group != nil {
		item("State now", string(p.Group.State))
	} else {
		item("State now", "the group was removed")
	}
	if p.Cut {
		item("Not complete", fmt.Sprintf("only the last %d events are listed", len(p.Events)))
	}
	b.WriteString("\n")
}

// origin returns the identity of the group, as far as it is known.
func (p *Postmortem) origin() (source, receiver, key string) {
	if g := p.Group; g != nil {
		return g.Source, g.Receiver, g.GroupKey
	}
	for i := range p.Events {
		e := &p.Events[i]
		source, receiver = cmp.Or(source, e.Source), cmp.Or(receiver, e.Receiver)
		if e.Opened != nil {
			key = e.Opened.GroupKey
		}
	}
	return source, receiver, key
}

func (p *Postmortem) count(kind grouping.EventKind) (n int) {
	for i := range p.Events {
		if p.Events[i].Kind == kind {
			n++
		}
	}
	return n
}

// alerts returns what the events say about each alert, in the order of their first events.
func (p *Postmortem) alerts() (all []*firings) {
	known := map[grouping.Fingerprint]*firings{}
	for i := range p.Events {
		e := &p.Events[i]
		if e.Fingerprint == "" {
			continue
		}
		a := known[e.Fingerprint]
		if a == nil {
			a = &firings{labels: e.Labels, fingerprint: e.Fingerprint}
			known[e.Fingerprint] = a
			all = append(all, a)
		}
		a.add(e)
	}
	for _, a := range all {
		if n := len(a.starts); n > 0 && a.end.IsZero() {
			a.firing += max(0, p.Until.Sub(a.starts[n-1]))
		}
	}
	return all
}

// add adds what an event says.
func (a *firings) add(e *grouping.Event) {
	if e.StartsAt.IsZero() {
		return
	}
	n := len(a.starts)
	isNew := n == 0 || e.StartsAt.After(a.starts[n-1])
	switch {
	case isNew && n > 0 && a.end.IsZero(): // nobody reported the end of the last firing
		a.firing += e.StartsAt.Sub(a.starts[n-1])
		fallthrough
	case isNew:
		a.starts = append(a.starts, e.StartsAt)
		a.end = time.Time{}
	case !a.end.IsZero() && e.EndsAt.IsZero(): // it was reopened
		a.firing -= a.end.Sub(a.starts[n-1])
		a.end = time.Time{}
	}
	if a.end.IsZero() && !e.EndsAt.IsZero() {
		a.end = e.EndsAt
		a.firing += a.end.Sub(a.starts[len(a.starts)-1])
	}
}

func (p *Postmortem) listAlerts(b *strings.Builder, alerts []*firings) {
	table(b, "Alerts", []string{"Alert", "Firings", "First", "Ended", "Time firing"}, alerts, func(a **firings) []string {
		first, end := "", "still firing"
		switch {
		case len((*a).starts) == 0:
			end = ""
		case !(*a).end.IsZero():
			end = moment((*a).end)
			fallthrough
		default:
			first = moment((*a).starts[0])
		}
		return []string{
			labelsCode((*a).labels, (*a).fingerprint), fmt.Sprint(len((*a).starts)), first, end, length((*a).firing),
		}
	})
}

func (p *Postmortem) listNotifications(b *strings.Builder) {
	table(b, "Notifications", []string{"Time", "Reason", "Firing", "Resolved", "Left out", "Alertmanager"}, p.of(grouping.EventNotified),
		func(e *grouping.Event) []string {
			n := e.Notification()
			return []string{
				moment(e.Time), plain(n.Reason), fmt.Sprint(n.Firing), fmt.Sprint(n.Resolved), fmt.Sprint(n.Truncated), code(n.ExternalURL),
			}
		})
}

func (p *Postmortem) listDeliveries(b *strings.Builder) {
	table(b, "Deliveries", []string{"Time", "Receiver", "Integration", "Reason", "Firing", "Resolved"}, p.of(grouping.EventDelivered),
		func(e *grouping.Event) []string {
			d := e.Delivery
			if d == nil {
				d = &grouping.Delivery{}
			}
			return []string{
				moment(e.Time), code(d.Receiver), code(d.Integration), plain(d.Reason), fmt.Sprint(d.Firing), fmt.Sprint(d.Resolved),
			}
		})
}

func (p *Postmortem) listMutes(b *strings.Builder) {
	table(b, "Mutes", []string{"Time", "Event", "Alert", "Kind", "What"}, p.of(grouping.EventSuppressed, grouping.EventUnsuppressed),
		func(e *grouping.Event) []string {
			m := e.Mute
			if m == nil {
				m = &grouping.Mute{}
			}
			return []string{moment(e.Time), string(e.Kind), labelsCode(e.Labels, e.Fingerprint), string(m.Kind), code(cmp.Or(m.Rule, m.ID))}
		})
}

func (p *Postmortem) listPeople(b *strings.Builder) {
	table(b, "People", []string{"Time", "Event", "By", "Until", "Text"},
		slices.DeleteFunc(slices.Clone(p.Events), func(e grouping.Event) bool { return e.People == nil }),
		func(e *grouping.Event) []string {
			d, until := e.People, ""
			if !d.Until.IsZero() {
				until = moment(d.Until)
			}
			by := plain(d.Name)
			if !d.Verified {
				by += " (not verified)"
			}
			return []string{moment(e.Time), string(e.Kind), by, until, plain(d.Text)}
		})
}

func (p *Postmortem) listTimeline(b *strings.Builder) {
	table(b, "Timeline", []string{"Time", "Event", "Alert"}, p.of(grouping.TransitionKinds()...), func(e *grouping.Event) []string {
		return []string{moment(e.Time), string(e.Kind), labelsCode(e.Labels, e.Fingerprint)}
	})
}

// of returns the events of these kinds.
func (p *Postmortem) of(kinds ...grouping.EventKind) []grouping.Event {
	var events []grouping.Event
	for i := range p.Events {
		if slices.Contains(kinds, p.Events[i].Kind) {
			events = append(events, p.Events[i])
		}
	}
	return events
}

// table writes a section with a table.
func table[T any](b *strings.Builder, title string, columns []string, rows []T, cells func(*T) []string) {
	fmt.Fprintf(b, "## %s\n\n", title)
	if len(rows) == 0 {
		b.WriteString("None.\n\n")
		return
	}
	row := func(cells []string) { fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | ")) }
	row(columns)
	row(slices.Repeat([]string{"---"}, len(columns)))
	for i := range rows {
		row(cells(&rows[i]))
	}
	b.WriteString("\n")
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// length returns a duration in seconds.
func length(d time.Duration) string { return d.Round(time.Second).String() }

// labelsCode returns labels in the form of a selector, or the fingerprint if there are none.
func labelsCode(l grouping.Labels, fp grouping.Fingerprint) string {
	if l.IsZero() {
		return code(string(fp))
	}
	pairs := make([]string, 0, l.Len())
	for name, value := range l.All() {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, value))
	}
	return code("{" + strings.Join(pairs, ", ") + "}")
}

// code returns a text of any origin as code for a cell of a table. The bar would end the cell,
// also within code, so a similar sign stands for it. So does one for the backquote, which would
// end the code.
func code(s string) string {
	if s = oneLine(s); s == "" {
		return ""
	}
	return "`" + strings.NewReplacer("`", "ʼ", "|", "¦").Replace(s) + "`"
}

// plain returns a text of any origin without anything that Markdown could take for markup or
// for a link.
func plain(s string) string {
	var b strings.Builder
	for _, r := range oneLine(s) {
		switch {
		case r == '|':
			b.WriteRune('¦')
		case r == '@' || r == ':': // some readers make links of addresses, also of escaped ones
			b.WriteRune(r)
			b.WriteString("\u200b")
		case r < 128 && strings.ContainsRune("\\`*_{}[]<>()#+-.!~&\"'$%,/;=?^", r):
			b.WriteString("\\" + string(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// oneLine returns the text with spaces for line breaks and other control characters.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s))
}
