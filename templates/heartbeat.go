package templates

import (
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// maxHeartbeatNotices is the maximum number of broken heartbeats that a page
// names.
const maxHeartbeatNotices = 3

// hides reports whether the list omits a group: the group holds only heartbeats,
// and each of them is in order.
func (s *Site) hides(g *grouping.AlertGroup) bool {
	return grouping.IsHeartbeatGroup(s.HeartbeatMatchers, g) && !grouping.HasBrokenHeartbeat(s.Heartbeats, g.ID)
}

// heartbeatName returns the name of a heartbeat, and what distinguishes it from
// heartbeats with the same name: "Watchdog (source prod, prometheus=a)".
func (s *Site) heartbeatName(h *grouping.Heartbeat) string {
	name := h.Labels.Get("alertname")
	var where []string
	if s.manySources() {
		where = append(where, "source "+h.Source)
	}
	for _, label := range h.Labels.Names() {
		if label == "alertname" {
			continue
		}
		differs := slices.ContainsFunc(s.Heartbeats, func(o grouping.Heartbeat) bool {
			return o.Source == h.Source && o.Labels.Get("alertname") == name && o.Labels.Get(label) != h.Labels.Get(label)
		})
		if differs {
			where = append(where, label+"="+h.Labels.Get(label))
		}
	}
	if slices.ContainsFunc(s.Heartbeats, func(o grouping.Heartbeat) bool {
		return o.Source == h.Source && o.Fingerprint == h.Fingerprint && o.Alertmanager != h.Alertmanager
	}) {
		where = append(where, hostOf(h.Alertmanager))
	}
	name = isolate(name)
	if len(where) == 0 {
		return name
	}
	return name + " (" + isolate(strings.Join(where, ", ")) + ")"
}

// heartbeatNotices returns the notices about broken heartbeats.
func (s *Site) heartbeatNotices() []Notice {
	var out []Notice
	broken := 0
	for i := range s.Heartbeats {
		h := &s.Heartbeats[i]
		if !h.State.IsBroken() {
			break // broken heartbeats come first
		}
		if broken++; broken > maxHeartbeatNotices {
			continue
		}
		n := Notice{
			Key: "beat-" + string(h.Group) + string(h.Fingerprint) + h.Alertmanager, Class: "bad", Since: newMoment(h.At, s.Now),
			Href: s.Links.Group(h.Group), Link: "Show",
			Text: "The heartbeat " + s.heartbeatName(h) + " is late", Middle: ": last seen ", After: " ago",
		}
		if h.State == grouping.HeartbeatEnded {
			n.Text, n.Middle = "The heartbeat "+s.heartbeatName(h)+" ended", ": last reported "
		}
		if h.Every > 0 {
			n.After += ", usually every " + Age(h.Every.Round(time.Second))
		}
		n.After += ". Its Prometheus, or the path from there to Muster, may be down."
		out = append(out, n)
	}
	if more := broken - maxHeartbeatNotices; more > 0 {
		out = append(out, Notice{
			Key: "beats", Class: "bad", Text: plural(more, "more heartbeat is", "more heartbeats are") + " late or ended.",
		})
	}
	return out
}

// sourceNotices returns a notice for each source that sends no notifications while
// its groups fire.
func (s *Site) sourceNotices() []Notice {
	var out []Notice
	for _, name := range sortedKeys(s.Totals.Sources) {
		source := s.Totals.Sources[name]
		if !source.IsSilent(s.Now, s.StaleAfter) {
			continue
		}
		n := Notice{
			Key: "source-" + name, Class: "warn", Since: newMoment(source.LastNotification, s.Now), Text: "No notification for ",
			After: ". Its Alertmanager may be unable to reach Muster. This page may be out of date.",
		}
		if s.manySources() {
			n.Text = "No notification from source " + isolate(name) + " for "
		}
		out = append(out, n)
	}
	return out
}

// heartbeatSummary returns a sentence about the paths from Prometheus to Muster.
// A heartbeat proves the path from its own source only.
func (s *Site) heartbeatSummary() (sentence string, good bool) {
	main := grouping.MainHeartbeat(s.Heartbeats)
	if main != nil && main.State.IsBroken() {
		return "The heartbeat " + s.heartbeatName(main) + " is missing. The path from its Prometheus to Muster may be broken.", false
	}
	var proven, unknown, without []string
	for _, name := range sortedKeys(s.Totals.Sources) {
		switch grouping.PathState(s.Heartbeats, name) {
		case "":
			without = append(without, isolate(name))
		case grouping.HeartbeatUnknown:
			unknown = append(unknown, isolate(name))
		default:
			proven = append(proven, isolate(name))
		}
	}
	single := !s.manySources()
	switch {
	case len(proven)+len(unknown) == 0:
		return "No heartbeat alert such as Watchdog arrives. Muster cannot tell whether the path from Prometheus works.", true
	case single && len(unknown) > 0:
		return "The heartbeat " + s.heartbeatName(main) + " arrived once. Its interval is not known yet.", true
	case single:
		return "The heartbeat " + s.heartbeatName(main) + " arrives. The path from Prometheus to Muster works.", true
	}
	var parts []string
	if len(proven) > 0 {
		parts = append(parts, "Heartbeats arrive from "+strings.Join(proven, ", ")+". The paths from there work.")
	}
	if silent := append(unknown, without...); len(silent) > 0 {
		parts = append(parts, "Muster cannot tell whether the path from "+strings.Join(silent, ", ")+
			" works, because no heartbeat with a known interval arrives from there.")
	}
	return strings.Join(parts, " "), true
}
