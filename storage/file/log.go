package file

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"slices"

	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/durable"
)

// A commit of bbolt writes scattered pages and syncs twice. So a write only appends what it
// changes to a log, and syncs once. A transaction of bbolt stays open meanwhile, which has
// the same changes. It is committed before a read, if the log is full, and at the end. If
// the process ends before that, the next start makes the changes in the log again.
//
// The log is the value of the only key in the bucket log. bbolt reserves its pages once, and
// never writes to them again. So the file stays one file, and a copy of it has its log. The
// records have these parts, with numbers in big endian:
//
//	mark     16 random bytes, which change with each start of Muster
//	base     the number of the commit whose pages the changes are made to, 8 bytes
//	length   of the changes, 4 bytes
//	checksum of all other parts, 4 bytes: CRC-32C
//	changes  the bucket, the key and the value, each after its length, which is a varint.
//	         That of a value is one more, and 0 means that the key is deleted
//
// Mark and base are the position of the log. A record counts if the pages have its position,
// and if it is the first one or follows another one that counts. So what a log has after its
// last record never counts, and nobody who can choose a value can choose bytes that look like
// a record.

const (
	// logSize is the size of the log. A larger one saves little, and a file is as large at
	// least.
	logSize      = 1 << 20
	markSize     = 16
	positionSize = markSize + 8
	lengthAt     = positionSize
	checksumAt   = lengthAt + 4
	recordHeader = checksumAt + 4
)

var (
	bucketLog = []byte("log")
	keyLog    = []byte("log")
	// keyPosition is the key of the position in the bucket meta.
	keyPosition = []byte("position")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writeLog is the log of an open file.
type writeLog struct {
	start, capacity int64 // in the file
	mark            []byte
	base            uint64
	// records are those in the log. After written there is the record that is being made.
	records []byte
	written int
	// full is set if the record that is being made has no room.
	full bool
}

// text is a key or a value.
type text interface{ ~string | ~[]byte }

// note adds a change to the record that is being made. It returns copies of the key and of
// the value, which are valid until the end of the transaction.
func note[K, V text](l *writeLog, bucket string, key K, value V, deleted bool) (k, v []byte) {
	size := recordHeader + len(bucket) + len(key) + len(value) + 3*binary.MaxVarintLen32
	if l.full = l.full || int64(len(l.records)+size) > l.capacity; l.full {
		return append([]byte{}, key...), append([]byte{}, value...)
	}
	if len(l.records) == l.written {
		l.records = append(l.records, position(l.mark, l.base)...)
		l.records = append(l.records, make([]byte, recordHeader-lengthAt)...) // which finish sets
	}
	l.records = append(binary.AppendUvarint(l.records, uint64(len(bucket))), bucket...)
	l.records = append(binary.AppendUvarint(l.records, uint64(len(key))), key...)
	end := len(l.records)
	k = l.records[end-len(key) : end : end]
	if deleted {
		l.records = append(l.records, 0)
		return k, nil
	}
	l.records = append(binary.AppendUvarint(l.records, uint64(len(value))+1), value...)
	end = len(l.records)
	return k, l.records[end-len(value) : end : end]
}

// finish completes the record that is being made, and returns it. It returns nil if there
// is none.
func (l *writeLog) finish() []byte {
	record := l.records[l.written:]
	if len(record) == 0 {
		return nil
	}
	binary.BigEndian.PutUint32(record[lengthAt:], uint32(len(record)-recordHeader)) //nolint:gosec // G115: less than logSize
	binary.BigEndian.PutUint32(record[checksumAt:], recordChecksum(record))
	return record
}

func recordChecksum(record []byte) uint32 {
	return crc32.Update(crc32.Checksum(record[:checksumAt], castagnoli), castagnoli, record[recordHeader:])
}

// discard discards the record that is being made.
func (l *writeLog) discard() { l.records, l.full = l.records[:l.written], false }

// reset empties the log: the pages of the transaction base have its changes.
func (l *writeLog) reset(base uint64) {
	l.base, l.written = base, 0
	l.discard()
}

// read reads the records that count from the content of the log. The last record may be
// incomplete: then nobody was told that it was written. Otherwise damage is an error.
func (l *writeLog) read(content []byte) error {
	if base, _, ok := l.first(content); ok && base > l.base {
		return &damagedFileError{errors.New("its log is newer than its pages")}
	}
	n := 0
	for {
		base, changes, ok := l.first(content[n:])
		if !ok || base != l.base {
			break
		}
		n += recordHeader + len(changes)
	}
	if n < len(content) && bytes.Contains(content[n+1:], position(l.mark, l.base)) {
		return &damagedFileError{fmt.Errorf("its log is damaged %d bytes after its start", n)}
	}
	l.records, l.written = bytes.Clone(content[:n]), n // not all of the content stays in memory
	return nil
}

// first returns the base and the changes of the record at the start of the content.
func (l *writeLog) first(content []byte) (base uint64, changes []byte, ok bool) {
	if len(content) < recordHeader || !bytes.Equal(content[:markSize], l.mark) {
		return 0, nil, false
	}
	length := recordHeader + uint64(binary.BigEndian.Uint32(content[lengthAt:]))
	if length > uint64(len(content)) {
		return 0, nil, false
	}
	record := content[:length]
	return binary.BigEndian.Uint64(record[markSize:]), record[recordHeader:],
		binary.BigEndian.Uint32(record[checksumAt:]) == recordChecksum(record)
}

// change is a change of a key.
type change struct {
	bucket, key, value []byte // value is nil if the key is deleted
}

// changes yields the changes of the written records. They are valid until the end of the
// transaction.
func (l *writeLog) changes() iter.Seq2[change, error] {
	return func(yield func(change, error) bool) {
		for records := l.records[:l.written]; len(records) > 0; {
			_, changes, ok := l.first(records)
			records = records[min(recordHeader+len(changes), len(records)):]
			for ok && len(changes) > 0 {
				var c change
				if c, changes, ok = firstChange(changes); ok && !yield(c, nil) {
					return
				}
			}
			if !ok {
				yield(change{}, &damagedFileError{errors.New("a record of its log cannot be read")})
				return
			}
		}
	}
}

// firstChange returns the first change of a record, and what follows it.
func firstChange(changes []byte) (c change, rest []byte, ok bool) {
	next := func(none uint64) (part []byte) {
		length, n := binary.Uvarint(changes)
		rest := changes[max(n, 0):]
		if ok = ok && n > 0 && length >= none && length-none <= uint64(len(rest)); !ok {
			return nil
		}
		part, changes = rest[:length-none], rest[length-none:]
		return slices.Clip(part)
	}
	ok = true
	c.bucket, c.key = next(0), next(0)
	if ok && len(changes) > 0 && changes[0] == 0 {
		return c, changes[1:], true
	}
	c.value = next(1)
	return c, changes, ok
}

// apply makes the changes of the log. To make them twice changes nothing.
func (l *writeLog) apply(tx *bbolt.Tx) error {
	for c, err := range l.changes() {
		if err != nil {
			return err
		}
		b := tx.Bucket(c.bucket)
		switch {
		case b == nil:
			err = &damagedFileError{fmt.Errorf("its log names the bucket %q, which does not exist", c.bucket)}
		case c.value == nil:
			err = b.Delete(c.key)
		default:
			err = b.Put(c.key, c.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deletions returns the deletions of documents in the log.
func (l *writeLog) deletions() (deletions []tombstone) {
	for c, err := range l.changes() {
		if err == nil && c.value != nil && bytes.Equal(c.bucket, bucketGroups) && isDeletion(c.key) {
			deletions = append(deletions, tombstone{grouping.ID(c.key[:idLen]), grouping.Stamp(c.value)})
		}
	}
	return deletions
}

// isDeletion reports whether the key is that of the deletion of a document.
func isDeletion(key []byte) bool {
	return len(key) == idLen+len(durable.FieldDeleted) && string(key[idLen:]) == durable.FieldDeleted
}

func position(mark []byte, base uint64) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(mark), base)
}

// splitPosition splits a position into its mark and its base.
func splitPosition(p []byte) (mark []byte, base uint64, ok bool) {
	if len(p) != positionSize {
		return nil, 0, false
	}
	return p[:markSize], binary.BigEndian.Uint64(p[markSize:]), true
}

func newMark() []byte {
	mark := make([]byte, markSize)
	_, _ = rand.Read(mark) // it never fails
	return mark
}
