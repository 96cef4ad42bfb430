package file

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/durable"
	"muster/storage/storagetest"
)

// filled returns the content of a file with groups, tombstones and history. It has
// pages of every type.
func filled(t *testing.T) []byte {
	t.Helper()
	f := openTestFile(t, Options{})
	f.handle.Load().db.NoSync = true
	w := newWriter(f)
	for i := range 150 {
		g := w.Add(t, groupKey(fmt.Sprint("g", i)), a("x", strings.Repeat("v", 100)), a("y", "1"))
		switch i % 10 {
		case 0:
			require.NoError(t, w.Delete(t.Context(), grouping.Change{Base: g, Stamp: w.Stamp()}))
		case 1: // larger than a page
			w.Add(t, g.Key, a("z", strings.Repeat("v", 2*os.Getpagesize())))
		}
	}
	require.NoError(t, f.Close())
	content, err := os.ReadFile(f.opts.Path)
	require.NoError(t, err)
	return content
}

func writeFile(t *testing.T, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "muster.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// metaOf returns the meta of the later transaction and its offset.
func metaOf(t *testing.T, content []byte) (boltMeta, int) {
	t.Helper()
	meta, err := readMeta(bytes.NewReader(content))
	require.NoError(t, err)
	return meta, int(meta.Txid%2) * int(meta.PageSize)
}

// The start rejects a damaged file with one sentence that says what to do.
func TestDamagedFile(t *testing.T) {
	content := filled(t)
	meta, metaStart := metaOf(t, content)
	size := int(meta.PageSize)
	inUse := int(meta.Pages) * size
	at := func(page uint64) int { return int(page) * size }
	random := rand.NewChaCha8([32]byte{})
	const notOurs = "is not a file that Muster can read"
	for _, test := range []struct {
		name   string
		damage func(b []byte) []byte
		want   string // part of the sentence; "": the file opens
	}{
		{"nothing", func(b []byte) []byte { return b }, ""},
		{"empty", func([]byte) []byte { return nil }, "is empty"},
		{"text", func([]byte) []byte { return []byte(strings.Repeat("global:\n", 10_000)) }, notOurs},
		{"a word", func([]byte) []byte { return []byte("muster") }, notOurs},
		{"all zero", func(b []byte) []byte { clear(b); return b }, notOurs},
		{"random", func(b []byte) []byte { _, _ = random.Read(b); return b }, notOurs},
		{"cut to a byte", func(b []byte) []byte { return b[:1] }, notOurs},
		{"cut to a page", func(b []byte) []byte { return b[:size] }, notOurs},
		{"cut to two pages", func(b []byte) []byte { return b[:2*size] }, "truncated"},
		{"cut in the middle", func(b []byte) []byte { return b[:inUse/2] }, "truncated"},
		{"cut by a byte", func(b []byte) []byte { return b[:inUse-1] }, "truncated"},
		{"begins later", func(b []byte) []byte { return b[512:] }, notOurs},
		{"one meta flipped", func(b []byte) []byte { b[metaStart+40] ^= 1; return b }, ""},
		{"the other flipped", func(b []byte) []byte { b[size-metaStart+40] ^= 1; return b }, ""},
		{"both metas flipped", func(b []byte) []byte { b[40] ^= 1; b[size+40] ^= 1; return b }, notOurs},
		{"both metas zero", func(b []byte) []byte { clear(b[:2*size]); return b }, notOurs},
		{"the root zero", func(b []byte) []byte { clear(b[at(meta.Root):at(meta.Root+1)]); return b }, "page"},
		{"the free list zero", func(b []byte) []byte { clear(b[at(meta.Freelist):at(meta.Freelist+1)]); return b }, "page"},
		{"a used page counts as free", func(b []byte) []byte {
			binary.NativeEndian.PutUint64(b[at(meta.Freelist)+pageHeaderSize:], meta.Root)
			return b
		}, "in use and also in the free list"},
		{"pages after the log random", func(b []byte) []byte { _, _ = random.Read(b[inUse-inUse/4 : inUse-inUse/8]); return b }, "page"},
		{"pages after the log zero", func(b []byte) []byte { clear(b[inUse-inUse/4 : inUse-inUse/8]); return b }, "page"},
		{"an empty log random", func(b []byte) []byte { _, _ = random.Read(b[inUse/4 : inUse/2]); return b }, ""},
		{"the second half zero", func(b []byte) []byte { clear(b[inUse/2:]); return b }, "page"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, test.damage(bytes.Clone(content)))
			f, err := openAt(path)
			if test.want == "" {
				require.NoError(t, err)
				require.NoError(t, useAll(t, f))
				require.NoError(t, f.Close())
				return
			}
			requireSentence(t, err, path)
			require.ErrorContains(t, err, test.want)
		})
	}
}

// requireSentence checks that the error is one sentence about the file that
// names the flag to change.
func requireSentence(t *testing.T, err error, path string) {
	t.Helper()
	require.Error(t, err)
	require.Contains(t, err.Error(), path)
	require.Contains(t, err.Error(), "--storage.path")
	require.NotContains(t, err.Error(), "\n")
	require.NotRegexp(t, `runtime error|goroutine|assertion|0x`, err.Error())
}

// useAll makes all reads and writes that a damaged file may cause to panic. It
// returns the first fault.
func useAll(t *testing.T, f *Storage) (fault error) {
	t.Helper()
	ctx := context.Background()
	note := func(err error) {
		if fault == nil {
			fault = err
		}
	}
	var first *grouping.AlertGroup
	for g, err := range f.LoadAll(ctx) {
		if err != nil {
			note(err)
			continue
		}
		if first == nil {
			first = g
		}
	}
	_, err := f.Events(ctx, grouping.EventQuery{Limit: 1000})
	note(err)
	w := newWriter(f)
	if first != nil {
		_, err := f.Events(ctx, grouping.EventQuery{Group: first.ID})
		note(err)
		_, err = f.Store(ctx, w.Change(first, first.Key, a("x", "2")))
		note(err)
	}
	for i := range 10 {
		_, err := f.Store(ctx, w.Change(nil, groupKey(fmt.Sprint("new ", i)), a("x", "1")))
		note(err)
	}
	_, err = f.Position(ctx)
	note(err)
	return fault
}

// The test damages each page in turn, in several ways. Either the start reports
// the damage, or the file can be used, except for values that cannot be decoded.
// Nothing may panic, least of all in a goroutine of bbolt.
func TestEveryPageDamaged(t *testing.T) {
	content := filled(t)
	meta, _ := metaOf(t, content)
	size := int(meta.PageSize)
	path := writeFile(t, content)
	verifier := newVerifier(content, meta)
	require.NoError(t, verifier.verifyTree(meta.Root, nil, nil))
	heads := []uint64{}
	for id := uint64(2); id < meta.Pages; id++ {
		if verifier.used[id].Load() && binary.NativeEndian.Uint64(content[id*uint64(size):]) == id {
			heads = append(heads, id)
		}
	}
	require.Greater(t, len(heads), 50)
	random := rand.New(rand.NewPCG(1, 2))
	for name, damage := range map[string]func(page []byte){
		"zero":           func(page []byte) { clear(page) },
		"ones":           func(page []byte) { copy(page, bytes.Repeat([]byte{0xff}, len(page))) },
		"random header":  func(page []byte) { binary.NativeEndian.PutUint64(page[8:], random.Uint64()) },
		"many elements":  func(page []byte) { binary.NativeEndian.PutUint16(page[10:], 60_000) },
		"other type":     func(page []byte) { page[8] ^= branchPage | leafPage },
		"random element": func(page []byte) { binary.NativeEndian.PutUint64(page[24:], random.Uint64()) },
		"long key":       func(page []byte) { binary.NativeEndian.PutUint32(page[24:], 1<<31) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, id := range heads {
				broken := bytes.Clone(content)
				damage(broken[int(id)*size : int(id+1)*size])
				require.NoError(t, os.WriteFile(path, broken, 0o600))
				f, err := openAt(path)
				if f != nil {
					_ = f.Close()
				}
				requireSentence(t, err, path)
			}
		})
	}
	t.Run("a few bytes", func(t *testing.T) {
		opened := 0
		for range 60 {
			broken := bytes.Clone(content)
			start := 2*size + random.IntN(int(meta.Pages-2)*size-64)
			for i := range 1 + random.IntN(64) {
				broken[start+i] = byte(random.Uint32())
			}
			require.NoError(t, os.WriteFile(path, broken, 0o600))
			f, err := openAt(path)
			if err != nil {
				requireSentence(t, err, path)
				continue
			}
			opened++
			f.handle.Load().db.NoSync = true
			_ = useAll(t, f) // some values may be invalid
			require.NoError(t, f.Close())
		}
		require.NotZero(t, opened)
	})
}

// A page that the disk cannot read is a fault of memory. A file that became shorter has such
// pages too.
func TestPagesThatCannotBeRead(t *testing.T) {
	content := filled(t)
	meta, _ := metaOf(t, content)
	file, err := os.OpenFile(writeFile(t, content), os.O_RDWR, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	data, err := syscall.Mmap(int(file.Fd()), 0, len(content), syscall.PROT_READ, syscall.MAP_SHARED)
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Munmap(data)) }()
	v := newVerifier(data, meta)
	require.NoError(t, v.verify(v.verifyAll))
	for _, kept := range []uint64{meta.Pages / 2, 2} {
		require.NoError(t, file.Truncate(int64(kept*uint64(meta.PageSize))))
		v := newVerifier(data, meta)
		require.ErrorContains(t, v.verify(v.verifyAll), "cannot be read")
	}
	require.Panics(t, func() { _ = v.verify(func() error { panic("a mistake of the program") }) })
}

// The start reads the tombstones of the file while it verifies it.
func TestTombstonesAreFoundAtTheStart(t *testing.T) {
	path := writeFile(t, filled(t))
	f, err := openAt(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	var want []tombstone
	require.NoError(t, f.view("test", func(tx *bbolt.Tx) error {
		for id, state := range scanDocuments(tx, "") {
			if !state.live {
				want = append(want, tombstone{id, grouping.Stamp(state.deleted)})
			}
		}
		return nil
	}))
	require.NotEmpty(t, want)
	require.ElementsMatch(t, want, f.tombstones)
}

// If a file is damaged while Muster runs, it is a fault of the backend.
func TestFileDamagedWhileOpen(t *testing.T) {
	content := filled(t)
	meta, _ := metaOf(t, content)
	size := int64(meta.PageSize)
	for _, test := range []struct {
		name   string
		damage func(file *os.File) error
	}{
		{"emptied", func(file *os.File) error { return file.Truncate(0) }},
		{"cut", func(file *os.File) error { return file.Truncate(3 * size) }},
		{"zeroed", func(file *os.File) error {
			_, err := file.WriteAt(make([]byte, len(content)), 0)
			return err
		}},
		{"all but the metas zeroed", func(file *os.File) error {
			_, err := file.WriteAt(make([]byte, len(content)-int(2*size)), 2*size)
			return err
		}},
		{"all but the metas ones", func(file *os.File) error {
			_, err := file.WriteAt(bytes.Repeat([]byte{0xff}, len(content)-int(2*size)), 2*size)
			return err
		}},
		{"an older copy", func(file *os.File) error {
			_, err := file.WriteAt(content, 0)
			return err
		}},
		{"pages moved", func(file *os.File) error {
			_, err := file.WriteAt(content[4*size:], 3*size)
			return err
		}},
	} {
		for _, first := range []string{"read", "write"} {
			t.Run(test.name+", then a "+first, func(t *testing.T) {
				f := openTestFile(t, Options{Path: writeFile(t, content)})
				file, err := os.OpenFile(f.opts.Path, os.O_RDWR, 0)
				require.NoError(t, err)
				require.NoError(t, test.damage(file))
				require.NoError(t, file.Close())
				if first == "write" {
					w := newWriter(f)
					_, err := f.Store(t.Context(), w.Change(nil, groupKey("new"), a("x", "1")))
					require.ErrorIs(t, err, grouping.ErrStorage)
				}
				err = useAll(t, f)
				require.ErrorIs(t, err, grouping.ErrStorage)
				require.Equal(t, durable.ReasonDamaged, faultReason(err), "%v", err)
				_, err = f.Position(t.Context())
				require.ErrorIs(t, err, grouping.ErrStorage, "the file is not used until the next start")
				require.NoError(t, f.Close())
			})
		}
	}
}

// growing is a file that a commit makes longer after its first use.
type growing struct {
	*os.File

	grow func()
}

func (g *growing) Stat() (os.FileInfo, error) {
	info, err := g.File.Stat()
	g.grow()
	return info, err
}

func (g *growing) ReadAt(b []byte, offset int64) (int, error) {
	n, err := g.File.ReadAt(b, offset)
	g.grow()
	return n, err
}

// A file that grows while it is verified does not look truncated.
func TestFileGrowsWhileRead(t *testing.T) {
	f := openTestFile(t, Options{})
	for i := range 2 { // commits write the two metas in turn
		before, err := completeMeta(f.handle.Load().raw)
		require.NoError(t, err)
		_, err = completeMeta(&growing{f.handle.Load().raw, sync.OnceFunc(func() {
			require.NoError(t, f.update("store", func(tx *writeTx) error {
				return tx.Bucket(bucketMeta).Put(fmt.Append(nil, "key ", i), make([]byte, 4*allocSize))
			}))
		})})
		require.NoError(t, err)
		after, err := completeMeta(f.handle.Load().raw)
		require.NoError(t, err)
		require.Greater(t, after.Pages, before.Pages)
	}
}

// Concurrent writes are committed together. One write that fails does not fail the
// others.
func TestFileCommitsTogether(t *testing.T) {
	const writers = 20
	for _, test := range []struct {
		name            string
		failed, commits int
	}{
		{"all can be written", -1, 1},
		{"one cannot", 7, writers - 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := openTestFile(t, Options{})
			f.commitLock <- struct{}{} // a commit is under way
			errs := make([]error, writers)
			var wg sync.WaitGroup
			for i := range writers {
				wg.Go(func() {
					errs[i] = f.update("store", func(tx *writeTx) error {
						if i == test.failed {
							return os.ErrInvalid
						}
						return tx.Bucket(bucketMeta).Put(fmt.Append(nil, "key ", i), []byte("value"))
					})
				})
			}
			require.Eventually(t, func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return len(f.waiting) == writers
			}, 10*time.Second, time.Millisecond)
			<-f.commitLock
			wg.Wait()
			log := &f.handle.Load().log
			require.Equal(t, test.commits, bytes.Count(log.records, log.mark), "records in the log")
			require.NoError(t, f.view("load", func(tx *bbolt.Tx) error {
				for i, err := range errs {
					written := tx.Bucket(bucketMeta).Get(fmt.Append(nil, "key ", i)) != nil
					require.Equal(t, []bool{i != test.failed, i != test.failed}, []bool{err == nil, written})
				}
				return nil
			}))
		})
	}
}

// The index is read in parts, which may be used at once. Tombstones are not in it.
func TestIndexInParts(t *testing.T) {
	f, err := openAt(filepath.Join(t.TempDir(), "muster.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	want := map[grouping.ID]string{}
	require.NoError(t, f.update("test", func(tx *writeTx) error {
		documents := tx.Bucket(bucketGroups)
		for i := range 2*indexPart + 2 {
			id := storagetest.Key(fmt.Sprint(i)).ID()
			fields := []string{durable.FieldToken, grouping.HeadRecord}
			if i%indexPart == 0 {
				fields = []string{durable.FieldToken, durable.FieldDeleted} // a tombstone
			} else {
				want[id] = fmt.Sprint(i)
			}
			for _, field := range fields {
				if err := documents.Put([]byte(string(id)+field), []byte(fmt.Sprint(i))); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	index, parts := map[grouping.ID]string{}, 0
	require.NoError(t, f.Index(t.Context(), func(tokens map[grouping.ID]string) {
		require.LessOrEqual(t, len(tokens), indexPart)
		for id, token := range tokens {
			require.NotContains(t, index, id)
			index[id] = token
		}
		parts++
		_, err := f.Position(t.Context())
		require.NoError(t, err)
	}))
	require.Equal(t, want, index)
	require.Equal(t, 2, parts)
}
