package history

import "muster/grouping"

// pastCommon is what is common to the alerts of a group, while events are applied. The zero value
// is what the base says.
type pastCommon struct {
	content contentRef // if a content says it
	shared  *pastShared
}

// pastShared is what the alerts of a group shared after a write.
type pastShared struct {
	write  grouping.Stamp
	taken  bool // the fields below are known
	labels grouping.Labels
	// The annotations of the alerts are those here and those of the contents.
	annotations []grouping.Labels
	contents    []contentRef
}

// apply applies an event of the group.
func (c *pastCommon) apply(e *grouping.Event) {
	switch {
	case e.Content != "":
		*c = pastCommon{content: contentRef{e.Content, e.Kind}}
	case e.Opened != nil && e.Opened.Shared:
		*c = pastCommon{shared: &pastShared{write: e.Stamp()}}
	}
}

// take records what the alerts share, unless the write that says so goes on with an event of the
// stamp: the event can come before those of its alerts.
func (c *pastCommon) take(g *pastGroup, stamp grouping.Stamp) {
	s := c.shared
	if s == nil || s.taken || s.write == stamp {
		return
	}
	s.taken = true
	var all []grouping.Labels
	for _, p := range g.alerts {
		if p == nil {
			continue
		}
		all = append(all, p.Labels)
		switch {
		case p.content.hash != "":
			s.contents = append(s.contents, p.content)
		case p.base != nil:
			s.annotations = append(s.annotations, p.base.Annotations)
		}
	}
	if g.base != nil {
		for _, a := range g.base.Alerts {
			if _, changed := g.alerts[a.Fingerprint]; !changed {
				all, s.annotations = append(all, a.Labels), append(s.annotations, a.Annotations)
			}
		}
	}
	s.labels = grouping.SharedLabels(len(all), func(i int) grouping.Labels { return all[i] })
}

func (c *pastCommon) wanted(events []grouping.Event, g *pastGroup) []grouping.Event {
	events = c.content.wanted(events, g)
	if c.shared != nil {
		for _, ref := range c.shared.contents {
			events = ref.wanted(events, g)
		}
	}
	return events
}

// lookUp returns what is common, if it is known. It has no generator URL.
func (c *pastCommon) lookUp(contents map[string]grouping.Content) (grouping.Content, bool) {
	if c.shared == nil {
		return c.content.lookUp(contents)
	}
	all := c.shared.annotations
	for _, ref := range c.shared.contents {
		content, ok := ref.lookUp(contents)
		if !ok {
			return grouping.Content{}, false
		}
		all = append(all, content.Annotations)
	}
	annotations := grouping.SharedLabels(len(all), func(i int) grouping.Labels { return all[i] })
	return grouping.Content{Labels: c.shared.labels, Annotations: annotations}, true
}
