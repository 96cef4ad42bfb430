package templates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// SentRow are the notifications to one receiver on the timeline.
type SentRow struct {
	Label string
	Ticks []Tick
}

// The limits of what the page of a group says about receivers.
const (
	maxSentRows       = 6
	maxNotifications  = 15
	maxFailingCounts  = 3
	deliveryTolerance = time.Minute
)

// NotificationRow is what one flush sent. Copies from several Alertmanagers are one row.
type NotificationRow struct {
	Key          string
	At           Moment
	Time         string
	Then         string // leads to the state at that time
	Why          string
	Counts       string
	Joined, Left int
	Known        bool     // Muster was notified, so Joined and Left are known
	From         []string // hosts of the Alertmanagers that notified Muster
	Receiver     string   // that of Muster, if others are known
	Others       []string // other receivers that were notified
	Missing      []string // receivers of which no delivery was seen
}

// setNotifications sets the table of notifications. events are newest first.
func (p *GroupPage) setNotifications(s *Site, g *grouping.AlertGroup, events []grouping.Event) {
	p.Recorder = !s.report(g.Source).Recorder.LastAt.IsZero() ||
		slices.ContainsFunc(events, func(e grouping.Event) bool { return e.Kind == grouping.EventDelivered })
	for _, f := range grouping.Flushes(events, maxNotifications, s.GroupWait+s.GroupInterval+deliveryTolerance, s.Now) {
		row := newNotificationRow(&f, g.Receiver, s.Now)
		row.Then = s.Links.Then(f.At).Group(g.ID)
		if p.Recorder {
			row.Receiver = g.Receiver
		}
		p.Notifications = append(p.Notifications, row)
	}
	p.Failures = failures(s.report(g.Source))
}

func newNotificationRow(f *grouping.Flush, own string, now time.Time) NotificationRow {
	row := NotificationRow{
		At: newMoment(f.At, now), Time: f.At.UTC().Format("15:04:05"), Why: cmp.Or(f.Reason, "notification"),
		Missing: slices.DeleteFunc(slices.Clone(f.Missing), func(receiver string) bool { return receiver == own && f.Notification != nil }),
	}
	if n := f.Notification; n != nil {
		row.Key, row.Known = n.Oldest.ID, true
		row.Counts, row.From, row.Joined, row.Left = notifiedCounts(n.Newest), hostsOf(n.From), n.Joined, n.Left
	} else {
		row.Key, row.Counts = f.Deliveries[0].ID, deliveredCounts(f.Deliveries[0].Delivery)
	}
	for _, e := range f.Deliveries {
		d := e.Delivery
		if d.Receiver == own && f.Notification != nil {
			continue // the notification that Muster got
		}
		name := d.Receiver
		if d.Of > 0 {
			name += fmt.Sprintf(" (%s of %s alerts)", formatCount(d.Firing+d.Resolved), formatCount(d.Of))
		}
		if !slices.Contains(row.Others, name) {
			row.Others = append(row.Others, name)
		}
	}
	return row
}

func deliveredCounts(d *grouping.Delivery) string {
	parts := []string{formatCount(d.Firing) + " firing"}
	if d.Resolved > 0 {
		parts = append(parts, formatCount(d.Resolved)+" resolved")
	}
	return strings.Join(parts, ", ")
}

// failures returns sentences about the failed notifications that the Alertmanagers of a
// source count.
func failures(r grouping.SourceReport) []string {
	failed := map[string]uint64{}
	for _, p := range r.Pollers {
		for integration, n := range p.FailedLately {
			failed[integration] += n
		}
	}
	var out []string
	for _, integration := range sortedKeys(failed) {
		if n := truncatedCount(failed[integration]); n > 0 && len(out) < maxFailingCounts {
			out = append(out, "Alertmanager counts "+formatCount(n)+" failed "+integration+" "+plainly(n, "notification", "notifications")+
				" in the last 10m (of all groups).")
		}
	}
	return out
}

// sentRows returns the notifications within a span by receiver, and a sentence about their
// numbers. The receiver of the group is the first.
func sentRows(g *grouping.AlertGroup, events []grouping.Event, sp span) (rows []SentRow, more int, says string) {
	c := sentCounter{span: sp, rows: map[string]*SentRow{}, counts: map[string]int{}, integrations: integrationsOf(events)}
	own := "notified"
	if len(c.integrations) > 0 {
		own = "to " + g.Receiver
	}
	c.add(own, time.Time{}, "")
	for i := range events {
		switch e := &events[i]; e.Kind {
		case grouping.EventNotified:
			c.add(own, e.Time, e.Time.UTC().Format("15:04:05")+" "+notificationReason(e))
		case grouping.EventDelivered:
			if d := e.Delivery; d != nil && d.Receiver != g.Receiver {
				c.add(c.label(d), e.Time, e.Time.UTC().Format("15:04:05")+" "+deliveryTitle(d))
			}
		default:
		}
	}
	others := slices.Sorted(func(yield func(string) bool) {
		for label := range c.rows {
			if label != own && !yield(label) {
				return
			}
		}
	})
	counts := []string{plural(c.counts[own], "notification", "notifications")}
	if len(c.integrations) > 0 {
		counts[0] += " " + own
	}
	rows = append(rows, *c.rows[own])
	for _, label := range others {
		if len(rows) == maxSentRows {
			more++
			continue
		}
		rows = append(rows, *c.rows[label])
		counts = append(counts, formatCount(c.counts[label])+" "+label)
	}
	return rows, more, strings.Join(counts, ", ")
}

// sentCounter collects the notifications by the label of their row.
type sentCounter struct {
	span         span
	rows         map[string]*SentRow
	counts       map[string]int
	integrations map[string]map[string]bool // of each receiver
}

// add adds a notification, or only the row if the time is zero.
func (c *sentCounter) add(label string, at time.Time, title string) {
	row := c.rows[label]
	if row == nil {
		row = &SentRow{Label: label}
		c.rows[label] = row
	}
	if at.Before(c.span.from) || at.After(c.span.to) {
		return
	}
	if c.counts[label]++; c.counts[label] <= maxTimelineTicks/max(1, len(c.integrations)) {
		row.Ticks = append(row.Ticks, Tick{X: formatNumber(min(c.span.x(at), timelineWidth-minBarWidth)), Title: title})
	}
}

// label names the row of a delivery: its receiver, and its integration if the receiver has
// several.
func (c *sentCounter) label(d *grouping.Delivery) string {
	if len(c.integrations[d.Receiver]) > 1 {
		return "to " + d.Receiver + ": " + integrationName(d)
	}
	return "to " + d.Receiver
}

// integrationsOf returns the integrations of each receiver that deliveries name.
func integrationsOf(events []grouping.Event) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for i := range events {
		d := events[i].Delivery
		if d == nil {
			continue
		}
		if all[d.Receiver] == nil {
			all[d.Receiver] = map[string]bool{}
		}
		all[d.Receiver][integrationName(d)] = true
	}
	return all
}

// integrationName names an integration: slack, and slack[1] for the second one.
func integrationName(d *grouping.Delivery) string {
	if d.Index == 0 {
		return d.Integration
	}
	return fmt.Sprintf("%s[%d]", d.Integration, d.Index)
}

func deliveryTitle(d *grouping.Delivery) string {
	title := cmp.Or(d.Reason, "notification")
	if d.Of > 0 {
		title += fmt.Sprintf(", %s of %s alerts", formatCount(d.Firing+d.Resolved), formatCount(d.Of))
	}
	return title
}
