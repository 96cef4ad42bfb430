package templates

import (
	"strings"

	"muster/grouping"
)

// MaxAckAll is the maximum number of groups that one form acknowledges. Nobody checks a longer list.
const MaxAckAll = 200

// AckAllPage asks whether a person acknowledges all groups of a view. After that it lists those
// that could not be acknowledged.
type AckAllPage struct {
	Frame

	Heading string
	Says    string
	Bad     bool // Says is an error
	BadName bool
	Chips   []Chip // what the view selects
	Rows    []AckAllRow
	Action  string
	List    string // the query of the list
	Button  string
	AskName bool
	Until   []Option
	Kept    PersonInput
	Back    string
}

// AckAllRow is one group.
type AckAllRow struct {
	Value    string // names the group and its episode, as the form posts it
	Severity Severity
	Title    string
	Href     string
	Chips    []Chip
	Count    string
}

// NewAckAllPage makes the page that asks. groups are those of the view that nobody has acknowledged: the
// first ones of a total.
func NewAckAllPage(s *Site, v View, groups []*grouping.AlertGroup, total int) *AckAllPage {
	p := newAckAllPage(s, v)
	if total == 0 {
		p.Says = "No firing group of this view waits for somebody."
		return p
	}
	for _, g := range groups {
		p.Rows = append(p.Rows, s.ackAllRow(g))
	}
	n := plural(len(groups), "group", "groups")
	p.Heading, p.Button, p.Action = "Acknowledge "+n, "Acknowledge "+n, s.Links.AckAll(View{Groups: viewOfState("firing").Groups})
	if p.Says = "Groups that begin to fire meanwhile are not included."; total > len(groups) {
		p.Says = "These are the first " + formatCount(len(groups)) + " of " + plural(total, "group", "groups") + ". " + p.Says
	}
	p.Title = isolate(p.Heading) + " · Muster"
	return p
}

func newAckAllPage(s *Site, v View) *AckAllPage {
	p := &AckAllPage{
		Frame: s.newFrame("groups", "Acknowledge"), Heading: "Acknowledge", AskName: s.AsksNames, Until: untilChoices(untilOver),
		Back: s.Links.Groups(v.first()), List: v.first().encode(),
	}
	for _, c := range newFilterForm(s, v).Chips {
		p.Chips = append(p.Chips, Chip{Text: c.Text})
	}
	p.Still = true
	return p
}

func (s *Site) ackAllRow(g *grouping.AlertGroup) AckAllRow {
	row := AckAllRow{
		Value: string(g.ID) + ":" + string(g.Opened), Severity: groupLook(g), Title: title(g, grouping.Labels{}), Href: s.Links.Group(g.ID),
		Chips: s.originChips(g.Source, g.Receiver, allGroups()),
	}
	for _, name := range g.GroupLabels.Names() {
		if name != "alertname" {
			row.Chips = append(row.Chips, Chip{Text: name + "=" + g.GroupLabels.Get(name)})
		}
	}
	n, counted, _ := groupCounts(g, false)
	row.Count = n + " " + counted
	return row
}

// ParseAckAllRow reads what a row of the form posts.
func ParseAckAllRow(value string) (id grouping.ID, episode grouping.Stamp, ok bool) {
	before, after, ok := strings.Cut(value, ":")
	id = grouping.ID(before)
	return id, grouping.Stamp(after), ok && id.Valid()
}

// NewAckAllAgain makes the page that asks again. The sentence says why Muster could not take the form.
func NewAckAllAgain(s *Site, v View, groups []*grouping.AlertGroup, status int, sentence string, kept PersonInput) *AckAllPage {
	p := NewAckAllPage(s, v, groups, len(groups))
	p.status, p.Bad, p.Says, p.Kept = status, true, asSentence(sentence), kept
	p.Until = untilChoices(kept.Until)
	switch status {
	case codeForbidden, codeMethodNotAllowed:
		p.Action, p.Rows = "", nil
	case codeBadRequest:
		if p.BadName = isAboutName(sentence); p.BadName {
			p.Heading, p.AskName = "Who are you?", true
		}
	}
	return p
}

// NewAckedPage makes the page that names the groups which were left out, because they changed
// meanwhile.
func NewAckedPage(s *Site, v View, acknowledged int, left []*grouping.AlertGroup, gone int) *AckAllPage {
	p := newAckAllPage(s, v)
	p.Heading = plural(acknowledged, "group", "groups") + " acknowledged"
	p.Says = plural(len(left)+gone, "group", "groups") + " changed meanwhile and " + plainly(len(left)+gone, "was", "were") + " left out."
	for _, g := range left {
		p.Rows = append(p.Rows, s.ackAllRow(g))
	}
	p.Title = isolate(p.Heading) + " · Muster"
	return p
}
