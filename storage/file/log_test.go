package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/durable"
)

// onDisk returns the content of the file of a Muster. It is what a Muster finds that starts
// after this one was killed.
func onDisk(t *testing.T, f *Storage) []byte {
	t.Helper()
	content, err := os.ReadFile(f.opts.Path)
	require.NoError(t, err)
	return content
}

// logEnd returns where the next record of the log begins in the file.
func logEnd(f *Storage) int {
	log := &f.handle.Load().log
	return int(log.start) + log.written
}

// logging is a file whose log has groups.
type logging struct {
	*writer

	file   *Storage
	groups map[grouping.ID]int // that are acknowledged, with their alerts
}

func newLogging(t *testing.T) *logging {
	t.Helper()
	f := openTestFile(t, Options{})
	return &logging{newWriter(f), f, map[grouping.ID]int{}}
}

func (l *logging) add(t *testing.T, name string, alerts ...[2]string) {
	t.Helper()
	g := l.MustStore(t, l.Change(nil, groupKey(name), alerts...))
	l.groups[g.ID] = len(alerts)
}

// commit writes what the log has to the pages, as a read does.
func (l *logging) commit(t *testing.T) {
	t.Helper()
	require.NoError(t, l.file.view("commit", func(*bbolt.Tx) error { return nil }))
}

// requireFound checks what a Muster finds in a file.
func requireFound(t *testing.T, want map[grouping.ID]int, content []byte, msg ...any) {
	t.Helper()
	groups, events := inFile(t, writeFile(t, content))
	require.Equal(t, want, groups, msg...)
	require.Equal(t, len(want), events, msg...)
}

// If Muster is killed at any byte of a record, or a power cut loses any sector of it, all
// acknowledged writes are there. The last one is there, or not.
func TestEveryPartOfARecord(t *testing.T) {
	const sector = 512
	l := newLogging(t)
	l.add(t, "first", a("x", "1"))
	l.add(t, "second", a("x", "1"))
	before, acknowledged, start := onDisk(t, l.file), maps.Clone(l.groups), logEnd(l.file)
	l.add(t, "last", a("x", "1"), a("long", strings.Repeat("v", 3*sector)))
	after, end := onDisk(t, l.file), logEnd(l.file)
	require.True(t, l.file.handle.Load().ahead.Load())
	require.Greater(t, end-start, 4*sector)

	for n := start; n < end; n += 61 {
		requireFound(t, acknowledged, slices.Concat(after[:n], before[n:]), n-start)
	}
	for n := start; n < end; n = n/sector*sector + sector {
		lost := bytes.Clone(after)
		copy(lost[n:], before[n:min(n/sector*sector+sector, end)])
		requireFound(t, acknowledged, lost, "without the sector at ", n-start)
	}
	requireFound(t, l.groups, after)
	require.True(t, bytes.Equal(slices.Concat(before[:start], after[start:end], before[end:]), after), "a write changes nothing else")
}

// A power cut at any moment of a commit loses nothing: whatever pages were written, and
// however much of the meta.
func TestPowerCutDuringACommit(t *testing.T) {
	l := newLogging(t)
	size := l.file.handle.Load().db.Info().PageSize
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 6 {
		for i := range 5 {
			l.add(t, fmt.Sprint(round, " ", i), a("x", strings.Repeat("v", 300)))
		}
		before := onDisk(t, l.file)
		l.commit(t)
		require.False(t, l.file.handle.Load().ahead.Load())
		after := onDisk(t, l.file)
		_, meta := metaOf(t, after)
		for _, share := range []float64{0, 0.3, 0.6, 1} {
			torn := append(bytes.Clone(before), make([]byte, max(0, len(after)-len(before)))...)
			for page := 2 * size; page < len(after); page += size {
				if random.Float64() < share {
					copy(torn[page:page+size], after[page:])
				}
			}
			requireFound(t, l.groups, torn, "pages")
			if share == 1 {
				for _, n := range []int{20, 40, 60, 79} {
					copy(torn[meta:], after[meta:meta+n])
					requireFound(t, l.groups, torn, "bytes of the meta: ", n)
				}
			}
		}
		requireFound(t, l.groups, after)
		l.add(t, fmt.Sprint(round, " after"), a("x", "1"))
		requireFound(t, l.groups, onDisk(t, l.file), "a record after the commit")
	}
}

// Each damaged byte of the log is told in a sentence, or is at the end of the log and costs
// nothing but the last record.
func TestDamagedLog(t *testing.T) {
	l := newLogging(t)
	start := logEnd(l.file)
	for _, name := range []string{"first", "second"} {
		l.add(t, name, a("x", "1"))
	}
	acknowledged, last := maps.Clone(l.groups), logEnd(l.file)
	l.add(t, "last", a("x", "1"))
	content, end := onDisk(t, l.file), logEnd(l.file)
	for n := start; n < end+100; n += 37 {
		damaged := bytes.Clone(content)
		damaged[n] ^= 1
		switch {
		case n < last:
			path := writeFile(t, damaged)
			_, err := openAt(path)
			requireSentence(t, err, path)
			require.ErrorContains(t, err, "its log is damaged")
		case n < end:
			requireFound(t, acknowledged, damaged, n)
		default:
			requireFound(t, l.groups, damaged, n)
		}
	}
}

// If the last meta is damaged, the pages are those of the transaction before. The log does
// not fit them, and both together would be without some groups.
func TestLogOfLaterPages(t *testing.T) {
	l := newLogging(t)
	l.add(t, "first", a("x", "1"))
	l.commit(t)
	l.add(t, "second", a("x", "1"))
	content := onDisk(t, l.file)
	_, meta := metaOf(t, content)
	content[meta+40] ^= 1
	path := writeFile(t, content)
	_, err := openAt(path)
	requireSentence(t, err, path)
	require.ErrorContains(t, err, "its log is newer than its pages")
}

// Whatever the log has, it is read or refused, and what is read can be read again.
func FuzzLog(f *testing.F) {
	mark := []byte("0123456789abcdef")
	newLog := func() *writeLog { return &writeLog{capacity: 1000, mark: mark, base: 7} }
	l := newLog()
	for i := range 3 {
		note(l, "groups", fmt.Sprint("key ", i), "value", i == 2)
		l.finish()
		l.written = len(l.records)
	}
	f.Add(l.records, uint16(0), byte(0))
	f.Add(l.records[:len(l.records)-1], uint16(9), byte(1))
	f.Fuzz(func(t *testing.T, content []byte, at uint16, with byte) {
		l := newLog()
		if len(content) > 0 {
			content = bytes.Clone(content)
			content[int(at)%len(content)] ^= with
		}
		if len(content) >= recordHeader && with == 0 { // let more records count
			end := min(len(content), recordHeader+int(binary.BigEndian.Uint32(content[lengthAt:])))
			binary.BigEndian.PutUint32(content[checksumAt:], recordChecksum(content[:max(end, recordHeader)]))
		}
		if err := l.read(content); err != nil {
			return
		}
		require.True(t, bytes.HasPrefix(content, l.records))
		for c, err := range l.changes() {
			if err == nil {
				require.LessOrEqual(t, len(c.bucket)+len(c.key)+len(c.value), len(content))
			}
		}
		_ = l.deletions()
	})
}

// A log that is full is committed, and so is a write that is larger than the log.
func TestFullLog(t *testing.T) {
	l := newLogging(t)
	l.file.handle.Load().db.NoSync = true
	commits := 0
	for i := range 40 {
		length := 100_000
		if i == 20 {
			length = 2 * logSize
		}
		l.add(t, fmt.Sprint(i), a("x", strings.Repeat("v", length)))
		if !l.file.handle.Load().ahead.Load() {
			commits++
		}
		if i%10 == 0 || i == 21 {
			requireFound(t, l.groups, onDisk(t, l.file))
		}
	}
	require.Equal(t, 3, commits)
	requireFound(t, l.groups, onDisk(t, l.file))
}

// A read sees what only the log has, also if the disk is full.
func TestReadsSeeTheLog(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprint("disk is full: ", full), func(t *testing.T) {
			l := newLogging(t)
			h := l.file.handle.Load()
			if full {
				h.db.MaxSize = 1
			}
			for i := range 3 {
				l.add(t, fmt.Sprint(i), a("x", strings.Repeat("v", 300_000)))
				require.True(t, h.ahead.Load())
			}
			for range 2 {
				require.Len(t, l.MustLoad(t, groupKey("0")).Alerts, 1)
				require.Equal(t, full, h.ahead.Load())
			}
			if !full {
				return
			}
			_, err := l.Store(t.Context(), l.Change(nil, groupKey("next"), a("x", "1")))
			require.ErrorIs(t, err, grouping.ErrStorage)
			require.Len(t, l.MustLoad(t, groupKey("0")).Alerts, 1)
			requireFound(t, l.groups, onDisk(t, l.file))

			h.db.MaxSize = 0
			l.add(t, "next", a("x", "1"))
			require.False(t, h.ahead.Load(), "the outcome of the last commit was not known")
			l.add(t, "more", a("x", "1"))
			require.True(t, h.ahead.Load())
			requireFound(t, l.groups, onDisk(t, l.file))
		})
	}
}

// If a record cannot be written, the pages are.
func TestRecordThatCannotBeWritten(t *testing.T) {
	l := newLogging(t)
	l.add(t, "first", a("x", "1"))
	h := l.file.handle.Load()
	raw := h.raw
	h.raw, _ = os.Open(l.file.opts.Path) // it cannot be written to
	l.add(t, "second", a("x", "1"))
	require.False(t, h.ahead.Load())
	require.NoError(t, h.raw.Close())
	h.raw = raw
	l.add(t, "third", a("x", "1"))
	requireFound(t, l.groups, onDisk(t, l.file))
}

// A write that fails takes nothing with it that was written before.
func TestFailedWriteAfterALoggedOne(t *testing.T) {
	l := newLogging(t)
	l.add(t, "first", a("x", "1"))
	refused := errors.New("refused")
	require.ErrorIs(t, l.file.update("test", func(tx *writeTx) error {
		return errors.Join(tx.Bucket(bucketGroups).Put([]byte("key"), []byte("value")), refused)
	}), refused)
	l.add(t, "second", a("x", "1"))
	requireFound(t, l.groups, onDisk(t, l.file))
	require.Len(t, l.MustLoad(t, groupKey("first")).Alerts, 1)
	require.NoError(t, l.file.view("test", func(tx *bbolt.Tx) error {
		require.Nil(t, tx.Bucket(bucketGroups).Get([]byte("key")))
		return nil
	}))
}

// What was deleted is forgotten after a day, also if only the log has its tombstone.
func TestTombstonesInTheLog(t *testing.T) {
	l := newLogging(t)
	var want []grouping.ID
	for i := range 3 {
		g := l.Add(t, groupKey(fmt.Sprint(i)), a("x", "1"))
		require.NoError(t, l.Delete(t.Context(), grouping.Change{Base: g, Stamp: l.Stamp()}))
		want = append(want, g.ID)
	}
	require.True(t, l.file.handle.Load().ahead.Load())
	f, err := openAt(writeFile(t, onDisk(t, l.file)))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	var found []grouping.ID
	for _, tombstone := range f.tombstones {
		found = append(found, tombstone.id)
	}
	require.Equal(t, want, found)
}

// A version without a log must not open a file that has something in it. It can open one
// that was closed.
func TestSchemaOfAFileWithALog(t *testing.T) {
	l := newLogging(t)
	l.add(t, "first", a("x", "1"))
	schema := func(content []byte) (schema string) {
		db, err := bbolt.Open(writeFile(t, content), 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, db.View(func(tx *bbolt.Tx) error {
			schema = string(tx.Bucket(bucketMeta).Get(keySchema))
			return nil
		}))
		require.NoError(t, db.Close())
		return schema
	}
	require.Equal(t, schemaWithLog, schema(onDisk(t, l.file)))
	require.NoError(t, l.file.Close())
	require.Equal(t, durable.Schema, schema(onDisk(t, l.file)))
	requireFound(t, l.groups, onDisk(t, l.file))
}

// If a commit fails after it was made, the log is not read again: it would undo the write
// that was committed.
func TestFailureAfterACommit(t *testing.T) {
	l := newLogging(t)
	l.add(t, "group", a("x", "1"))
	h := l.file.handle.Load()
	log := h.log
	l.add(t, "large", a("x", strings.Repeat("v", logSize)))
	l.MustStore(t, l.Change(l.MustLoad(t, groupKey("group")), groupKey("group"), a("x", "1"), a("y", "2")))
	l.commit(t)
	h.log, h.txid = log, 0 // as after a failure
	h.ahead.Store(true)
	require.Len(t, l.MustLoad(t, groupKey("group")).Alerts, 2)
	l.add(t, "next", a("x", "1"))
	require.Len(t, l.MustLoad(t, groupKey("group")).Alerts, 2)
}

// What the log has after its last record is older than the pages.
func TestOldRecordsAfterTheLog(t *testing.T) {
	f := openTestFile(t, Options{})
	set := func(key, value string) {
		require.NoError(t, f.update("test", func(tx *writeTx) error { return put(tx.Bucket(bucketMeta), key, value) }))
	}
	set("a", "1")
	end := logEnd(f)
	set("b", "1")
	set("b", strings.Repeat("2", logSize)) // too large for the log
	require.False(t, f.handle.Load().ahead.Load())
	set("c", "1")
	require.Equal(t, end, logEnd(f), "the first record of b is after that of c")

	again, err := openAt(writeFile(t, onDisk(t, f)))
	require.NoError(t, err)
	defer func() { require.NoError(t, again.Close()) }()
	require.NoError(t, again.view("test", func(tx *bbolt.Tx) error {
		require.Len(t, tx.Bucket(bucketMeta).Get([]byte("b")), logSize)
		require.Equal(t, "1", string(tx.Bucket(bucketMeta).Get([]byte("c"))))
		return nil
	}))
}

// "bbolt compact" copies what is in the buckets. The log fits the copy.
func TestCompactedFile(t *testing.T) {
	l := newLogging(t)
	for i := range 3 {
		l.add(t, fmt.Sprint(i), a("x", "1"))
	}
	compact := func(txMaxSize int64) []byte {
		source, err := bbolt.Open(writeFile(t, onDisk(t, l.file)), 0o600, &bbolt.Options{ReadOnly: true})
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "compact.db")
		to, err := bbolt.Open(path, 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, bbolt.Compact(to, source, txMaxSize))
		require.NoError(t, errors.Join(to.Close(), source.Close()))
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		return content
	}
	require.True(t, l.file.handle.Load().ahead.Load())
	for _, txMaxSize := range []int64{0, 1} { // one transaction, or one for each key
		requireFound(t, l.groups, compact(txMaxSize))
	}
	require.NoError(t, l.file.Close())
	requireFound(t, l.groups, compact(0))
}
