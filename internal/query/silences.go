package query

import "muster/grouping"

// Silences has the parameters of the list of silences.
type Silences struct {
	Filter

	State  grouping.SilenceState // "": all
	Source string
	Limit  int
	Cursor string
}

// Silences reads filter, state, source, limit and cursor.
func (p *Params) Silences() Silences {
	return Silences{
		Filter: p.Filter(), State: grouping.SilenceState(p.Choice("state", textsOf(grouping.SilenceStates()))), Source: p.Text("source"),
		Limit: p.Number("limit", 1, grouping.MaxLimit), Cursor: p.Text("cursor"),
	}
}

// Query returns the query for the manager.
func (s *Silences) Query() grouping.SilenceQuery {
	q := grouping.SilenceQuery{Source: s.Source, Matchers: s.Matchers, Words: s.Words, Limit: s.Limit, Cursor: s.Cursor}
	if s.State != "" {
		q.States = []grouping.SilenceState{s.State}
	}
	return q
}
