package grouping

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// ErrBadQuery means that a query is not valid. An error that wraps it names the
// parameter and its value.
var ErrBadQuery = errors.New("bad query")

// Sort is a sort order of groups.
type Sort string

// The sort orders of a list of groups. Equal groups are sorted by the first 200 bytes
// of the name, then by ID.
const (
	SortSeverity Sort = "severity" // firing before not firing, the most urgent first, then the newest
	SortNewest   Sort = "newest"   // the group with the newest alert first
	SortName     Sort = "name"
	SortCount    Sort = "count"   // the group with the most firing alerts first
	SortUpdated  Sort = "updated" // the last changed group first
)

// Sorts lists every sort order, the default first.
func Sorts() []Sort {
	return []Sort{SortSeverity, SortNewest, SortName, SortCount, SortUpdated}
}

// ListQuery selects groups. The zero value selects all.
type ListQuery struct {
	// Matchers selects the groups with an alert that matches all of them and is in
	// one of the States. If a group has no alert, its group labels must match.
	Matchers labels.Matchers
	// Words selects the groups that contain every word, ignoring case. A word may
	// be part of a label name, a label value or an annotation of an alert that is in
	// one of the States. It may also be part of a group label, of the receiver or of
	// the source.
	Words    []string
	States   []State // empty: all
	Receiver string  // "": all
	Source   string  // "": all
	Sort     Sort    // "": SortSeverity
	Limit    int     // 0: DefaultLimit
	Cursor   string  // GroupPage.Next of the previous page; "": the first page
}

// GroupPage is a page of groups. Total is the number of all groups that the query
// selects. Next is the cursor of the next page, or empty on the last page.
type GroupPage struct {
	Groups []*AlertGroup
	Total  int
	Next   string
}

// Selects reports whether the query selects the group. It ignores the cursor and the
// limit.
func (q *ListQuery) Selects(g *AlertGroup) bool {
	if q.Receiver != "" && q.Receiver != g.Receiver || q.Source != "" && q.Source != g.Source ||
		len(q.States) > 0 && !slices.Contains(q.States, g.State) || !q.matchesAny(g) {
		return false
	}
	for _, word := range q.Words {
		if !q.mentions(g, strings.ToLower(word)) {
			return false
		}
	}
	return true
}

// MatchesAlert reports whether the query's states and matchers select the alert. The
// same alert must satisfy both: a query for firing groups does not find a group by a
// resolved alert.
func (q *ListQuery) MatchesAlert(a *Alert) bool {
	return q.Wants(a.Status) && allMatch(q.Matchers, a.Labels)
}

// Wants reports whether the query's states select alerts with the status.
func (q *ListQuery) Wants(status Status) bool {
	if len(q.States) == 0 {
		return true
	}
	return slices.ContainsFunc(q.States, func(s State) bool {
		switch s {
		case StateUnreported:
			return status == StatusUnreported
		case StateResolved:
			return status == StatusResolved
		default:
			return status == StatusFiring
		}
	})
}

func (q *ListQuery) matchesAny(g *AlertGroup) bool {
	if len(g.Alerts) == 0 {
		return allMatch(q.Matchers, g.GroupLabels)
	}
	return len(q.Matchers) == 0 || slices.ContainsFunc(g.Alerts, q.MatchesAlert)
}

func (q *ListQuery) mentions(g *AlertGroup, word string) bool {
	if strings.Contains(strings.ToLower(g.Receiver), word) || strings.Contains(strings.ToLower(g.Source), word) ||
		labelsMention(g.GroupLabels, word) {
		return true
	}
	for _, a := range g.Alerts {
		if !q.Wants(a.Status) {
			continue
		}
		if labelsMention(a.Labels, word) {
			return true
		}
		for _, value := range a.Annotations {
			if strings.Contains(strings.ToLower(value), word) {
				return true
			}
		}
	}
	return false
}

func labelsMention(l Labels, word string) bool {
	for name, value := range l {
		if strings.Contains(strings.ToLower(name), word) || strings.Contains(strings.ToLower(value), word) {
			return true
		}
	}
	return false
}

// position is the position of a group in a sort order. Positions are compared field
// by field, ascending. The last field is unique.
type position struct {
	rank, number int64
	name         string // truncated to maxSortName bytes
	id           ID
}

// maxSortName is the maximum number of bytes of a name that are used for sorting. The
// name is part of the cursor, and the cursor is part of a URL.
const maxSortName = 200

func (s Sort) positionOf(g *AlertGroup) position {
	p := position{name: g.Name[:min(len(g.Name), maxSortName)], id: g.ID}
	switch s {
	case SortNewest:
		p.number = -g.NewestAt.Unix()
	case SortName:
	case SortCount:
		p.number = -int64(g.Counts.Firing)
	case SortUpdated:
		p.number = -g.UpdatedAt.UnixMilli()
	case SortSeverity:
		p.rank, p.number = int64(g.Severity.urgency()), -g.NewestAt.Unix()
		if g.Counts.Firing == 0 {
			p.rank += int64(SeverityNone+1) * int64(1+slices.Index([]State{StateUnreported, StateResolved}, g.State))
		}
	}
	return p
}

func comparePositions(a, b position) int {
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.number, b.number),
		cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
}

// cursor returns the position as text. It contains the sort order, because the same
// numbers mean another position in another order.
func (p position) cursor(s Sort) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s %d %d %s %s", s, p.rank, p.number, p.id, p.name))
}

func parseCursor(cursor string, s Sort) (position, error) {
	var p position
	var of Sort
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%s %d %d %s", &of, &p.rank, &p.number, &p.id)
	}
	parts := strings.SplitN(string(text), " ", 5)
	if err != nil || len(parts) != 5 || !p.id.Valid() {
		return p, fmt.Errorf("%w: cursor: not a cursor from an earlier response", ErrBadQuery)
	}
	if of != s {
		return p, fmt.Errorf("%w: cursor: from a response with another sort order than %s", ErrBadQuery, s)
	}
	p.name = parts[4]
	return p, nil
}

// page returns the page that the query asks for. If the query selects by state only,
// the total is already known, and page reads only the groups of the page.
func (x *index) page(q ListQuery) (GroupPage, error) {
	sort, limit, err := q.pageSettings()
	if err != nil {
		return GroupPage{}, err
	}
	var after position
	if q.Cursor != "" {
		if after, err = parseCursor(q.Cursor, sort); err != nil {
			return GroupPage{}, err
		}
	}

	order, states := x.sortedSnapshot(sort)
	statesOnly := len(q.Matchers)+len(q.Words) == 0 && q.Receiver == "" && q.Source == ""
	page := GroupPage{Groups: []*AlertGroup{}}
	var last position
	visit := func(p indexEntry) bool {
		if !q.Selects(p.group) {
			return true
		}
		page.Total++
		switch {
		case q.Cursor != "" && comparePositions(p.position, after) <= 0:
		case len(page.Groups) < limit:
			page.Groups = append(page.Groups, p.group)
			last = p.position
		default: // a group after the full page: there is a next page
			page.Next = last.cursor(sort)
			return !statesOnly
		}
		return true
	}
	if statesOnly && q.Cursor != "" {
		order.AscendGreaterOrEqual(indexEntry{position: after}, visit)
	} else {
		order.Ascend(visit)
	}
	if statesOnly {
		page.Total = 0
		for state, n := range states {
			if len(q.States) == 0 || slices.Contains(q.States, state) {
				page.Total += n
			}
		}
	}
	return page, nil
}

func (q *ListQuery) pageSettings() (Sort, int, error) {
	sort := cmp.Or(q.Sort, SortSeverity)
	if !slices.Contains(Sorts(), sort) {
		return "", 0, fmt.Errorf("%w: sort: %q is not one of %v", ErrBadQuery, sort, Sorts())
	}
	for _, s := range q.States {
		if !slices.Contains(States(), s) {
			return "", 0, fmt.Errorf("%w: state: %q is not one of %v", ErrBadQuery, s, States())
		}
	}
	return sort, cmp.Or(q.Limit, DefaultLimit), validateLimit(q.Limit)
}
