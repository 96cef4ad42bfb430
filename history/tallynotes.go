package history

import (
	"cmp"
	"slices"
)

// A notification is about a group, not about one alert. It counts for a row if the group
// listed an alert of the row then, as firing or as just resolved.

// listing is when a group listed the alerts of a row.
type listing struct {
	row      int32
	from, to millis
}

// late is how much later than the end of an alert its delivery can be told.
const late = minute

// addNotes counts the notifications.
func (t *tally) addNotes() {
	n := noteTally{
		tally: t, seen: make([]bool, len(t.d.notes)), seenBy: map[[2]int32]bool{},
		receivers: map[int32]*ReceiverCount{},
	}
	for i := range t.d.groups {
		if g := &t.d.groups[i]; len(g.notes) > 0 {
			n.group = i
			n.addGroup(g)
		}
	}
	for _, c := range n.receivers {
		t.report.Receivers = append(t.report.Receivers, *c)
	}
}

// noteTally counts notifications for one report.
type noteTally struct {
	*tally

	seen      []bool            // by note
	seenBy    map[[2]int32]bool // by row and note, if the note is in several groups
	receivers map[int32]*ReceiverCount
	group     int       // the one that is counted now
	listings  []listing // memory for those of one group
}

func (n *noteTally) addGroup(g *groupLine) {
	n.listings = n.listings[:0]
	for _, s := range g.spans {
		if row := n.selected[s.alert]; row != notSelected && n.near(s) {
			n.listings = append(n.listings, listing{row, s.from, s.to})
		}
	}
	slices.SortFunc(n.listings, func(a, b listing) int {
		return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.from, b.from))
	})
	for i := 0; i < len(n.listings); {
		l := n.listings[i]
		for i++; i < len(n.listings) && n.listings[i].row == l.row && n.listings[i].from <= l.to; i++ {
			l.to = max(l.to, n.listings[i].to)
		}
		end := endless
		if i < len(n.listings) && n.listings[i].row == l.row {
			end = n.listings[i].from // the next listing counts what comes then
		}
		n.addListed(g, l, end)
	}
}

// near reports whether notifications about the span can be in one of the windows.
func (n *noteTally) near(s span) bool {
	return s.from < n.window.until && s.to+late >= n.window.since || s.from < n.before.until && s.to+late >= n.before.since
}

// addListed counts the notifications of the group from a listing until before the next one.
func (n *noteTally) addListed(g *groupLine, l listing, next millis) {
	i, _ := slices.BinarySearchFunc(g.notes, l.from, func(number int32, at millis) int {
		return cmp.Compare(n.d.notes[number].at, at)
	})
	for _, number := range g.notes[i:] {
		note := &n.d.notes[number]
		to := l.to
		if note.delivered && to != endless {
			to += late
		}
		switch {
		case note.at > l.to+late && l.to != endless, note.at >= next, note.at >= n.window.until:
			return
		case note.at <= to:
			n.addNote(number, l.row)
		}
	}
}

// addNote counts a notification for a row and for the totals.
func (n *noteTally) addNote(number, row int32) {
	note := &n.d.notes[number]
	inside := n.window.has(note.at)
	if inside && n.q.By != ByReceiver {
		key := [2]int32{row, number}
		if note.groups == 1 || !n.seenBy[key] {
			n.rows[row].Notifications++
		}
		if note.groups > 1 {
			n.seenBy[key] = true
		}
	}
	if n.seen[number] {
		return
	}
	n.seen[number] = true
	switch {
	case inside && n.visitNote != nil:
		n.visitNote(n.group, note)
	case inside:
		n.totals.Notifications++
		n.addReceived(note)
	case n.before.has(note.at):
		n.totalsBefore.Notifications++
	}
}

func (n *noteTally) addReceived(note *note) {
	name := n.d.receivers.names.list[note.receiver]
	c := n.receivers[note.receiver]
	if c == nil {
		c = &ReceiverCount{Receiver: name, ByReason: map[string]int{}}
		n.receivers[note.receiver] = c
	}
	c.Notifications++
	c.ByReason[n.d.reasons.list[note.reason]]++
	if n.q.By == ByReceiver {
		n.rows[n.row(name)].Notifications++
	}
}
