package grouping

import "slices"

// Select returns the groups that the query selects, in their order. It ignores the
// cursor and the limit.
func (q *ListQuery) Select(groups []*AlertGroup) []*AlertGroup {
	return slices.DeleteFunc(slices.Clone(groups), func(g *AlertGroup) bool { return !q.Selects(g) })
}
