package storage

import (
	"context"
	"strings"
	"time"
)

// checkTimeout is how long a check may take: it is not urgent, but a round waits
// for it.
const checkTimeout = 5 * time.Second

// check asks the backend how it is set up. A backend that cannot be reached
// tells nothing: what it told before stays.
func (m *Tiered) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	problems, err := m.durable.Check(ctx)
	if err != nil {
		m.logger.Debug("The storage backend could not be checked", "backend", m.durable.Name(), "err", err)
		return
	}
	m.mu.Lock()
	before := make(map[string]bool, len(m.problems))
	for _, p := range m.problems {
		before[p] = true
	}
	m.problems = problems
	said := m.said
	m.mu.Unlock()
	for _, p := range problems {
		if !before[p] && !strings.Contains(said, p) {
			m.logger.Warn("The storage backend is not set up as it must be", "backend", m.durable.Name(), "problem", p)
		}
	}
}
