package templates

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// SourceRow says what Muster receives from a source, in three ways.
type SourceRow struct {
	Key                    string
	Source, Groups         string
	Webhook, Recorder, API Received
}

// Received says what Muster receives in one way.
type Received struct {
	State   Severity
	Since   string // "for" if the state lasts for the age, else the age is that of the last arrival
	At      Moment
	Details []string
}

var (
	stateReceiving = Severity{Class: "ok", Shape: "✓", Word: "receiving"}
	stateSilent    = Severity{Class: "warn", Shape: "◆", Word: "silent"}
	stateNotSetUp  = Severity{Class: "other mute", Shape: "○", Word: "not set up"}
	stateElsewhere = Severity{Class: "other mute", Shape: "○", Word: "another Muster asks"}
	stateAnswers   = Severity{Class: "ok", Shape: "✓", Word: "answers"}
	stateFails     = Severity{Class: "crit", Shape: "▲", Word: "fails"}
)

// The limits of what the status page says about a source.
const (
	maxReceivedDetails = 5
	shownSkew          = time.Second
)

// receivedRows says for each source what Muster receives.
func (s *Site) receivedRows() []SourceRow {
	known := map[string]bool{}
	reports := s.Sources
	for _, r := range reports {
		known[r.Source] = true
	}
	for _, name := range sortedKeys(s.Totals.Sources) {
		if of := s.Totals.Sources[name]; !known[name] {
			reports = append(slices.Clip(reports), grouping.SourceReport{
				Source: name, Groups: of.Groups, Webhook: grouping.WebhookReport{LastAt: of.LastNotification, Alertmanagers: of.Alertmanagers},
			})
		}
	}
	rows := make([]SourceRow, 0, len(reports))
	for _, r := range reports {
		rows = append(rows, SourceRow{
			Key: r.Source, Source: r.Source, Groups: plural(r.Groups, "group", "groups"),
			Webhook: s.webhookReceived(&r), Recorder: s.recorderReceived(&r), API: s.apiReceived(&r),
		})
	}
	return rows
}

func (s *Site) webhookReceived(r *grouping.SourceReport) Received {
	if r.Webhook.LastAt.IsZero() {
		return Received{State: stateNotSetUp, Details: []string{"No notification has arrived yet."}}
	}
	out := Received{State: stateReceiving, At: newMoment(r.Webhook.LastAt, s.Now)}
	if of := s.Totals.Sources[r.Source]; of.IsSilent(s.Now, s.StaleAfter) {
		out.State, out.Since = stateSilent, "for"
	}
	for i := range s.Heartbeats {
		if h := &s.Heartbeats[i]; h.Source == r.Source && h.State.IsBroken() {
			out.State = stateSilent
			out.Details = append(out.Details, "The heartbeat "+s.heartbeatName(h)+" was last seen "+Age(s.Now.Sub(h.At))+" ago.")
		}
	}
	var from []string
	for _, external := range sortedKeys(r.Webhook.Alertmanagers) {
		if at := r.Webhook.Alertmanagers[external]; external != "" {
			from = append(from, isolate(hostOf(external))+" "+Age(s.Now.Sub(at))+" ago")
		}
	}
	out.say(strings.Join(from[:min(len(from), maxReceivedDetails)], ", "))
	return out
}

func (s *Site) recorderReceived(r *grouping.SourceReport) Received {
	if r.Recorder.LastAt.IsZero() {
		return Received{State: stateNotSetUp, Details: []string{"deliveries and exact ends are unknown"}}
	}
	out := Received{State: stateReceiving, At: newMoment(r.Recorder.LastAt, s.Now)}
	if r.Recorder.LastHour == 0 {
		out.State, out.Since = stateSilent, "for"
	}
	counts := plural(r.Recorder.LastHour, "event", "events") + " in the last hour"
	if r.Recorder.Missing > 0 {
		counts += ", " + formatCount(r.Recorder.Missing) + " known to be lost"
	}
	out.say(counts)
	for _, i := range r.Recorder.Instances {
		switch {
		case i.Skew >= shownSkew:
			out.say(fmt.Sprintf("%s: clock %.1fs ahead", isolate(i.Instance), i.Skew.Seconds()))
		case i.Skew <= -shownSkew:
			out.say(fmt.Sprintf("%s: clock %.1fs behind", isolate(i.Instance), -i.Skew.Seconds()))
		}
	}
	return out
}

func (s *Site) apiReceived(r *grouping.SourceReport) Received {
	switch {
	case len(r.Pollers) > 0:
	case s.isPolledElsewhere(r):
		return Received{State: stateElsewhere, At: newMoment(r.PolledElsewhereAt, s.Now)}
	default:
		return Received{State: stateNotSetUp, Details: []string{"silences are unknown"}}
	}
	var out Received
	var newest time.Time
	answer := 0
	for _, p := range r.Pollers {
		host := isolate(hostOf(p.URL))
		newest = latest(newest, p.LastAt)
		switch {
		case p.FailingSince.IsZero() && p.LastAt.IsZero():
			out.say(host + ": not asked yet")
		case p.FailingSince.IsZero():
			answer++
			text := host + " " + Age(s.Now.Sub(p.LastAt)) + " ago"
			if p.Err != "" {
				text += ": " + p.Err
			}
			out.say(text)
		default:
			text := host + ": " + strings.TrimRight(p.Err, ".") + " for " + Age(s.Now.Sub(p.FailingSince)) + "."
			if len(r.Pollers) > 1 {
				text += " Data that only " + host + " has is missing."
			}
			out.say(text)
		}
	}
	out.At = newMoment(newest, s.Now)
	switch answer {
	case len(r.Pollers):
		out.State = stateAnswers
	case 0:
		out.State = stateFails
	default:
		out.State = Severity{Class: "warn", Shape: "◆", Word: fmt.Sprintf("%d of %d answers", answer, len(r.Pollers))}
		if answer > 1 {
			out.State.Word = fmt.Sprintf("%d of %d answer", answer, len(r.Pollers))
		}
	}
	return out
}

// say adds a detail, if there is one and if there is room.
func (r *Received) say(detail string) {
	if detail != "" && len(r.Details) < maxReceivedDetails {
		r.Details = append(r.Details, detail)
	}
}
