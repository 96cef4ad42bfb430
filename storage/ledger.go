package storage

import "sync"

// ledger knows the acknowledged writes of this process that the log has not
// told of yet. The log tells of every write, in order: one that it passes over
// was lost between the acknowledgement and the entry's arrival here.
type ledger struct {
	// off says that there is no log to compare with.
	off bool

	mu sync.Mutex
	// pending holds the writes under way, and what is known of them.
	pending map[string]knowledge // guarded by mu
	// acked holds those that were acknowledged, and at which look.
	acked map[string]int // guarded by mu
	look  int            // guarded by mu
}

// knowledge is what is known of a write under way.
type knowledge int

const (
	unheard  knowledge = iota
	heard              // the log told of it
	doubtful           // the log may have told of it where nobody listened
)

// begin takes note that a write is tried.
func (l *ledger) begin(token string) {
	if l.off {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending, l.acked = map[string]knowledge{}, map[string]int{}
	}
	l.pending[token] = unheard
}

// end takes note of what became of the write. It reports whether an acknowledged
// one must be looked up, since the log will not tell of it.
func (l *ledger) end(token string, acknowledged bool) (lookUp bool) {
	if l.off {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.pending[token]
	if acknowledged && known == unheard {
		l.acked[token] = l.look
	}
	delete(l.pending, token)
	return acknowledged && known == doubtful
}

// hear takes note that the log told of a write.
func (l *ledger) hear(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.pending[token]; ok {
		l.pending[token] = heard
	}
	delete(l.acked, token)
}

// looks takes note that the log's position is about to be asked for: every
// write that was acknowledged until now stands before it.
func (l *ledger) looks() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look++
}

// missed reports whether a write stands before the last position that was asked
// for and the log, read up to there, did not tell of it.
func (l *ledger) missed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, look := range l.acked {
		if look < l.look {
			return true
		}
	}
	return false
}

// clear forgets the acknowledged writes: the log is followed from another place,
// and all that the backend may lack is looked for.
func (l *ledger) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.acked)
	for token := range l.pending {
		l.pending[token] = doubtful
	}
}
