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
// by document, and the contents of the events. The changed events
// have buckets of their own, so that they do not displace other events.

// encodedEvent is an event as it is stored.
type encodedEvent struct {
	document grouping.ID
	changed  bool
	id       string
	json     string
	hash     string // of its content, or ""
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
			document: e.DocumentID(), changed: e.Kind == grouping.EventChanged,
			id: e.ID, json: text[len(e.ID):], hash: e.Content, content: contents[e.Content],
		})
	}
	return encoded, nil
}

// PushEvents implements durable.Backend.
func (f *Storage) PushEvents(ctx context.Context, events []grouping.Event, contents grouping.ContentTexts) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.update("push events", func(tx *writeTx) error {
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

// eventBuckets are the buckets of the history, or those of the changed events, in one
// transaction.
type eventBuckets struct {
	events, contents, meta *bucket

	timeline *bucket // nil for changed events
	newest   string  // the ID of the newest event
	keyBytes []byte  // the key of bytes in meta
	bytes    int64   // size of the events and their contents
	maxBytes int64
}

func (f *Storage) historyBuckets(tx *writeTx) *eventBuckets {
	if tx.history == nil {
		tx.history = (&eventBuckets{
			events: tx.Bucket(bucketHistory), contents: tx.Bucket(bucketContents), timeline: tx.Bucket(bucketTimeline),
			keyBytes: keyBytes, maxBytes: f.opts.MaxHistory,
		}).open(tx)
	}
	return tx.history
}

func (f *Storage) changedBuckets(tx *writeTx) *eventBuckets {
	if tx.changed == nil {
		tx.changed = (&eventBuckets{
			events: tx.Bucket(bucketChanged), contents: tx.Bucket(bucketChangedContents),
			keyBytes: keyChangedBytes, maxBytes: durable.MaxChanged(f.opts.MaxHistory),
		}).open(tx)
	}
	return tx.changed
}

func (b *eventBuckets) open(tx *writeTx) *eventBuckets {
	b.events.FillPercent, b.contents.FillPercent = fillEvents, fillDocuments
	if b.timeline != nil {
		b.timeline.FillPercent = fillDocuments
	}
	newest, _ := b.events.Cursor().Last()
	b.newest = string(newest)
	b.meta = tx.Bucket(bucketMeta)
	if v := b.meta.Get(b.keyBytes); len(v) == 8 {
		b.bytes = int64(binary.BigEndian.Uint64(v)) //nolint:gosec // G115: an int64 was written
	}
	return b
}

// addEvents writes events and their contents.
func (f *Storage) addEvents(tx *writeTx, events []encodedEvent) error {
	history, changed := f.historyBuckets(tx), f.changedBuckets(tx)
	ofChanged := 0
	for i := range events {
		b := history
		if events[i].changed {
			b = changed
			ofChanged++
		}
		if err := b.add(&events[i]); err != nil {
			return err
		}
	}
	if err := f.trim(history, len(events)-ofChanged); err != nil {
		return err
	}
	return f.trim(changed, ofChanged)
}

// trim removes a few of the oldest events if they are over their limits, after a number
// of them was added. This keeps the file from growing, and no single write has to remove
// many events.
func (f *Storage) trim(b *eventBuckets, added int) error {
	oldest := []byte(grouping.NewStamp(f.now().Add(-f.opts.HistoryRetention), 0, ""))
	removed := 0
	var last []byte
	for range 2*added + 1 {
		id, _ := b.events.Cursor().First()
		if id == nil || b.bytes <= b.maxBytes && bytes.Compare(id, oldest) >= 0 {
			break
		}
		last = bytes.Clone(id)
		if err := b.removeOldest(); err != nil {
			return err
		}
		removed++
	}
	if added == 0 && removed == 0 {
		return nil
	}
	if b.timeline != nil && last != nil {
		if err := b.meta.Put(keyRemoved, last); err != nil {
			return err
		}
	}
	return b.meta.Put(b.keyBytes, binary.BigEndian.AppendUint64(nil, uint64(max(b.bytes, 0))))
}

// add writes an event that is not stored yet, and its content.
func (b *eventBuckets) add(e *encodedEvent) error {
	if e.hash != "" {
		if err := b.addContent(e); err != nil {
			return err
		}
	}
	if e.id <= b.newest && b.events.Get([]byte(e.id)) != nil {
		return nil
	}
	b.newest = max(b.newest, e.id)
	err := put(b.events, e.id, e.json)
	if b.timeline != nil {
		err = errors.Join(err, put(b.timeline, string(e.document)+e.id, ""))
	}
	b.bytes += int64(len(e.id) + len(e.json))
	return err
}

// addContent writes the content of an event. The newest event of the document that has the
// content says how long it is kept.
func (b *eventBuckets) addContent(e *encodedEvent) error {
	key := contentKey(e.document, e.hash)
	last, text := splitContent(b.contents.Get(key))
	if e.id <= string(last) {
		return nil
	}
	if last == nil {
		if text = []byte(e.content); len(text) == 0 {
			text = contentOf(b.contents.Bucket, e.document, e.hash)
		}
		if len(text) == 0 {
			return nil
		}
		b.bytes += int64(len(text))
	}
	return put(b.contents, key, append([]byte(e.id), text...))
}

// removeOldest removes the oldest event, and its content if no later event of the document
// has it. A damaged event must not keep the others.
func (b *eventBuckets) removeOldest() error {
	id, text := b.events.Cursor().First()
	b.bytes -= int64(len(id) + len(text))
	if e, err := grouping.DecodeEvent(string(id) + string(text)); err == nil {
		if err := b.removeContent(&e); err != nil {
			return err
		}
		if b.timeline != nil {
			if err := b.timeline.Delete([]byte(string(e.DocumentID()) + e.ID)); err != nil {
				return err
			}
		}
	}
	return b.events.Delete(id)
}

func (b *eventBuckets) removeContent(e *grouping.Event) error {
	if e.Content == "" {
		return nil
	}
	for _, key := range contentKeys(e.DocumentID(), e.Content) {
		last, text := splitContent(b.contents.Get(key))
		if last == nil || string(last) > e.ID {
			continue
		}
		b.bytes -= int64(len(text))
		if err := b.contents.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// contentKey returns the key of a content. It begins with the ID of the document, so that
// the contents of a write are on few pages.
func contentKey(id grouping.ID, hash string) []byte { return []byte(string(id) + hash) }

// contentOf returns the text of a content of a document, or nil if there is no such content.
func contentOf(contents *bbolt.Bucket, id grouping.ID, hash string) []byte {
	for _, key := range contentKeys(id, hash) {
		if _, text := splitContent(contents.Get(key)); text != nil {
			return text
		}
	}
	return nil
}

// contentKeys returns the keys that a content may have. In earlier versions the key had no
// ID, so documents shared a content.
func contentKeys(id grouping.ID, hash string) [2][]byte {
	return [2][]byte{contentKey(id, hash), []byte(hash)}
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
		for _, name := range [][]byte{bucketContents, bucketChangedContents} {
			contents := tx.Bucket(name)
			for i := range events {
				if text := contentOf(contents, events[i].DocumentID(), events[i].Content); text != nil {
					texts[events[i].Content] = string(text)
				}
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
		filter := q.Filter()
		var last []byte
		read := 0
		for id, text := range eventTexts(tx, &q) {
			if q.Group != "" && q.MaxRead > 0 && read == q.MaxRead {
				page.Next = string(last)
				break
			}
			last, read = id, read+1
			e, ok := filter.Select(text)
			if !ok {
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

// eventTexts yields the IDs and the texts of the events in the range of the query, from the
// newest to the oldest. They are only valid in the transaction.
func eventTexts(tx *bbolt.Tx, q *grouping.EventQuery) iter.Seq2[[]byte, []byte] {
	return func(yield func(id, text []byte) bool) {
		history := tx.Bucket(bucketHistory)
		bucket, prefix := history, []byte(nil)
		if q.Group != "" {
			bucket, prefix = tx.Bucket(bucketTimeline), []byte(q.Group)
		}
		end, first := []byte{0xff}, []byte(nil)
		if !q.Since.IsZero() {
			first = []byte(durable.FirstID(q.Since))
		}
		if !q.Until.IsZero() {
			end = []byte(durable.FirstID(durable.RoundUp(q.Until)))
		}
		if q.Cursor != "" && q.Cursor < string(end) {
			end = []byte(q.Cursor)
		}
		cursor := bucket.Cursor()
		var k, text []byte
		if next, _ := cursor.Seek(append(slices.Clone(prefix), end...)); next == nil {
			k, text = cursor.Last()
		} else {
			k, text = cursor.Prev()
		}
		for ; k != nil && bytes.HasPrefix(k, prefix) && bytes.Compare(k[len(prefix):], first) >= 0; k, text = cursor.Prev() {
			id := k[len(prefix):]
			if q.Group != "" { // a timeline has only IDs
				text = history.Get(id)
			}
			if !yield(id, text) {
				return
			}
		}
	}
}

// StreamEvents implements grouping.GroupStorage. Each part is a transaction of its
// own, because an old transaction keeps the file from reusing its pages.
func (f *Storage) StreamEvents(ctx context.Context, from time.Time) iter.Seq2[grouping.Event, error] {
	return durable.EventReader{
		Newest: f.newestEvent, After: []durable.ReadAfter{f.readAfter(bucketHistory), f.readAfter(bucketChanged)},
	}.StreamEvents(ctx, from)
}

func (f *Storage) newestEvent(context.Context) (id string, err error) {
	err = f.view("stream events", func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketHistory, bucketChanged} {
			k, _ := tx.Bucket(name).Cursor().Last()
			id = max(id, string(k))
		}
		return nil
	})
	return id, err
}

// readAfter returns a function that reads the next events of a bucket.
func (f *Storage) readAfter(name []byte) durable.ReadAfter {
	return func(ctx context.Context, after string, memory durable.Memory) (events []grouping.Event, last string, err error) {
		if ctx.Err() != nil {
			return nil, "", context.Cause(ctx)
		}
		err = f.view("stream events", func(tx *bbolt.Tx) error {
			cursor := tx.Bucket(name).Cursor()
			k, v := cursor.Seek([]byte(after))
			if string(k) == after {
				k, v = cursor.Next()
			}
			if k != nil {
				events = slices.Grow(memory.Events[:0], durable.StreamChunk)
			}
			var read []byte
			for n := 0; k != nil && n < durable.StreamChunk; n++ {
				events, read = memory.Decoder.Append(events, v), k
				k, v = cursor.Next()
			}
			last = string(read)
			return nil
		})
		return events, last, err
	}
}

// HistorySince implements grouping.GroupStorage.
func (f *Storage) HistorySince(ctx context.Context) (since time.Time, err error) {
	if ctx.Err() != nil {
		return since, context.Cause(ctx)
	}
	err = f.view("history since", func(tx *bbolt.Tx) error {
		removed := string(tx.Bucket(bucketMeta).Get(keyRemoved))
		since = durable.HistorySince(f.now(), f.opts.HistoryRetention, removed)
		return nil
	})
	return since, err
}
