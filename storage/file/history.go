package file

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/durable"
)

// The history of a Storage has two buckets. One has the events by time. The other
// one has the IDs of the events by document.

// PushEvents implements durable.Backend.
func (f *Storage) PushEvents(ctx context.Context, events []grouping.Event) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.update("push events", func(tx *bbolt.Tx) error {
		for i := range events {
			text, err := events[i].Encode()
			if err != nil || !durable.Storable(&events[i]) {
				continue // the original write could not encode it either
			}
			if err := f.addEvents(tx, events[i].DocumentID(), []string{text}); err != nil {
				return err
			}
		}
		return nil
	})
}

// addEvents writes encoded events. It also removes a few of the oldest events if
// the history is over its limits. This keeps the file from growing, and no
// single write has to remove many events.
func (f *Storage) addEvents(tx *bbolt.Tx, id grouping.ID, events []string) error {
	history, timeline, meta := tx.Bucket(bucketHistory), tx.Bucket(bucketTimeline), tx.Bucket(bucketMeta)
	var size int64
	if v := meta.Get(keyBytes); len(v) == 8 {
		size = int64(binary.BigEndian.Uint64(v)) //nolint:gosec // G115: an int64 was written
	}
	for _, text := range events {
		key, value := eventKey(text)
		if history.Get(key) != nil {
			continue
		}
		err := errors.Join(history.Put(key, value), timeline.Put(append([]byte(id), key...), nil))
		if err != nil {
			return err
		}
		size += int64(len(text))
	}
	oldest := []byte(grouping.NewStamp(f.now().Add(-f.opts.HistoryRetention), 0, ""))
	for range 2*len(events) + 1 {
		k, v := history.Cursor().First()
		if k == nil || size <= f.opts.MaxHistory && bytes.Compare(k, oldest) >= 0 {
			break
		}
		e, err := grouping.DecodeEvent(string(k) + string(v))
		if err == nil {
			err = timeline.Delete(append([]byte(e.DocumentID()), k...))
		}
		if err := errors.Join(err, history.Delete(k)); err != nil {
			return err
		}
		size -= int64(len(k) + len(v))
	}
	return meta.Put(keyBytes, binary.BigEndian.AppendUint64(nil, uint64(max(size, 0))))
}

// eventKey splits an encoded event into its ID and its JSON.
func eventKey(text string) (key, value []byte) {
	i := bytes.IndexByte([]byte(text), '{')
	return []byte(text[:i]), []byte(text[i:])
}

// Events implements grouping.GroupStorage.
func (f *Storage) Events(ctx context.Context, q grouping.EventQuery) (grouping.EventPage, error) {
	var page grouping.EventPage
	if ctx.Err() != nil {
		return page, context.Cause(ctx)
	}
	limit := cmp.Or(q.Limit, grouping.DefaultLimit)
	err := f.view("events", func(tx *bbolt.Tx) error {
		history := tx.Bucket(bucketHistory)
		bucket, prefix := history, []byte(nil)
		if q.Group != "" {
			bucket, prefix = tx.Bucket(bucketTimeline), []byte(q.Group)
		}
		end := []byte{0xff}
		if !q.Until.IsZero() {
			end = []byte(durable.FirstID(durable.RoundUp(q.Until)))
		}
		if q.Cursor != "" && q.Cursor < string(end) {
			end = []byte(q.Cursor)
		}
		cursor := bucket.Cursor()
		k, _ := cursor.Seek(append(slices.Clone(prefix), end...))
		if k == nil {
			k, _ = cursor.Last()
		} else {
			k, _ = cursor.Prev()
		}
		for ; bytes.HasPrefix(k, prefix) && k != nil; k, _ = cursor.Prev() {
			id := k[len(prefix):]
			if !q.Since.IsZero() && string(id) < durable.FirstID(q.Since) {
				break
			}
			e, err := grouping.DecodeEvent(string(id) + string(history.Get(id)))
			if err != nil || !q.Matches(&e) {
				continue
			}
			if len(page.Events) == limit {
				page.Next = page.Events[limit-1].ID
				break
			}
			page.Events = append(page.Events, e)
		}
		return nil
	})
	return page, err
}

// StreamEvents implements grouping.GroupStorage. Each part is a transaction of its
// own, because an old transaction keeps the file from reusing its pages.
func (f *Storage) StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error] {
	return durable.EventReader{Newest: f.newestEvent, After: f.eventsAfter}.StreamEvents(ctx, from)
}

func (f *Storage) newestEvent(context.Context) (id string, err error) {
	err = f.view("stream events", func(tx *bbolt.Tx) error {
		k, _ := tx.Bucket(bucketHistory).Cursor().Last()
		id = string(k)
		return nil
	})
	return id, err
}

// eventsAfter returns the next events with greater IDs, and the last ID of them.
func (f *Storage) eventsAfter(ctx context.Context, after string) (events []grouping.Event, last string, err error) {
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	err = f.view("stream events", func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketHistory).Cursor()
		k, v := cursor.Seek([]byte(after))
		if string(k) == after {
			k, v = cursor.Next()
		}
		for n := 0; k != nil && n < durable.StreamChunk; n++ {
			last = string(k)
			if e, err := grouping.DecodeEvent(last + string(v)); err == nil {
				events = append(events, e)
			}
			k, v = cursor.Next()
		}
		return nil
	})
	return events, last, err
}
