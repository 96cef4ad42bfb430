package storage

import (
	"context"
	"strings"
	"time"
)

// checkTimeout is the time limit of a check of the configuration. Nothing else runs
// in this round until the check ends.
const checkTimeout = 5 * time.Second

// updateProblems asks the backend for problems of its configuration and logs each
// new one. If the backend cannot be reached, the problems of the last check stay.
func (t *Tiered) updateProblems(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	problems, err := t.backend.Check(ctx)
	if err != nil {
		t.logger.Debug("Failed to check the configuration of the storage backend", "backend", t.backend.Name(), "err", err)
		return
	}
	t.mu.Lock()
	before := make(map[string]bool, len(t.problems))
	for _, p := range t.problems {
		before[p] = true
	}
	t.problems = problems
	lastFault := t.lastFault
	t.mu.Unlock()
	for _, p := range problems {
		if !before[p] && !strings.Contains(lastFault, p) {
			t.logger.Warn("The storage backend has a configuration problem", "backend", t.backend.Name(), "problem", p)
		}
	}
}
