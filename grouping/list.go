package grouping

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
	SortSeverity Sort = "severity" // those that nobody acknowledged first, firing before not firing, the most urgent first, then the newest
	SortNewest   Sort = "newest"   // the group with the newest alert first
	SortName     Sort = "name"
	SortCount    Sort = "count"   // the group with the most firing alerts first
	SortUpdated  Sort = "updated" // the last changed group first
)

// DefaultSort is the sort order of a list that asks for none.
const DefaultSort = SortSeverity

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
	Words  []string
	States []State // empty: all
	// Mutes selects the groups with a suppressed alert that the mutes match, instead of
	// those with an alert in one of the States. nil: any alert.
	Mutes    *MuteQuery
	Receiver string   // "": all
	Source   string   // "": all
	Ack      AckState // "": any
	Closed   bool     // only groups that a person closed
	Sort     Sort     // "": DefaultSort
	Limit    int      // 0: DefaultLimit
	Cursor   string   // GroupPage.Next of the previous page; "": the first page
	// NoTotal says that the caller does not need GroupPage.Total. Then all pages together
	// cost as much as one with a total.
	NoTotal bool
	// Now is the time at which acknowledgements count. Zero means the present.
	Now time.Time
}

func (q *ListQuery) now() time.Time {
	if q.Now.IsZero() {
		return time.Now()
	}
	return q.Now
}

// MuteQuery selects suppressed alerts by what mutes them. The zero value selects all
// suppressed alerts.
type MuteQuery struct {
	Cause   MuteKind // "": any
	Silence string   // the ID of a silence; "": any
}

// selects reports whether the alert is suppressed and one of its mutes matches.
func (q *MuteQuery) selects(a *Alert) bool {
	if a.ShownStatus() != StatusSuppressed {
		return false
	}
	return slices.ContainsFunc(a.muted.Mutes, func(m Mute) bool {
		return m.Active() && (q.Cause == "" || q.Cause == m.Kind) &&
			(q.Silence == "" || m.Kind == MuteSilence && q.Silence == m.ID)
	})
}

// GroupPage is a page of groups. Total is the number of all groups that the query
// selects. Next is the cursor of the next page, or empty on the last page.
type GroupPage struct {
	Groups []*AlertGroup
	Total  int
	Next   string
}

// Selects reports whether the query selects the group. It ignores the cursor and the
// limit. Select is faster for many groups.
func (q *ListQuery) Selects(g *AlertGroup) bool { return newSelector(q).selects(g) }

// MatchesAlert reports whether the query's states and matchers select the alert. The
// same alert must satisfy both: a query for firing groups does not find a group by a
// resolved alert.
func (q *ListQuery) MatchesAlert(a *Alert) bool {
	return q.wantsAlert(a) && AllMatch(q.Matchers, a.Labels)
}

// CountMatches returns how many alerts of the group have a status that the query's
// states select, and how many of these the matchers select too.
func (q *ListQuery) CountMatches(g *AlertGroup) (matched, wanted int) {
	for _, a := range g.Alerts {
		if q.wantsAlert(a) {
			wanted++
		}
		if q.MatchesAlert(a) {
			matched++
		}
	}
	return matched, wanted
}

// wantsAlert reports whether the query's states and mutes select the alert.
func (q *ListQuery) wantsAlert(a *Alert) bool {
	return q.Wants(a.ShownStatus()) && (q.Mutes == nil || q.Mutes.selects(a))
}

// Wants reports whether the query's states select alerts with the status.
func (q *ListQuery) Wants(status Status) bool {
	if q.Mutes != nil {
		return status == StatusSuppressed
	}
	if len(q.States) == 0 {
		return true
	}
	return slices.ContainsFunc(q.States, func(s State) bool {
		switch s {
		case StateSuppressed:
			return status == StatusSuppressed
		case StateUnreported:
			return status == StatusUnreported
		case StateResolved:
			return status == StatusResolved
		default:
			return status == StatusFiring
		}
	})
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

// acknowledgedRank makes the acknowledged groups follow all others.
const acknowledgedRank = int64(SeverityNone+1) * 8

// sortEviction is the order of the index in which the last group is evicted first: resolved
// groups rather than others, and of these the one that changed longest ago. Nobody can ask for
// it.
const sortEviction Sort = "eviction"

// evictableStates returns the states of groups that can be evicted, the last one first.
func evictableStates() []State { return []State{StateSuppressed, StateUnreported, StateResolved} }

// positionOf returns the position of a group. acknowledged is what IsAcknowledged says.
func (s Sort) positionOf(g *AlertGroup, acknowledged bool) position {
	p := position{name: g.Name[:min(len(g.Name), maxSortName)], id: g.ID}
	switch s {
	case SortNewest:
		p.number = -g.NewestAt.Unix()
	case SortName:
	case SortCount:
		p.number = -int64(g.Counts.Firing)
	case SortUpdated:
		p.number = -g.UpdatedAt.UnixMilli()
	case sortEviction:
		p.rank, p.number = int64(slices.Index(evictableStates(), g.State)), -g.UpdatedAt.UnixMilli()
	case SortSeverity:
		p.rank, p.number = int64(g.Severity.urgency()), -g.NewestAt.Unix()
		if g.Counts.Firing == 0 {
			p.rank += int64(SeverityNone+1) * int64(1+slices.Index(evictableStates(), g.State))
		}
		if acknowledged {
			p.rank += acknowledgedRank
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

// List returns the page of the groups that the query asks for. The groups may be in
// any order. List is a pure function. Manager.List gives the same page of the current
// groups, and is faster.
func List(groups []*AlertGroup, q ListQuery) (GroupPage, error) {
	l, err := newLister(&q)
	if err != nil {
		return GroupPage{}, err
	}
	var entries []indexEntry
	selector, now := newSelector(&q), q.now()
	for _, g := range groups {
		if selector.selects(g) {
			entries = append(entries, indexEntry{l.sort.positionOf(g, g.IsAcknowledged(now)), g})
		}
	}
	slices.SortFunc(entries, compareEntries)
	for _, e := range entries {
		l.add(e)
	}
	return l.page, nil
}

// lister makes one page of a list.
type lister struct {
	sort  Sort
	limit int
	from  *position // position of the cursor; nil on the first page
	last  position  // of the last group on the page
	// totalKnown says that page.Total is already set, so add does not count.
	totalKnown bool
	page       GroupPage
}

// newLister returns the lister for a query. If the query is not valid, it returns an
// error that wraps ErrBadQuery.
func newLister(q *ListQuery) (*lister, error) {
	sort, limit, err := q.pageSettings()
	if err != nil {
		return nil, err
	}
	l := &lister{sort: sort, limit: limit, page: GroupPage{Groups: []*AlertGroup{}}}
	if q.Cursor != "" {
		from, err := parseCursor(q.Cursor, sort)
		if err != nil {
			return nil, err
		}
		l.from = &from
	}
	return l, nil
}

// add takes the next selected group in the sort order. It returns false if the page
// needs no more groups.
func (l *lister) add(e indexEntry) bool {
	if !l.totalKnown {
		l.page.Total++
	}
	switch {
	case l.from != nil && comparePositions(e.position, *l.from) <= 0:
	case len(l.page.Groups) < l.limit:
		l.page.Groups = append(l.page.Groups, e.group)
		l.last = e.position
	default: // a group after the full page: there is a next page
		if l.page.Next == "" {
			l.page.Next = l.last.cursor(l.sort)
		}
		return !l.totalKnown
	}
	return true
}

// list does the same as List for all groups of the index. If the query selects by state
// only, the total is already known, and list reads only the groups of the page.
func (x *index) list(q ListQuery) (GroupPage, error) {
	l, err := newLister(&q)
	if err != nil {
		return GroupPage{}, err
	}
	if !x.mayMatch(q.Matchers) {
		return l.page, nil
	}
	order, states := x.sortedSnapshot(l.sort)
	selector := newSelector(&q)
	visit := func(e indexEntry) bool { return !selector.selects(e.group) || l.add(e) }
	if !q.NoTotal && (len(q.Matchers)+len(q.Words) > 0 || q.Receiver != "" || q.Source != "" || q.Ack != "" || q.Closed || q.Mutes != nil) {
		order.Ascend(visit)
		return l.page, nil
	}
	l.totalKnown = true
	for state, n := range states {
		if !q.NoTotal && (len(q.States) == 0 || slices.Contains(q.States, state)) {
			l.page.Total += n
		}
	}
	if l.from != nil {
		order.AscendGreaterOrEqual(indexEntry{position: *l.from}, visit)
	} else {
		order.Ascend(visit)
	}
	return l.page, nil
}

// selects reports whether the query selects a group. It ignores the cursor and the limit.
func (x *index) selects(q ListQuery) bool {
	if !x.mayMatch(q.Matchers) {
		return false
	}
	order, _ := x.sortedSnapshot(DefaultSort)
	selector, found := newSelector(&q), false
	order.Ascend(func(e indexEntry) bool {
		found = selector.selects(e.group)
		return !found
	})
	return found
}

func (q *ListQuery) pageSettings() (Sort, int, error) {
	sort := cmp.Or(q.Sort, DefaultSort)
	if !slices.Contains(Sorts(), sort) {
		return "", 0, fmt.Errorf("%w: sort: %q is not one of %v", ErrBadQuery, sort, Sorts())
	}
	for _, s := range q.States {
		if !slices.Contains(States(), s) {
			return "", 0, fmt.Errorf("%w: state: %q is not one of %v", ErrBadQuery, s, States())
		}
	}
	if q.Ack != "" && !slices.Contains(AckStates(), q.Ack) {
		return "", 0, fmt.Errorf("%w: ack: %q is not one of %v", ErrBadQuery, q.Ack, AckStates())
	}
	return sort, cmp.Or(q.Limit, DefaultLimit), validateLimit(q.Limit)
}
