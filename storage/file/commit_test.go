package file

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A commit waits for the other writers of the last one, but only a moment.
func TestCommitsGatherWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Storage{arrived: make(chan struct{}, 1), commitLock: make(chan struct{}, 1)}
		gather := func(active int) time.Duration {
			started := time.Now()
			f.active = active
			f.gather()
			return time.Since(started)
		}
		write := func() {
			// The first write is the one that gathers.
			go func() { _ = f.update("test", func(*writeTx) error { return nil }) }()
		}
		f.waiting = []*queuedWrite{{}}
		require.Zero(t, gather(0), "the first commit")
		require.Zero(t, gather(1), "a single writer")
		require.Equal(t, commitDelay, gather(2), "the other writer does not come again")

		time.AfterFunc(commitDelay/4, write)
		time.AfterFunc(commitDelay/2, write)
		require.Equal(t, commitDelay/2, gather(3))
		for _, w := range f.waiting[1:] {
			close(w.done)
		}
	})
}
