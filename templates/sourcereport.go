package templates

import (
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// report returns what Muster receives from a source.
func (s *Site) report(source string) grouping.SourceReport {
	for _, r := range s.Sources {
		if r.Source == source {
			return r
		}
	}
	return grouping.SourceReport{Source: source}
}

// polled reports whether the API of an Alertmanager of the source was ever read. It is not known
// of a past state, and then nothing is said about it.
func (s *Site) polled(source string) bool {
	r := s.report(source)
	answered := func(p grouping.PollReport) bool { return !p.LastAt.IsZero() }
	return s.isPast() || s.isPolledElsewhere(&r) || slices.ContainsFunc(r.Pollers, answered)
}

// knowsCauses reports whether Muster hears from the source why alerts are not reported.
func (s *Site) knowsCauses(source string) bool {
	if s.isPast() {
		return s.Past.CausesKnown
	}
	r := s.report(source)
	return len(r.Pollers) > 0 || !r.Recorder.LastAt.IsZero() || s.isPolledElsewhere(&r)
}

// isPolledElsewhere reports whether another Muster polls the source, and stores what it hears. It
// says so at each interval, and this one takes over after two.
func (s *Site) isPolledElsewhere(r *grouping.SourceReport) bool {
	return s.Now.Sub(r.PolledElsewhereAt) <= 2*s.PollInterval
}

// causesSilent says in a sentence why Muster may not know what a source suppresses. It is ""
// if the API or the event recorder of the source answered lately.
func (s *Site) causesSilent(source string) string {
	r := s.report(source)
	name := "Source " + isolate(source)
	newest := latest(r.Recorder.LastAt, r.PolledElsewhereAt)
	for _, p := range r.Pollers {
		if p.LastAt.After(newest) {
			newest = p.LastAt
		}
	}
	switch {
	case len(r.Pollers) == 0 && newest.IsZero():
		return name + " has no API configured."
	case newest.IsZero():
		return "The API of source " + isolate(source) + " never answered."
	case s.Now.Sub(newest) > 2*s.PollInterval:
		return name + " said nothing about it for " + Age(s.Now.Sub(newest)) + "."
	}
	return ""
}

// failing returns the names of the Alertmanagers of a source if none of them answers, and
// the time of the last answer. It returns no names if one of them answers.
func (s *Site) failing(source string) (last time.Time, names []string) {
	pollers := s.report(source).Pollers
	for _, p := range pollers {
		if p.FailingSince.IsZero() {
			return time.Time{}, nil
		}
		if p.LastAt.After(last) {
			last = p.LastAt
		}
		names = append(names, isolate(hostOf(p.URL)))
	}
	if last.IsZero() {
		return last, nil // they told nothing
	}
	return last, names
}

// listAnd writes a list of names: "a, b and c".
func listAnd(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

// withoutCauses returns the sources that tell Muster no causes at present.
func (s *Site) withoutCauses() []string {
	if s.isPast() {
		return nil // nothing can be mended any more
	}
	return slices.DeleteFunc(sortedKeys(s.Totals.Sources), s.knowsCauses)
}
