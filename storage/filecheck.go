package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"
)

// bbolt trusts what it reads. On a damaged page it panics, part of the time in
// a goroutine of its own where nobody can catch it; or it follows a number out
// of the file. So a file is looked through before bbolt gets it. Its format is
// in bbolt's internal/common: pages with a header of 16 bytes, in the byte
// order of the machine. The first two are the metas; the one of the later
// transaction tells where the tree begins.

const (
	pageHeader   = 16
	pageElement  = 16
	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketFlag   = 0x01 // of a leaf's element: its value is a bucket

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	// metaSummed is how many bytes of a meta its checksum is made of.
	metaSummed = 56
	noFreelist = math.MaxUint64
)

// fileMeta is the meta of a bbolt file.
type fileMeta struct {
	Magic, Version, PageSize, Flags                 uint32
	Root, Sequence, Freelist, Pages, Txid, Checksum uint64
}

func (m *fileMeta) valid(raw []byte) bool {
	sum := fnv.New64a()
	_, _ = sum.Write(raw[:metaSummed]) // a hash never fails
	return m.Magic == boltMagic && m.Version == boltVersion && m.Checksum == sum.Sum64() && m.PageSize >= 1<<10
}

// metaAt reads the meta of the page at the offset.
func metaAt(r io.ReaderAt, offset int64) (m fileMeta, ok bool) {
	raw := make([]byte, pageHeader+binary.Size(m))
	if _, err := r.ReadAt(raw, offset); err != nil {
		return m, false
	}
	raw = raw[pageHeader:]
	_, err := binary.Decode(raw, binary.NativeEndian, &m)
	return m, err == nil && m.valid(raw)
}

// readMeta returns the meta that counts. Where the first is damaged, the place
// of the second follows from the size of a page, which is not known.
func readMeta(r io.ReaderAt) (fileMeta, error) {
	meta, ok := metaAt(r, 0)
	for size := int64(1 << 10); size <= 1<<24; size *= 2 {
		if ok && size != int64(meta.PageSize) {
			continue
		}
		if other, otherOK := metaAt(r, size); otherOK && int64(other.PageSize) == size && (!ok || other.Txid > meta.Txid) {
			meta, ok = other, true
		}
	}
	if !ok {
		return meta, errors.New("both pages that tell where the rest begins are damaged, or it is another program's")
	}
	return meta, nil
}

// fileCheck is one look through a file.
type fileCheck struct {
	r    io.ReaderAt
	meta fileMeta
	used []bool // by page: it was met
}

// sizedFile is what is needed of an os.File.
type sizedFile interface {
	io.ReaderAt
	Stat() (os.FileInfo, error)
}

// wholeMeta returns the meta that counts and looks whether all pages that it
// speaks of are there.
func wholeMeta(file sizedFile) (fileMeta, error) {
	// The size comes second: a commit under way makes the file longer before it
	// writes the meta.
	meta, err := readMeta(file)
	if err != nil {
		return meta, &damagedFileError{err}
	}
	info, err := file.Stat()
	if err != nil {
		return meta, err
	}
	if length := meta.Pages * uint64(meta.PageSize); uint64(info.Size()) < length { //nolint:gosec // G115: a size is not negative
		return meta, &damagedFileError{fmt.Errorf("it is cut short: %d bytes of %d are there", info.Size(), length)}
	}
	return meta, nil
}

// checkFile says what is wrong with the first damaged page.
func checkFile(path string) (err error) {
	file, err := os.Open(path) //nolint:gosec // G304: the operator's path
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	c := fileCheck{r: file}
	if c.meta, err = wholeMeta(file); err != nil {
		return err
	}
	c.used = make([]bool, c.meta.Pages)
	if err = c.tree(c.meta.Root, nil, nil); err == nil {
		err = c.freelist()
	}
	if err != nil {
		return &damagedFileError{err}
	}
	return nil
}

// page reads a page with those that continue it.
func (c *fileCheck) page(id uint64) (raw []byte, flags uint16, count int, err error) {
	if id < 2 || id >= c.meta.Pages {
		return nil, 0, 0, fmt.Errorf("page %d is referred to, which there is not", id)
	}
	size := uint64(c.meta.PageSize)
	raw = make([]byte, size)
	if _, err := c.r.ReadAt(raw, int64(id*size)); err != nil { //nolint:gosec // G115: inside the file
		return nil, 0, 0, fmt.Errorf("page %d cannot be read: %w", id, err)
	}
	self, flags, count, more := header(raw)
	if self != id || id+more >= c.meta.Pages {
		return nil, 0, 0, fmt.Errorf("page %d is damaged", id)
	}
	for i := id; i <= id+more; i++ {
		if c.used[i] {
			return nil, 0, 0, fmt.Errorf("page %d is referred to twice", i)
		}
		c.used[i] = true
	}
	if more > 0 {
		raw = make([]byte, (more+1)*size)
		if _, err := c.r.ReadAt(raw, int64(id*size)); err != nil { //nolint:gosec // G115: inside the file
			return nil, 0, 0, fmt.Errorf("page %d cannot be read: %w", id, err)
		}
	}
	return raw, flags, count, nil
}

// header reads what a page says of itself: its number, what it is, how many
// elements it has and how many pages continue it.
func header(raw []byte) (id uint64, flags uint16, count int, more uint64) {
	order := binary.NativeEndian
	return order.Uint64(raw), order.Uint16(raw[8:]), int(order.Uint16(raw[10:])), uint64(order.Uint32(raw[12:]))
}

// tree looks through a page and all below it. Its keys are not less than
// lowest and, unless end is nil, less than end.
func (c *fileCheck) tree(id uint64, lowest, end []byte) error {
	raw, flags, count, err := c.page(id)
	if err != nil {
		return err
	}
	switch {
	case flags == leafPage:
		return c.leaf(id, raw, count, lowest, end)
	case flags != branchPage || count == 0:
		return fmt.Errorf("page %d is damaged", id)
	}
	keys, children := make([][]byte, count+1), make([]uint64, count)
	keys[count] = end
	for i := range count {
		e, at, ok := element(raw, i)
		if !ok {
			return fmt.Errorf("page %d is damaged", id)
		}
		order := binary.NativeEndian
		children[i] = order.Uint64(e[8:])
		if keys[i], ok = slice(raw, count, at+uint64(order.Uint32(e)), uint64(order.Uint32(e[4:]))); !ok {
			return fmt.Errorf("page %d is damaged", id)
		}
	}
	if !ascending(keys[:count], lowest, end) {
		return fmt.Errorf("page %d is out of order", id)
	}
	for i, child := range children {
		if err := c.tree(child, keys[i], keys[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// leaf looks through the elements of a leaf and the buckets in it.
func (c *fileCheck) leaf(id uint64, raw []byte, count int, lowest, end []byte) error {
	keys := make([][]byte, count)
	var buckets [][]byte
	for i := range count {
		e, at, ok := element(raw, i)
		if !ok {
			return fmt.Errorf("page %d is damaged", id)
		}
		order := binary.NativeEndian
		start, keyLen, valueLen := at+uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:])), uint64(order.Uint32(e[12:]))
		both, ok := slice(raw, count, start, keyLen+valueLen)
		if !ok {
			return fmt.Errorf("page %d is damaged", id)
		}
		keys[i] = both[:keyLen]
		if order.Uint32(e)&bucketFlag != 0 {
			buckets = append(buckets, both[keyLen:])
		}
	}
	if !ascending(keys, lowest, end) {
		return fmt.Errorf("page %d is out of order", id)
	}
	for _, b := range buckets {
		if err := c.bucket(id, b); err != nil {
			return err
		}
	}
	return nil
}

// bucket looks through a bucket, of which the page with the ID holds the
// record: the number of its own first page, or that page where it is small.
func (c *fileCheck) bucket(id uint64, record []byte) error {
	const recordLen = 16
	if len(record) < recordLen {
		return fmt.Errorf("page %d is damaged", id)
	}
	if root := binary.NativeEndian.Uint64(record); root != 0 {
		return c.tree(root, nil, nil)
	}
	inline := record[recordLen:]
	if len(inline) < pageHeader {
		return fmt.Errorf("page %d is damaged", id)
	}
	_, flags, count, _ := header(inline)
	if flags != leafPage {
		return fmt.Errorf("page %d is damaged", id)
	}
	return c.leaf(id, inline, count, nil, nil)
}

// element returns a page's ith element and where it begins. What the element
// tells of is counted from there.
func element(raw []byte, i int) (e []byte, at uint64, ok bool) {
	at = uint64(pageHeader + i*pageElement) //nolint:gosec // G115: i is 16 bits
	e = raw[min(at, uint64(len(raw))):]
	return e, at, len(e) >= pageElement
}

// slice returns a part of a page, if it is one that follows the elements.
func slice(raw []byte, count int, start, length uint64) ([]byte, bool) {
	if start < uint64(pageHeader+count*pageElement) || start+length > uint64(len(raw)) { //nolint:gosec // G115: count is 16 bits
		return nil, false
	}
	return raw[start : start+length], true
}

func ascending(keys [][]byte, lowest, end []byte) bool {
	for i, k := range keys {
		if i == 0 && bytes.Compare(k, lowest) < 0 || i > 0 && bytes.Compare(k, keys[i-1]) <= 0 || end != nil && bytes.Compare(k, end) >= 0 {
			return false
		}
	}
	return true
}

// freelist looks whether a page that counts as free is in use: the next write
// would go over it.
func (c *fileCheck) freelist() error {
	id := c.meta.Freelist
	if id == noFreelist {
		return nil
	}
	raw, flags, count, err := c.page(id)
	if err != nil {
		return err
	}
	ids := raw[pageHeader:]
	free := uint64(count) //nolint:gosec // G115: count is 16 bits
	if count == math.MaxUint16 {
		free, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if flags != freelistPage || free > uint64(len(ids)/8) {
		return fmt.Errorf("page %d is damaged", id)
	}
	for i := range free {
		switch page := binary.NativeEndian.Uint64(ids[8*i:]); {
		case page < 2 || page >= c.meta.Pages:
			return fmt.Errorf("page %d is damaged", id)
		case c.used[page]:
			return fmt.Errorf("page %d is in use and counts as free", page)
		default:
			c.used[page] = true
		}
	}
	return nil
}
