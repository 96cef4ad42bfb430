package durable_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/storage/durable"
)

// fakePlace has events in parts of three. Its IDs are those numbers below the end that leave the
// rest when they are divided by two.
type fakePlace struct {
	rest, end int
	fails     string // the ID after which a read fails
	running   atomic.Int32
}

var errLost = errors.New("lost")

func fakeID(n int) string {
	return string(grouping.NewStamp(time.UnixMilli(int64(n)), 0, "0000000000000001")) + "000000"
}

func (p *fakePlace) read(ctx context.Context, after string, memory durable.Memory) (events []grouping.Event, last string, err error) {
	p.running.Add(1)
	defer p.running.Add(-1)
	if p.fails != "" && after >= p.fails {
		return nil, "", errLost
	}
	events = memory.Events[:0]
	for n := p.rest; n < p.end && len(events) < 3; n += 2 {
		if id := fakeID(n); id > after {
			events = append(events, grouping.Event{ID: id, Time: time.UnixMilli(int64(n))})
			last = id
		}
	}
	return events, last, ctx.Err()
}

// A stream reads ahead. It is in order, nothing is lost at a fault, and no read outlives it.
func TestStreamsReadAhead(t *testing.T) {
	const end = 100
	for _, fails := range []string{"", fakeID(1), fakeID(41), fakeID(95)} {
		for _, stopAfter := range []int{1, 4, 30, end} {
			t.Run(fmt.Sprint(fails, stopAfter), func(t *testing.T) {
				even, odd := &fakePlace{rest: 0, end: end}, &fakePlace{rest: 1, end: end, fails: fails}
				r := durable.EventReader{
					Newest: func(context.Context) (string, error) { return fakeID(end - 1), nil },
					After:  []durable.ReadAfter{even.read, odd.read},
				}
				n := 0
				for e, err := range r.StreamEvents(t.Context(), time.Time{}) {
					if err != nil {
						require.ErrorIs(t, err, errLost)
						require.Greater(t, fakeID(n), fails, "what was read before is returned")
						n = end
						break
					}
					require.Equal(t, fakeID(n), e.ID)
					if n++; n == stopAfter {
						break
					}
				}
				require.GreaterOrEqual(t, n, stopAfter)
				require.Zero(t, even.running.Load()+odd.running.Load())
			})
		}
	}
}
