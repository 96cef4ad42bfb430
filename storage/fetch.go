package storage

import (
	"context"
	"slices"
	"time"

	"muster/grouping"
	"muster/storage/durable"
)

// This file loads what the writes in the log have changed. An entry names the records of
// its write. If the copy has the version before, only these records are loaded, so the
// cost follows the change and not the document.

// maxFetched is the maximum number of records of one document that are loaded by their
// names. The whole document is loaded if more are named.
const maxFetched = 500

// fetch is what the copy needs of one document to include the writes in some log entries.
type fetch struct {
	seenWrite // the last of these writes

	names []string // of the records that the copy needs
	whole bool     // the copy needs the whole document
	// load is set if the copy does not include one of these writes.
	load bool
}

// add adds the write in an entry. It returns false if the copy includes the write.
func (f *fetch) add(e *durable.LogEntry) bool {
	if !f.whole && e.Version > 0 && e.Version <= f.version {
		if e.Version == f.version {
			f.token = e.Token
		}
		return false
	}
	if e.Version > 0 && e.Version == f.version+1 && f.token != "" && len(f.names)+len(e.Records) <= maxFetched {
		f.names = append(f.names, e.Records...)
	} else {
		f.whole = true
	}
	f.token, f.version = e.Token, e.Version
	return true
}

// applyEntries loads what the writes in the log entries have changed. It skips writes of
// this process and writes that the copy already includes: those up to the sequence number
// covered.
//
// It also loads the history events of other processes into the copy, because the
// backend may lose them.
func (t *Tiered) applyEntries(ctx context.Context, entries []durable.LogEntry, covered int64) error {
	fetches, foreign := t.planFetches(entries, covered)
	tokens := map[grouping.ID]string{}
	var whole []grouping.ID
	for id, f := range fetches {
		if f.whole {
			whole, tokens[id] = append(whole, id), f.token
			delete(fetches, id)
		}
	}
	rest, err := t.pullWritten(ctx, fetches, foreign)
	if err != nil {
		return err
	}
	for _, id := range rest {
		whole, tokens[id] = append(whole, id), fetches[id].token
	}
	for part := range slices.Chunk(whole, durable.Batch) {
		if err := t.pull(ctx, part, tokens); err != nil {
			return err
		}
	}
	return nil
}

// planFetches returns what the copy needs of each document, and the entries of other
// processes.
//
// A finished write of this process is already in the copy, or its document is dirty. But
// if it did not directly follow the last seen write, the copy does not know that it has
// its version, so the records are loaded like those of another process.
func (t *Tiered) planFetches(entries []durable.LogEntry, covered int64) (fetches map[grouping.ID]*fetch, foreign []durable.LogEntry) {
	fetches = make(map[grouping.ID]*fetch, len(entries))
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range entries {
		e := &entries[i]
		own := e.Writer == t.clock.Writer()
		if !own {
			// Stamps of this process must be greater than all stamps it has seen.
			t.clock.Observe(grouping.Stamp(e.Token))
			t.replicas[e.Writer] = time.Now()
			foreign = append(foreign, *e)
		}
		if e.Seq <= covered {
			continue
		}
		seen := t.seen[e.ID]
		if e.Token == seen.token {
			delete(fetches, e.ID) // the copy also includes the writes before this one
			continue
		}
		f := fetches[e.ID]
		if f == nil {
			f = &fetch{seenWrite: seen}
			fetches[e.ID] = f
		}
		if f.add(e) && (!own || !f.whole && !t.ledger.inProgress(e.Token)) {
			f.load = true
		}
	}
	for id, f := range fetches {
		if f.load {
			continue
		}
		delete(fetches, id)
		if seen := t.seen[id]; f.version == seen.version {
			t.seen[id] = f.seenWrite
		}
	}
	return fetches, foreign
}

// pullWritten merges the named records of documents, and the events of the entries, into
// the copy. It returns the documents that must be loaded as a whole.
func (t *Tiered) pullWritten(ctx context.Context, fetches map[grouping.ID]*fetch, entries []durable.LogEntry) (
	rest []grouping.ID, err error,
) {
	switch {
	case len(fetches) == 0 && len(entries) == 0:
		return nil, nil
	case len(fetches) == 0:
		events, contents, err := t.backend.LoadEvents(ctx, entries)
		t.memory.PutEvents(events, contents)
		return nil, err
	}
	names := make(map[grouping.ID][]string, len(fetches))
	for id, f := range fetches {
		slices.Sort(f.names)
		names[id] = slices.Compact(f.names)
	}
	written, err := t.backend.LoadWritten(ctx, names, entries, t.memory.hasContent)
	if err != nil {
		return nil, err
	}
	defer t.memory.PutEvents(written.Events, written.Contents)
	for id, f := range fetches {
		part, local := written.Documents[id], t.memory.Get(id)
		// A deletion in between removed records that the entries do not name.
		if part == nil || local == nil || local.IsTombstone() || part.Header().Version < f.version ||
			part.Header().Deleted != local.Header().Deleted {
			rest = append(rest, id)
			continue
		}
		// If the document was written meanwhile, the head is newer than the records. So
		// the copy does not claim the version of the head.
		t.mergeRemote(part.WithCounters(f.version, part.Header().Notifications))
		t.raiseSeen(id, f.seenWrite)
	}
	return rest, nil
}

// raiseSeen records that the copy includes a document up to a write, if it did not see a
// later write or a deletion meanwhile.
func (t *Tiered) raiseSeen(id grouping.ID, w seenWrite) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if seen, ok := t.seen[id]; ok && seen.version <= w.version {
		t.seen[id] = w
	}
}
