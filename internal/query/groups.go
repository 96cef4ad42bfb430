package query

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"muster/grouping"
)

// The words for the states of groups. Firing groups are those with an alert
// that fires, whether or not others of its alerts do.
const (
	StateFiring     = "firing"
	StateMixed      = "mixed"
	StateUnreported = "unreported"
	StateResolved   = "resolved"
	StateAll        = "all"
)

var stateWords = []string{StateFiring, StateMixed, StateUnreported, StateResolved, StateAll}

// Groups is what a query asks of the list of groups.
type Groups struct {
	Filter

	// State is a word for states, or several in their order, joined by commas.
	State            string
	Receiver, Source string
	Sort             grouping.Sort
	Limit            int
	Cursor           string
}

// Groups reads filter, state, receiver, source, sort, limit and cursor. usual is
// the state that is meant if none is given.
func (p *Params) Groups(usual string) Groups {
	return Groups{
		Filter: p.Filter(), State: p.state(usual), Receiver: p.Text("receiver"), Source: p.Text("source"),
		Sort:  grouping.Sort(p.Choice("sort", words(grouping.Sorts()))),
		Limit: p.Number("limit", 1, grouping.MaxLimit), Cursor: p.Text("cursor"),
	}
}

func (p *Params) state(usual string) string {
	asked := p.Choices("state", stateWords)
	has := func(word string) bool { return slices.Contains(asked, word) }
	switch {
	case len(asked) == 0:
		return usual
	case has(StateAll), has(StateFiring) && has(StateUnreported) && has(StateResolved):
		return StateAll
	case has(StateFiring): // which are those that are mixed, too
		asked = slices.DeleteFunc(asked, func(word string) bool { return word == StateMixed })
	}
	slices.SortFunc(asked, func(a, b string) int { return slices.Index(stateWords, a) - slices.Index(stateWords, b) })
	return strings.Join(asked, ",")
}

// States returns the states that the words of Groups.State stand for; none
// stands for all.
func States(words string) []grouping.State {
	var states []grouping.State
	for word := range strings.SplitSeq(words, ",") {
		switch word {
		case StateAll, "":
			return nil
		case StateFiring:
			states = append(states, grouping.StateFiring, grouping.StateMixed)
		default:
			states = append(states, grouping.State(word))
		}
	}
	return states
}

// Query is what to ask the manager for.
func (g *Groups) Query() grouping.ListQuery {
	return grouping.ListQuery{
		Matchers: g.Matchers, Words: g.Words, States: States(g.State), Receiver: g.Receiver, Source: g.Source,
		Sort: g.Sort, Limit: g.Limit, Cursor: g.Cursor,
	}
}

// Events is what a query asks of the history.
type Events struct {
	Filter

	Kinds            []grouping.EventKind // none: the usual ones
	Everything       bool                 // all kinds
	Receiver, Source string
	Group            grouping.ID
	Fingerprint      grouping.Fingerprint
	Since, Until     time.Time
	Limit            int
	Cursor           string
}

// KindAll is the kind that stands for all of them.
const KindAll = "all"

// eventCursor is what a cursor of the history looks like: an event's ID. Any
// other text would stand for some place in it, too.
var eventCursor = regexp.MustCompile(`^[0-9a-f]{38,40}$`)

// Events reads filter, kind, receiver, source, alert, since, until, limit and
// cursor.
func (p *Params) Events(now time.Time) Events {
	e := Events{
		Filter: p.Filter(), Receiver: p.Text("receiver"), Source: p.Text("source"), Fingerprint: grouping.Fingerprint(p.Text("alert")),
		Since: p.Time("since", now), Until: p.Time("until", now),
		Limit: p.Number("limit", 1, grouping.MaxLimit), Cursor: p.Text("cursor"),
	}
	for _, kind := range p.Choices("kind", append(words(grouping.EventKinds()), KindAll)) {
		if kind == KindAll {
			e.Everything = true
		} else {
			e.Kinds = append(e.Kinds, grouping.EventKind(kind))
		}
	}
	if e.Fingerprint != "" && !e.Fingerprint.Valid() {
		p.Fault("alert", quoted(string(e.Fingerprint))+" is not a fingerprint: 16 hex digits")
	}
	if e.Cursor != "" && !eventCursor.MatchString(e.Cursor) {
		p.Fault("cursor", "not one that this server gave out")
	}
	return e
}

// GroupID reads the ID of a group.
func (p *Params) GroupID(name string) grouping.ID {
	id := grouping.ID(p.Text(name))
	if id != "" && !id.Valid() {
		p.Fault(name, quoted(string(id))+" is not the ID of a group: 20 hex digits")
	}
	return id
}

// Query is what to ask the manager for. usual are the kinds that are meant if
// none is given; none stands for all.
func (e *Events) Query(usual []grouping.EventKind) grouping.EventQuery {
	kinds := e.Kinds
	switch {
	case e.Everything:
		kinds = nil
	case len(kinds) == 0:
		kinds = usual
	}
	return grouping.EventQuery{
		Matchers: e.Matchers, Words: e.Words, Kinds: kinds, Group: e.Group, Fingerprint: e.Fingerprint, Receiver: e.Receiver, Source: e.Source,
		Since: e.Since, Until: e.Until, Limit: e.Limit, Cursor: e.Cursor,
	}
}

func words[T ~string](all []T) []string {
	texts := make([]string, len(all))
	for i, word := range all {
		texts[i] = string(word)
	}
	return texts
}
