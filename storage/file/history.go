package file

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/durable"
)

// The history of a Storage has these buckets: the events by time, the IDs of the events
// by document, and the contents of the events with their last uses.

// encodedEvent is an event as it is stored.
type encodedEvent struct {
	document grouping.ID
	id       []byte
	json     []byte
	hash     []byte // of its content, or empty
	content  string // "" if it is not known
}

func encodeEvents(events []grouping.Event, contents grouping.ContentTexts) ([]encodedEvent, error) {
	encoded := make([]encodedEvent, 0, len(events))
	for i := range events {
		e := &events[i]
		text, err := e.Encode()
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.ID, err)
		}
		encoded = append(encoded, encodedEvent{
			document: e.DocumentID(), id: []byte(e.ID), json: []byte(text[len(e.ID):]), hash: []byte(e.Content), content: contents[e.Content],
		})
	}
	return encoded, nil
}

// PushEvents implements durable.Backend.
func (f *Storage) PushEvents(ctx context.Context, events []grouping.Event, contents grouping.ContentTexts) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.update("push events", func(tx *bbolt.Tx) error {
		for i := range events {
			encoded, err := encodeEvents(events[i:i+1], contents)
			if err != nil || !durable.Storable(&events[i]) {
				continue // the original write could not encode it either
			}
			if err := f.addEvents(tx, encoded); err != nil {
				return err
			}
		}
		return nil
	})
}

// historyWriter writes the history in one transaction.
type historyWriter struct {
	history, timeline, contents, uses, meta *bbolt.Bucket

	bytes int64 // size of the events and their contents
}

func newHistoryWriter(tx *bbolt.Tx) *historyWriter {
	w := &historyWriter{
		history: tx.Bucket(bucketHistory), timeline: tx.Bucket(bucketTimeline),
		contents: tx.Bucket(bucketContents), uses: tx.Bucket(bucketUses), meta: tx.Bucket(bucketMeta),
	}
	if v := w.meta.Get(keyBytes); len(v) == 8 {
		w.bytes = int64(binary.BigEndian.Uint64(v)) //nolint:gosec // G115: an int64 was written
	}
	return w
}

// finish writes the size.
func (w *historyWriter) finish() error {
	return w.meta.Put(keyBytes, binary.BigEndian.AppendUint64(nil, uint64(max(w.bytes, 0))))
}

// addEvents writes events and their contents. It also removes a few of the oldest
// events if the history is over its limits. This keeps the file from growing, and no
// single write has to remove many events.
func (f *Storage) addEvents(tx *bbolt.Tx, events []encodedEvent) error {
	w := newHistoryWriter(tx)
	for i := range events {
		if err := w.add(&events[i]); err != nil {
			return err
		}
	}
	oldest := []byte(grouping.NewStamp(f.now().Add(-f.opts.HistoryRetention), 0, ""))
	for range 2*len(events) + 1 {
		id, _ := w.history.Cursor().First()
		if id == nil || w.bytes <= f.opts.MaxHistory && bytes.Compare(id, oldest) >= 0 {
			break
		}
		if err := w.removeOldest(); err != nil {
			return err
		}
	}
	return w.finish()
}

// add writes an event that is not stored yet, and its content.
func (w *historyWriter) add(e *encodedEvent) error {
	if len(e.hash) > 0 {
		if err := w.addContent(e); err != nil {
			return err
		}
	}
	if w.history.Get(e.id) != nil {
		return nil
	}
	err := errors.Join(w.history.Put(e.id, e.json), w.timeline.Put(append([]byte(e.document), e.id...), nil))
	w.bytes += int64(len(e.id) + len(e.json))
	return err
}

// addContent writes the content of an event. The newest event that has the content says
// how long it is kept.
func (w *historyWriter) addContent(e *encodedEvent) error {
	last, text := splitContent(w.contents.Get(e.hash))
	if last == nil && e.content == "" || bytes.Compare(e.id, last) <= 0 {
		return nil
	}
	if last == nil {
		text = []byte(e.content)
		w.bytes += int64(len(text))
	} else if err := w.uses.Delete(last); err != nil {
		return err
	}
	return errors.Join(w.uses.Put(e.id, e.hash), w.contents.Put(e.hash, slices.Concat(e.id, text)))
}

// removeOldest removes the oldest event. It also removes the contents that no later
// event has.
func (w *historyWriter) removeOldest() error {
	id, text := w.history.Cursor().First()
	e, err := grouping.DecodeEvent(string(id) + string(text))
	if err == nil {
		err = w.timeline.Delete(append([]byte(e.DocumentID()), id...))
	}
	if err := errors.Join(err, w.history.Delete(id)); err != nil {
		return err
	}
	w.bytes -= int64(len(id) + len(text))
	return w.removeContents(id)
}

// removeContents removes the contents whose newest event is not after the one with the
// ID.
func (w *historyWriter) removeContents(id []byte) error {
	for {
		last, hash := w.uses.Cursor().First()
		if last == nil || bytes.Compare(last, id) > 0 {
			return nil
		}
		_, text := splitContent(w.contents.Get(hash))
		w.bytes -= int64(len(text))
		if err := errors.Join(w.contents.Delete(hash), w.uses.Delete(last)); err != nil {
			return err
		}
	}
}

// splitContent splits a stored content into the ID of the newest event that has it and
// its text. It returns nil if there is no such content.
func splitContent(stored []byte) (last, text []byte) {
	i := bytes.IndexByte(stored, '{')
	if i < 0 {
		return nil, nil
	}
	return stored[:i], stored[i:]
}

// Contents implements grouping.GroupStorage.
func (f *Storage) Contents(ctx context.Context, events []grouping.Event) (map[string]grouping.Content, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	texts := grouping.ContentTexts{}
	err := f.view("contents", func(tx *bbolt.Tx) error {
		contents := tx.Bucket(bucketContents)
		for i := range events {
			hash := events[i].Content
			if _, text := splitContent(contents.Get([]byte(hash))); text != nil {
				texts[hash] = string(text)
			}
		}
		return nil
	})
	return texts.Decode(), err
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
