package templates

import (
	"slices"
	"strings"

	"muster/grouping"
)

// Two sources or two receivers can send groups with the same labels. For this
// reason pages show the source if there are several sources, and the receiver if
// there are several receivers.

func (s *Site) manySources() bool { return len(s.Totals.Sources) > 1 }

// manySource returns the source, or "" if there is one source only.
func (s *Site) manySource(source string) string {
	if !s.manySources() {
		return ""
	}
	return source
}

func (s *Site) manyReceivers() bool { return len(s.Totals.WithoutHeartbeats.Receivers) > 1 }

// origin returns the source and the receiver as text: "source prod, receiver team".
// It omits each of them if there is one only.
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

// originChips returns the source and the receiver as chips, which lead to the view
// of that source or receiver. It omits each of them if there is one only, or if
// the view shows it once for all rows.
func (s *Site) originChips(source, receiver string, v View) []Chip {
	var out []Chip
	if s.manySources() && !v.oneSource {
		to := v.first()
		to.Source = source
		out = append(out, Chip{Text: shorten("source: " + source), Href: s.Links.Groups(to)})
	}
	if s.manyReceivers() && !v.oneReceiver && receiver != "" {
		to := v.first()
		to.Receiver = receiver
		out = append(out, Chip{Text: shorten("receiver: " + receiver), Href: s.Links.Groups(to)})
	}
	return out
}

// sharedOrigin returns the source and the receiver that all groups share, for the
// page to show once. It also returns the view for rows that omit them.
func (s *Site) sharedOrigin(groups []*grouping.AlertGroup, v View) ([]Chip, View) {
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

// alertLink leads to an alert's page. If there are several sources, it selects the
// source.
func (s *Site) alertLink(fp grouping.Fingerprint, source string) string {
	return s.Links.AlertOf(fp, s.manySource(source))
}

// silenceComment returns the comment of a new silence: the page where it was made.
func (s *Site) silenceComment(path, source, receiver string) string {
	comment := s.Links.Absolute(path)
	if origin := s.origin(source, receiver); origin != "" {
		comment += " (" + origin + ")"
	}
	return comment
}

// sourceOf returns the group's source, or "" if there is one source only.
func (s *Site) sourceOf(g *grouping.AlertGroup) string {
	return s.manySource(g.Source)
}

// titleWithSource returns a page's title with the source that the page shows.
func titleWithSource(title, source string) string {
	if source == "" {
		return title
	}
	return title + " · " + source
}

// selectOptions returns the entries of a select: all, and each known name. It is
// empty if there is nothing to choose: one name only, and chosen is empty.
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
