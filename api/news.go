package api

import (
	"sync"
	"time"

	"muster/grouping"
)

// historyNews says to one reader of the history from when it must read again.
type historyNews struct {
	// changed has an element if there is news.
	changed chan struct{}

	mu   sync.Mutex
	from time.Time // guarded by mu; of the oldest new event; zero: nothing is new
}

// add says that there may be new events since a time. It never blocks.
func (n *historyNews) add(from time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.from.IsZero() || from.Before(n.from) {
		n.from = from
	}
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// take returns the time from which to read. Call it after changed had an element.
func (n *historyNews) take() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	from := n.from
	n.from = time.Time{}
	select {
	case <-n.changed: // what was added since then is in from
	default:
	}
	return from
}

// watchNews adds a reader of the history. It must be removed with unwatchNews.
func (h *Hub) watchNews() *historyNews {
	n := &historyNews{changed: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.news[n] = true
	return n
}

func (h *Hub) unwatchNews(n *historyNews) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.news, n)
}

// tellNews tells the readers of the history of a change. The caller holds mu.
func (h *Hub) tellNews(u *grouping.Update) {
	if len(h.news) == 0 {
		return
	}
	from := newsSince(u)
	for n := range h.news {
		n.add(from)
	}
}

// newsSince returns the time since which there may be new events after a change. If this
// process made the change, its events are known.
func newsSince(u *grouping.Update) time.Time {
	if len(u.Events) > 0 {
		return u.Events[0].Time
	}
	now := time.Now()
	oldest := now
	switch {
	case u.Group != nil:
		oldest = oldestChange(u.Before, u.Group, now)
	case u.Source != nil && u.Source.Stamp.Time().Before(now):
		oldest = u.Source.Stamp.Time()
	}
	if now.Sub(oldest) > lateness {
		return oldest.Add(-outage)
	}
	return oldest.Add(-lateness)
}

// oldestChange returns the time of the oldest write by which a group differs from the one before,
// which may be nil. It is not after now.
func oldestChange(before, g *grouping.AlertGroup, now time.Time) time.Time {
	oldest := now
	changed := func(at time.Time) {
		if at.Before(oldest) {
			oldest = at
		}
	}
	if before == nil || before.Stamp != g.Stamp {
		changed(g.UpdatedAt)
	}
	if before == nil {
		return oldest
	}
	for _, a := range g.Alerts {
		if known := before.Alert(a.Fingerprint); known != a && (known == nil || known.Stamp != a.Stamp) {
			changed(a.Stamp.Time())
		}
	}
	return oldest
}
