package pages

import (
	"sync"

	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
	"muster/templates"
)

// Counts keeps the counts of all groups up to date. It is safe for concurrent use.
type Counts struct {
	mu      sync.Mutex
	counter templates.Counter // guarded by mu
}

// NewCounts returns the counts of no groups. The alerts that the matchers of
// heartbeats select are counted as heartbeats.
func NewCounts(heartbeats []labels.Matchers) *Counts {
	return &Counts{counter: templates.Counter{Heartbeats: heartbeats}}
}

// Apply applies a change of a group.
func (s *Counts) Apply(u grouping.Update) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counter.Update(u.Before, u.Group)
}

func (s *Counts) get() templates.Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counter.Summary()
}
