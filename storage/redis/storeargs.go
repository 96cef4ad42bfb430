package redis

import (
	"sync"
	"time"

	"muster/grouping"
	"muster/storage/durable"
)

// storeArgs are the arguments of the command that runs the store script. A write has some for
// each alert, so their memory is used again for other writes. An argument that the client gets
// as a pointer needs no memory of its own.
type storeArgs struct {
	args []any
	size int // of the texts, in bytes

	texts   []string
	records *grouping.RecordWrites
	head    []byte // a part of the memory of records
	entries []entry
	buffer  []byte // the memory of entries
}

// scriptKeysAt is the position of the first key in the command: the name of the command, the
// script and the number of keys come before it.
const scriptKeysAt = 3

var allStoreArgs = sync.Pool{New: func() any { return &storeArgs{} }}

// maxPooledEntries is the maximum size of the entries whose memory is used again.
const maxPooledEntries = 256 << 10

// newStoreArgs returns arguments without any, but with room for the command. The caller puts
// them back when the command was answered.
func newStoreArgs() *storeArgs {
	a := allStoreArgs.Get().(*storeArgs) //nolint:forcetypeassert // the pool holds nothing else
	a.args = append(a.args, nil, nil, nil)
	a.records = grouping.NewRecordWrites()
	return a
}

func (a *storeArgs) put() {
	a.records.Release()
	clear(a.args)
	clear(a.texts)
	clear(a.entries)
	*a = storeArgs{args: a.args[:0], texts: a.texts[:0], entries: a.entries[:0], buffer: a.buffer[:0]}
	if cap(a.buffer) <= maxPooledEntries {
		allStoreArgs.Put(a)
	}
}

// add adds arguments that are not texts, or that many writes share.
func (a *storeArgs) add(args ...any) { a.args = append(a.args, args...) }

func (a *storeArgs) addText(text string) {
	a.texts = append(a.texts, text)
	a.args = append(a.args, &a.texts[len(a.texts)-1])
	a.size += len(text)
}

// addBytes adds a text that must stay where it is until the command was answered.
func (a *storeArgs) addBytes(text *[]byte) {
	a.args = append(a.args, (*entry)(text))
	a.size += len(*text)
}

// addArgs adds the keys and the arguments of the store script, in the order in which the
// script reads them.
func (r *Storage) addArgs(a *storeArgs, op string, w *grouping.Write) error {
	r.addKeys(a, w.ID())
	records := a.records
	if err := w.AppendRecords(records); err != nil {
		return err
	}
	var (
		base    grouping.Header
		hasBase bool
		head    = len(records.Memory) // where it begins
		deleted = string(w.Stamp)
		ttl     time.Duration
	)
	if w.Base != nil {
		base, hasBase = w.Base.Header(), !w.Base.IsTombstone()
	}
	version, notifications := base.Version, base.Notifications
	if w.Next != nil {
		var err error
		if records.Memory, err = w.Next.AppendHead(records.Memory); err != nil {
			return err
		}
		next := w.Next.Header()
		deleted = string(next.Deleted)
		if w.Next.Ends() {
			// The manager deletes documents that are past their retention. The TTL
			// is for those that no running Muster deletes.
			ttl = r.opts.Retention + durable.TombstoneAge
		}
		version, notifications = max(version, next.Version), max(notifications, next.Notifications)
	}
	a.add(op)
	a.addText(string(w.ID()))
	a.addText(string(w.Stamp))
	a.addText(w.Stamp.Writer())
	a.add(hasBase)
	a.addText(string(base.Stamp))
	a.addText(string(base.Deleted))
	a.add(base.Version, w.Exclusive, w.Notified)
	a.addText(changeText(w, records.List))
	a.add(version, notifications)
	a.head = records.Memory[head:]
	a.addBytes(&a.head)
	a.addText(deleted)
	a.add(int64(ttl.Seconds()), len(records.List))
	for i := range records.List {
		record := &records.List[i]
		a.addText(record.Name)
		a.addText(string(record.Expected))
		a.addBytes(&record.Text)
	}
	contents, ofChanged := w.Contents, w.Contents
	if len(w.Events) > 0 && len(w.Changed) > 0 {
		contents, ofChanged = contents.Of(w.Events), contents.Of(w.Changed)
	}
	if err := a.addEvents(w.Events, contents); err != nil {
		return err
	}
	return a.addEvents(w.Changed, ofChanged)
}

// addKeys adds the keys of the document with the ID, and of its shard.
func (r *Storage) addKeys(a *storeArgs, id grouping.ID) {
	own := &r.shards[r.shard(id)]
	a.addText(r.documentKey(id))
	a.add(&own.index, &own.log, &own.meta, &own.history.events)
	a.addText(r.timelineKey(id))
	a.add(&own.history.contents, &own.history.uses, &own.changed.events, &own.changed.contents, &own.changed.uses)
	a.args[scriptKeysAt-1] = len(a.args) - scriptKeysAt
}

// addEvents adds the arguments of events and their contents.
func (a *storeArgs) addEvents(events []grouping.Event, contents grouping.ContentTexts) (err error) {
	if len(events) == 0 {
		a.add(0, 0, 0)
		return nil
	}
	first := len(a.entries)
	if a.entries, a.buffer, err = joinEntries(a.entries, a.buffer, events, (*grouping.Event).Append); err != nil {
		return err
	}
	entries := a.entries[first:]
	a.add(len(entries), len(events)-len(entries))
	for i := range entries {
		a.addBytes((*[]byte)(&entries[i]))
	}
	a.add(len(contents))
	for hash, text := range contents {
		a.addText(hash)
		a.addText(text)
	}
	return nil
}
