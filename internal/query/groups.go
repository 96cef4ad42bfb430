package query

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/grouping"
)

// The values of the parameter state. Here "firing" means every group with a firing
// alert, so it includes the mixed groups.
const (
	StateFiring     = "firing"
	StateMixed      = "mixed"
	StateSuppressed = "suppressed"
	StateUnreported = "unreported"
	StateResolved   = "resolved"
	StateAll        = "all"
)

var stateWords = []string{StateFiring, StateMixed, StateSuppressed, StateUnreported, StateResolved, StateAll}

// Groups has the parameters of the list of groups.
type Groups struct {
	Filter

	// State is one value of the parameter state, or several in a fixed order,
	// separated by commas.
	State string
	// Cause and Silence select suppressed alerts by what mutes them.
	Cause            grouping.MuteKind
	Silence          string
	Receiver, Source string
	Ack              grouping.AckState
	Sort             grouping.Sort
	Limit            int
	Cursor           string
}

// Groups reads filter, state, cause, silence, receiver, source, ack, sort, limit and cursor. If the query
// has no state, it uses defaultState, or suppressed if it asks for a cause.
func (p *Params) Groups(defaultState string) Groups {
	g := p.Selection(defaultState)
	g.Sort = cmp.Or(grouping.Sort(p.Choice("sort", textsOf(grouping.Sorts()))), grouping.DefaultSort)
	g.Limit, g.Cursor = p.limit(), p.Text("cursor")
	return g
}

// Selection reads those parameters of Groups that select groups: filter, state, cause, silence,
// receiver, source and ack.
func (p *Params) Selection(defaultState string) Groups {
	cause, silence := grouping.MuteKind(p.Choice("cause", textsOf(grouping.MuteKinds()))), p.Text("silence")
	if cause != "" || silence != "" {
		defaultState = StateSuppressed
	}
	return Groups{
		Filter: p.Filter(), State: p.groupStates(defaultState), Cause: cause, Silence: silence,
		Receiver: p.Text("receiver"), Source: p.Text("source"),
		Ack: grouping.AckState(p.Choice("ack", textsOf(grouping.AckStates()))),
	}
}

// SelectsAll reports whether the parameters select all groups.
func (g *Groups) SelectsAll() bool {
	return len(g.Matchers) == 0 && len(g.Words) == 0 && len(States(g.State)) == 0 && g.Cause == "" && g.Silence == "" &&
		g.Receiver == "" && g.Source == "" && g.Ack == ""
}

// maxByLabels is the maximum number of labels to group by.
const maxByLabels = 5

// By reads the labels to group by.
func (p *Params) By() []string {
	names := p.List("by")
	if len(names) > maxByLabels {
		p.AddProblem("by", "more than "+strconv.Itoa(maxByLabels)+" label names")
	}
	return names
}

func (p *Params) groupStates(defaultState string) string {
	asked := p.Choices("state", stateWords)
	has := func(word string) bool { return slices.Contains(asked, word) }
	switch {
	case len(asked) == 0:
		return defaultState
	case has(StateAll), has(StateFiring) && has(StateSuppressed) && has(StateUnreported) && has(StateResolved):
		return StateAll
	case has(StateFiring): // it includes mixed
		asked = slices.DeleteFunc(asked, func(word string) bool { return word == StateMixed })
	}
	slices.SortFunc(asked, func(a, b string) int { return slices.Index(stateWords, a) - slices.Index(stateWords, b) })
	return strings.Join(asked, ",")
}

// States returns the group states that match the words of Groups.State. An empty
// result means all states.
//
// Suppressed alone finds suppressed alerts beside firing ones too.
func States(words string) []grouping.State {
	if words == StateSuppressed {
		return []grouping.State{grouping.StateSuppressed, grouping.StateMixed}
	}
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

// Query returns the query for the manager.
func (g *Groups) Query() grouping.ListQuery {
	q := grouping.ListQuery{
		Matchers: g.Matchers, Words: g.Words, States: States(g.State), Receiver: g.Receiver, Source: g.Source,
		Ack: g.Ack, Sort: g.Sort, Limit: g.Limit, Cursor: g.Cursor,
	}
	if g.State == StateSuppressed || g.Cause != "" || g.Silence != "" {
		q.Mutes = &grouping.MuteQuery{Cause: g.Cause, Silence: g.Silence}
	}
	return q
}

// Events has the parameters of the history.
type Events struct {
	Filter

	Kinds            []grouping.EventKind // empty means the default kinds
	Everything       bool                 // all kinds
	Receiver, Source string
	Group            grouping.ID
	Fingerprint      grouping.Fingerprint
	Since, Until     time.Time
	// At is the last minute of the events. The form of the history has minutes only,
	// so the whole minute is included. Zero means no limit.
	At     time.Time
	Limit  int
	Cursor string
}

// KindAll is the value of the parameter kind that means all kinds.
const KindAll = "all"

// eventCursor matches a cursor of the history, which is an event ID. The check is
// needed because any other text would also be a position in the history.
var eventCursor = regexp.MustCompile(`^[0-9a-f]{38,40}$`)

// Events reads filter, kind, receiver, source, alert, since, until, limit and
// cursor. At reads one more limit.
func (p *Params) Events(now time.Time) Events {
	e := Events{
		Filter: p.Filter(), Receiver: p.Text("receiver"), Source: p.Text("source"), Fingerprint: grouping.Fingerprint(p.Text("alert")),
		Since: p.Time("since", now), Until: p.Time("until", now),
		Limit: p.limit(), Cursor: p.Text("cursor"),
	}
	for _, kind := range p.Choices("kind", append(textsOf(grouping.EventKinds()), KindAll)) {
		if kind == KindAll {
			e.Everything = true
		} else {
			e.Kinds = append(e.Kinds, grouping.EventKind(kind))
		}
	}
	if e.Fingerprint != "" && !e.Fingerprint.Valid() {
		p.AddProblem("alert", quote(string(e.Fingerprint))+" is not a fingerprint: 16 hex digits")
	}
	if e.Cursor != "" && !eventCursor.MatchString(e.Cursor) {
		p.AddProblem("cursor", "not a cursor from an earlier response")
	}
	return e
}

// At reads the last minute of the events.
func (p *Params) At(now time.Time) time.Time { return p.Time("at", now) }

// GroupID reads the ID of a group.
func (p *Params) GroupID(name string) grouping.ID {
	id := grouping.ID(p.Text(name))
	if id != "" && !id.Valid() {
		p.AddProblem(name, quote(string(id))+" is not the ID of a group: 20 hex digits")
	}
	return id
}

// Query returns the query for the manager. If the parameters have no kind, it uses
// defaultKinds. If these are empty too, it asks for all kinds.
func (e *Events) Query(defaultKinds []grouping.EventKind) grouping.EventQuery {
	kinds := e.Kinds
	switch {
	case e.Everything:
		kinds = nil
	case len(kinds) == 0:
		kinds = defaultKinds
	}
	until := e.Until
	if end := e.At.Add(time.Minute); !e.At.IsZero() && (until.IsZero() || end.Before(until)) {
		until = end
	}
	return grouping.EventQuery{
		Matchers: e.Matchers, Words: e.Words, Kinds: kinds, Group: e.Group, Fingerprint: e.Fingerprint, Receiver: e.Receiver, Source: e.Source,
		Since: e.Since, Until: until, Limit: e.Limit, Cursor: e.Cursor,
	}
}

func textsOf[T ~string](all []T) []string {
	texts := make([]string, len(all))
	for i, word := range all {
		texts[i] = string(word)
	}
	return texts
}
