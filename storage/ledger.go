package storage

import "sync"

// ledger finds acknowledged writes of this process that the backend lost. The log
// lists every write in order. So if the log was read past the position of an
// acknowledged write and did not contain it, the backend lost that write.
//
// It is safe for concurrent use. The zero value is usable.
type ledger struct {
	// disabled says that the backend has no log to compare with.
	disabled bool

	mu sync.Mutex
	// pending holds the writes in progress and what the log said about each.
	pending map[string]logState // guarded by mu
	// acked holds the acknowledged writes that were not yet seen in the log. The
	// value is the number of position checks before the acknowledgement.
	acked map[string]int // guarded by mu
	// checks counts the position checks.
	checks int // guarded by mu
}

// logState says whether the log contained a write that is still in progress.
type logState int

const (
	notSeen   logState = iota
	seen               // the log contained it
	maybeSeen          // it may be in a part of the log that was not read
)

// started records that a write is sent to the backend.
func (l *ledger) started(token string) {
	if l.disabled {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending, l.acked = map[string]logState{}, map[string]int{}
	}
	l.pending[token] = notSeen
}

// finished records the result of a write. It returns true if the write was
// acknowledged and may be in a part of the log that was not read. The caller must
// then look the write up in the history.
func (l *ledger) finished(token string, acknowledged bool) (lookUp bool) {
	if l.disabled {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	state := l.pending[token]
	if acknowledged && state == notSeen {
		l.acked[token] = l.checks
	}
	delete(l.pending, token)
	return acknowledged && state == maybeSeen
}

// inProgress reports whether a write was started and not finished.
func (l *ledger) inProgress(token string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.pending[token]
	return ok
}

// seenInLog records that the log contains a write.
func (l *ledger) seenInLog(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.pending[token]; ok {
		l.pending[token] = seen
	}
	delete(l.acked, token)
}

// beforePositionCheck must be called before the position of the log is read.
// Every write that was acknowledged until now is before that position.
func (l *ledger) beforePositionCheck() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checks++
}

// missed reports whether an acknowledged write is missing in the log. The log
// must have been read up to the position of the last check.
func (l *ledger) missed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, checks := range l.acked {
		if checks < l.checks {
			return true
		}
	}
	return false
}

// clear discards the acknowledged writes. It is called when the log is followed
// from another position. The caller then compares the whole history instead.
func (l *ledger) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.acked)
	for token := range l.pending {
		l.pending[token] = maybeSeen
	}
}
