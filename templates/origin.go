package templates

import (
	"slices"
	"strings"

	"muster/grouping"
)

// Two clusters, or two receivers, can send groups with the same labels. So a
// page names the source as soon as there are two, and the receiver likewise.

func (s *Site) manySources() bool { return len(s.Summary.Sources) > 1 }

func (s *Site) manyReceivers() bool { return len(s.Summary.Receivers) > 1 }

// origin says in words where something comes from, as far as it has to be said:
// "source prod, receiver team".
func (s *Site) origin(source, receiver string) string {
	var parts []string
	if s.manySources() {
		parts = append(parts, "source "+source)
	}
	if s.manyReceivers() {
		parts = append(parts, "receiver "+receiver)
	}
	return strings.Join(parts, ", ")
}

// originChips say the same, and lead to the view of that source or receiver.
// What the view says once is left out.
func (s *Site) originChips(source, receiver string, v View) []Chip {
	var out []Chip
	if s.manySources() && !v.oneSource {
		to := v.first()
		to.Source = source
		out = append(out, Chip{Text: "source: " + source, Href: s.Links.Groups(to)})
	}
	if s.manyReceivers() && !v.oneReceiver {
		to := v.first()
		to.Receiver = receiver
		out = append(out, Chip{Text: "receiver: " + receiver, Href: s.Links.Groups(to)})
	}
	return out
}

// hoistOrigin returns what the groups share of source and receiver, which the
// page then says once, and the view of rows that leave it out.
func (s *Site) hoistOrigin(groups []*grouping.AlertGroup, v View) ([]Chip, View) {
	if len(groups) < 2 {
		return nil, v
	}
	first := groups[0]
	others := func(same func(g *grouping.AlertGroup) bool) bool {
		return slices.ContainsFunc(groups, func(g *grouping.AlertGroup) bool { return !same(g) })
	}
	some := v
	some.oneSource = others(func(g *grouping.AlertGroup) bool { return g.Source == first.Source })
	some.oneReceiver = others(func(g *grouping.AlertGroup) bool { return g.Receiver == first.Receiver })
	v.oneSource, v.oneReceiver = !some.oneSource, !some.oneReceiver
	return s.originChips(first.Source, first.Receiver, some), v
}

// alertLink leads to an alert's page, of its source alone if there are several.
func (s *Site) alertLink(fp grouping.Fingerprint, source string) string {
	if !s.manySources() {
		source = ""
	}
	return s.Links.AlertOf(fp, source)
}

// silenceComment is what a silence says of where it was made.
func (s *Site) silenceComment(path, source, receiver string) string {
	comment := s.Links.Absolute(path)
	if origin := s.origin(source, receiver); origin != "" {
		comment += " (" + origin + ")"
	}
	return comment
}

// sourceOf is the group's source, if there are several.
func (s *Site) sourceOf(g *grouping.AlertGroup) string {
	if !s.manySources() {
		return ""
	}
	return g.Source
}

// titled is a page's title with the source that it is about.
func titleWithSource(title, source string) string {
	if source == "" {
		return title
	}
	return title + " · " + source
}

// options are the entries of a select: every one, and those that are known. One
// alone needs no select, unless something is chosen.
func selectOptions[V any](known map[string]V, chosen, every string) []Option {
	if len(known) < 2 && chosen == "" {
		return nil
	}
	out := []Option{{"", every, chosen == ""}}
	for _, name := range sortedKeys(known) {
		out = append(out, Option{name, name, name == chosen})
	}
	if _, ok := known[chosen]; !ok && chosen != "" {
		out = append(out, Option{chosen, chosen, true})
	}
	return out
}
