package redis

import (
	"context"
	"iter"
	"sync"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
)

// A search reads many more events than it returns. So the texts are read into memory that
// is used again, and the next ones are read while the search looks at some. With a string
// for each text, half of the time of a search is garbage collection.

// historyChunk is the number of members that the first command reads: most pages need
// no more. A member is an entry, which may have some events and 10 KB.
const historyChunk = 200

// The next commands read searchSize bytes, as far as the first answer tells, but not more
// than searchChunk members. Redis needs about a millisecond for it.
const (
	searchSize  = 1 << 20
	searchChunk = 2000
)

// members yields the texts of the events in the range of the query, some at a time, from
// the newest to the oldest. The texts are only valid until the next ones.
func (r *Storage) members(ctx context.Context, key string, q *grouping.EventQuery) iter.Seq2[[][]byte, error] {
	return func(yield func([][]byte, error) bool) {
		newest, oldest := bounds(q)
		all := redis.ZRangeArgs{Key: key, Start: newest, Stop: oldest, ByLex: true, Rev: true}
		first := all
		first.Count = historyChunk
		list, err := r.readMembers(ctx, first)
		if err != nil {
			yield(nil, err)
			return
		}
		if !yield(list.texts, nil) || len(list.texts) < historyChunk {
			list.put()
			return
		}
		all.Start = "(" + list.last()
		chunk := min(searchChunk, 1+searchSize*len(list.texts)/max(1, len(list.answer.text)))
		list.put()
		r.membersAhead(ctx, all, chunk, yield)
	}
}

// membersAhead yields the texts of a range, chunk members at a time, and reads the next ones
// meanwhile.
func (r *Storage) membersAhead(ctx context.Context, rest redis.ZRangeArgs, chunk int, yield func([][]byte, error) bool) {
	type part struct {
		list *memberList
		err  error
		done chan struct{} // closed when the part was read
	}
	// One part is in the queue, and one waits for a place in it.
	queue, stop := make(chan *part, 1), make(chan struct{})
	var reading sync.WaitGroup
	defer reading.Wait()
	defer close(stop)
	reading.Go(func() {
		defer close(queue)
		for more := true; more; {
			// The end of a part is known before its texts, so the next part can be read too.
			end, err := r.client.ZRangeArgs(ctx, after(rest, int64(chunk-1))).Result()
			p, own := &part{err: err, done: make(chan struct{})}, rest
			if more = len(end) > 0; more {
				own.Stop, rest.Start = "["+end[0], "("+end[0]
			}
			reading.Go(func() {
				defer close(p.done)
				if p.err == nil {
					p.list, p.err = r.readMembers(ctx, own)
				}
			})
			select {
			case queue <- p:
			case <-stop:
				return
			}
		}
	})
	for p := range queue {
		<-p.done
		if p.err != nil {
			yield(nil, p.err)
			return
		}
		more := yield(p.list.texts, nil)
		p.list.put()
		if !more {
			return
		}
	}
}

// after returns the range of the member that is after a number of members of a range.
func after(a redis.ZRangeArgs, members int64) redis.ZRangeArgs {
	a.Offset, a.Count = members, 1
	return a
}

// memberList is the answer of Redis to a command that reads members.
type memberList struct {
	answer rawAnswer
	texts  [][]byte // parts of answer
}

// maxPooledMembers is the maximum size of a list whose memory is used again. It fits the
// events of alerts of a usual size.
const maxPooledMembers = 4 << 20

var memberLists = sync.Pool{New: func() any { return &memberList{} }}

func (l *memberList) last() string { return string(l.texts[len(l.texts)-1]) }

func (l *memberList) put() {
	if cap(l.answer.text) <= maxPooledMembers {
		memberLists.Put(l)
	}
}

// readMembers reads a range of members by their texts, which has no offset. The caller puts the
// list back.
func (r *Storage) readMembers(ctx context.Context, a redis.ZRangeArgs) (*memberList, error) {
	list := memberLists.Get().(*memberList) //nolint:forcetypeassert // the pool holds nothing else
	list.answer.text = list.answer.text[:0]
	args := []any{"zrange", a.Key, a.Start, a.Stop, "bylex"}
	if a.Rev {
		args = append(args, "rev")
	}
	if a.Count > 0 {
		args = append(args, "limit", 0, a.Count)
	}
	if err := r.client.Process(ctx, redis.NewRawWriteToCmd(ctx, &list.answer, args...)); err != nil {
		return nil, err
	}
	if list.split() {
		return list, nil
	}
	// Redis answered an error, for example that the key has moved. The client acts on an
	// error only if it decodes the answer.
	texts, err := r.client.ZRangeArgs(ctx, a).Result()
	list.texts = list.texts[:0]
	for _, text := range texts {
		list.texts = append(list.texts, []byte(text))
	}
	return list, err
}

// split finds the texts in the answer. It returns false if the answer is not a list of
// texts.
func (l *memberList) split() bool {
	l.texts = l.texts[:0]
	n, rest, ok := cutList(l.answer.text)
	for range n {
		var text []byte
		if text, rest, ok = cutString(rest); !ok {
			return false
		}
		l.texts = append(l.texts, text)
	}
	return ok && len(rest) == 0
}
