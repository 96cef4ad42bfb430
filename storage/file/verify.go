package file

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"muster/grouping"
)

// bbolt does not validate what it reads. On a damaged page it panics, sometimes
// in a goroutine of its own, where Muster cannot recover. Or it follows a number
// that points out of the file. So Muster verifies a file before it opens the file
// with bbolt.
//
// The format is defined in bbolt's internal/common. A file has pages with a
// header of 16 bytes, in the byte order of the machine. The first two pages are
// the metas. The meta of the later transaction names the root page of the tree.

const (
	pageHeaderSize  = 16
	pageElementSize = 16
	branchPage      = 0x01
	leafPage        = 0x02
	freelistPage    = 0x10
	bucketFlag      = 0x01 // of an element in a leaf: its value is a bucket

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	// metaChecksummed is the number of bytes of a meta that its checksum covers.
	metaChecksummed = 56
	noFreelist      = math.MaxUint64
)

// boltMeta is the meta of a bbolt file.
type boltMeta struct {
	Magic, Version, PageSize, Flags                 uint32
	Root, Sequence, Freelist, Pages, Txid, Checksum uint64
}

func (m *boltMeta) valid(raw []byte) bool {
	sum := fnv.New64a()
	_, _ = sum.Write(raw[:metaChecksummed]) // a hash never fails
	return m.Magic == boltMagic && m.Version == boltVersion && m.Checksum == sum.Sum64() && m.PageSize >= 1<<10
}

// readMetaAt reads the meta of the page at the offset. ok is false if the page
// does not have a valid meta.
func readMetaAt(r io.ReaderAt, offset int64) (m boltMeta, ok bool) {
	raw := make([]byte, pageHeaderSize+binary.Size(m))
	if _, err := r.ReadAt(raw, offset); err != nil {
		return m, false
	}
	raw = raw[pageHeaderSize:]
	_, err := binary.Decode(raw, binary.NativeEndian, &m)
	return m, err == nil && m.valid(raw)
}

// readMeta returns the valid meta of the later transaction. The second meta
// begins after one page. If the first meta is damaged, the page size is not
// known, so readMeta tries all page sizes.
func readMeta(r io.ReaderAt) (boltMeta, error) {
	meta, ok := readMetaAt(r, 0)
	for size := int64(1 << 10); size <= 1<<24; size *= 2 {
		if ok && size != int64(meta.PageSize) {
			continue
		}
		if other, otherOK := readMetaAt(r, size); otherOK && int64(other.PageSize) == size && (!ok || other.Txid > meta.Txid) {
			meta, ok = other, true
		}
	}
	if !ok {
		return meta, errors.New("both meta pages are damaged, or another program wrote the file")
	}
	return meta, nil
}

// verifier verifies a part of one file. The parts are verified at the same time.
type verifier struct {
	data []byte // the mapped file
	meta boltMeta
	used []atomic.Bool // by page: another page refers to it

	page        uint64 // that is read
	isPart      bool   // it verifies a part of a tree
	isDocuments bool   // the tree has the documents
	// deletions are the deletions of documents, in no particular order. Most of them are of
	// tombstones, and the others of documents that came back.
	deletions []tombstone
	keys      [][]byte // memory of the keys of a leaf, which is used again
}

// sizedFile is what completeMeta needs from an os.File.
type sizedFile interface {
	io.ReaderAt
	Stat() (os.FileInfo, error)
}

// completeMeta returns the meta of the later transaction. It returns a
// *damagedFileError if the file is shorter than this meta says.
func completeMeta(file sizedFile) (boltMeta, error) {
	// Read the size after the meta: a concurrent commit makes the file longer
	// before it writes the meta.
	meta, err := readMeta(file)
	if err != nil {
		return meta, &damagedFileError{err}
	}
	info, err := file.Stat()
	if err != nil {
		return meta, err
	}
	if length := meta.Pages * uint64(meta.PageSize); uint64(info.Size()) < length { //nolint:gosec // G115: a size is not negative
		return meta, &damagedFileError{fmt.Errorf("it is truncated: it has %d bytes instead of %d", info.Size(), length)}
	}
	return meta, nil
}

// verifyFile returns a *damagedFileError that says what is wrong with the first
// damaged page. If the file is not damaged, it returns the deletions in it.
func verifyFile(path string) (deletions []tombstone, err error) {
	file, err := os.Open(path) //nolint:gosec // G304: the operator's path
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	meta, err := completeMeta(file)
	if err != nil {
		return nil, err
	}
	// A copy of all pages would take most of the time.
	size := int(meta.Pages * uint64(meta.PageSize)) //nolint:gosec // G115: the size of a file
	data, err := syscall.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the file: %w", err)
	}
	defer func() { err = errors.Join(err, syscall.Munmap(data)) }()
	v := newVerifier(data, meta)
	if err := v.verify(v.verifyAll); err != nil {
		return nil, &damagedFileError{err}
	}
	return v.deletions, nil
}

func newVerifier(data []byte, meta boltMeta) *verifier {
	return &verifier{data: data, meta: meta, used: make([]atomic.Bool, meta.Pages)}
}

func (v *verifier) verifyAll() error {
	if err := v.verifyTree(v.meta.Root, nil, nil); err != nil {
		return err
	}
	return v.verifyFreelist()
}

// verify calls fn. If a page cannot be read, which is a fault of memory, it returns an error.
func (v *verifier) verify(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if _, ok := r.(interface{ Addr() uintptr }); ok {
			err = fmt.Errorf("page %d cannot be read", v.page)
		} else if r != nil {
			panic(r)
		}
	}()
	return fn()
}

// readPage returns a page together with its overflow pages, and marks them as used.
func (v *verifier) readPage(id uint64) (raw []byte, flags uint16, elements int, err error) {
	if id < 2 || id >= v.meta.Pages {
		return nil, 0, 0, fmt.Errorf("a page refers to page %d, which does not exist", id)
	}
	v.page = id
	size := uint64(v.meta.PageSize)
	self, flags, elements, overflow := readHeader(v.data[id*size : (id+1)*size])
	if self != id || id+overflow >= v.meta.Pages {
		return nil, 0, 0, fmt.Errorf("page %d is damaged", id)
	}
	for i := id; i <= id+overflow; i++ {
		if v.used[i].Swap(true) {
			return nil, 0, 0, fmt.Errorf("two pages refer to page %d", i)
		}
	}
	return v.data[id*size : (id+overflow+1)*size], flags, elements, nil
}

// readHeader reads the header of a page: its ID, its type, its number of elements
// and its number of overflow pages.
func readHeader(raw []byte) (id uint64, flags uint16, elements int, overflow uint64) {
	order := binary.NativeEndian
	return order.Uint64(raw), order.Uint16(raw[8:]), int(order.Uint16(raw[10:])), uint64(order.Uint32(raw[12:]))
}

// verifyTree verifies a page and all pages below it. The keys must not be less
// than lowest. They must be less than end, unless end is nil.
func (v *verifier) verifyTree(id uint64, lowest, end []byte) error {
	raw, flags, elements, err := v.readPage(id)
	if err != nil {
		return err
	}
	switch {
	case flags == leafPage:
		return v.verifyLeaf(id, raw, elements, lowest, end)
	case flags != branchPage || elements == 0:
		return fmt.Errorf("page %d is damaged", id)
	}
	keys, children := make([][]byte, elements+1), make([]uint64, elements)
	keys[elements] = end
	for i := range elements {
		e, offset, ok := element(raw, i)
		if !ok {
			return fmt.Errorf("page %d is damaged", id)
		}
		order := binary.NativeEndian
		children[i] = order.Uint64(e[8:])
		if keys[i], ok = pageSlice(raw, elements, offset+uint64(order.Uint32(e)), uint64(order.Uint32(e[4:]))); !ok {
			return fmt.Errorf("page %d is damaged", id)
		}
	}
	if !ascending(keys[:elements], lowest, end) {
		return fmt.Errorf("page %d is out of order", id)
	}
	if !v.isPart {
		return v.verifyParts(children, keys)
	}
	for i, child := range children {
		if err := v.verifyTree(child, keys[i], keys[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// verifyParts verifies the children of a page at the same time. It returns the error of the
// first child that has one.
func (v *verifier) verifyParts(children []uint64, keys [][]byte) error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	parts, errs := make([]*verifier, len(children)), make([]error, len(children))
	for i, child := range children {
		part := &verifier{data: v.data, meta: v.meta, used: v.used, isPart: true, isDocuments: v.isDocuments}
		parts[i] = part
		group.Go(func() error {
			errs[i] = part.verify(func() error { return part.verifyTree(child, keys[i], keys[i+1]) })
			return nil
		})
	}
	_ = group.Wait()
	for _, part := range parts {
		v.deletions = append(v.deletions, part.deletions...)
	}
	return cmp.Or(errs...)
}

// bucketRecord is an element of a leaf that is a bucket.
type bucketRecord struct{ name, record []byte }

// verifyLeaf verifies the elements of a leaf and the buckets in it.
func (v *verifier) verifyLeaf(id uint64, raw []byte, elements int, lowest, end []byte) error {
	v.keys = slices.Grow(v.keys[:0], elements)[:elements]
	keys := v.keys
	var buckets []bucketRecord
	for i := range elements {
		e, offset, ok := element(raw, i)
		if !ok {
			return fmt.Errorf("page %d is damaged", id)
		}
		order := binary.NativeEndian
		start, keyLen, valueLen := offset+uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:])), uint64(order.Uint32(e[12:]))
		both, ok := pageSlice(raw, elements, start, keyLen+valueLen)
		if !ok {
			return fmt.Errorf("page %d is damaged", id)
		}
		keys[i] = both[:keyLen]
		switch key := keys[i]; {
		case order.Uint32(e)&bucketFlag != 0:
			buckets = append(buckets, bucketRecord{key, both[keyLen:]})
		case v.isDocuments && isDeletion(key):
			v.deletions = append(v.deletions, tombstone{grouping.ID(key[:idLen]), grouping.Stamp(both[keyLen:])})
		}
	}
	if !ascending(keys, lowest, end) {
		return fmt.Errorf("page %d is out of order", id)
	}
	for _, b := range buckets {
		v.isDocuments = bytes.Equal(b.name, bucketGroups)
		if err := v.verifyBucket(id, b.record); err != nil {
			return err
		}
	}
	return nil
}

// verifyBucket verifies a bucket. The page with the ID has the record of the
// bucket. The record names the root page of the bucket. A small bucket has no
// page of its own: its record contains its only leaf.
func (v *verifier) verifyBucket(id uint64, record []byte) error {
	const recordLen = 16
	if len(record) < recordLen {
		return fmt.Errorf("page %d is damaged", id)
	}
	if root := binary.NativeEndian.Uint64(record); root != 0 {
		return v.verifyTree(root, nil, nil)
	}
	inline := record[recordLen:]
	if len(inline) < pageHeaderSize {
		return fmt.Errorf("page %d is damaged", id)
	}
	_, flags, elements, _ := readHeader(inline)
	if flags != leafPage {
		return fmt.Errorf("page %d is damaged", id)
	}
	return v.verifyLeaf(id, inline, elements, nil, nil)
}

// element returns the ith element of a page and its offset in the page. The
// positions in an element are relative to this offset.
func element(raw []byte, i int) (e []byte, offset uint64, ok bool) {
	offset = uint64(pageHeaderSize + i*pageElementSize) //nolint:gosec // G115: i is 16 bits
	e = raw[min(offset, uint64(len(raw))):]
	return e, offset, len(e) >= pageElementSize
}

// pageSlice returns a part of a page. ok is false if the part overlaps the
// elements or ends after the page.
func pageSlice(raw []byte, elements int, start, length uint64) (part []byte, ok bool) {
	if start < uint64(pageHeaderSize+elements*pageElementSize) || start+length > uint64(len(raw)) { //nolint:gosec // G115: elements is 16 bits
		return nil, false
	}
	return raw[start : start+length], true
}

// ascending reports whether the keys are sorted, unique and within the limits.
func ascending(keys [][]byte, lowest, end []byte) bool {
	for i, k := range keys {
		if i == 0 && bytes.Compare(k, lowest) < 0 || i > 0 && bytes.Compare(k, keys[i-1]) <= 0 || end != nil && bytes.Compare(k, end) >= 0 {
			return false
		}
	}
	return true
}

// verifyFreelist verifies that no page in the free list is in use. The next write
// would overwrite such a page.
func (v *verifier) verifyFreelist() error {
	id := v.meta.Freelist
	if id == noFreelist {
		return nil
	}
	raw, flags, elements, err := v.readPage(id)
	if err != nil {
		return err
	}
	ids := raw[pageHeaderSize:]
	free := uint64(elements) //nolint:gosec // G115: elements is 16 bits
	if elements == math.MaxUint16 {
		free, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if flags != freelistPage || free > uint64(len(ids)/8) {
		return fmt.Errorf("page %d is damaged", id)
	}
	for i := range free {
		switch page := binary.NativeEndian.Uint64(ids[8*i:]); {
		case page < 2 || page >= v.meta.Pages:
			return fmt.Errorf("page %d is damaged", id)
		case v.used[page].Load():
			return fmt.Errorf("page %d is in use and also in the free list", page)
		default:
			v.used[page].Store(true)
		}
	}
	return nil
}
