package grouping

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Checkpoint is the state of all groups at a time. It saves a reader of the past from replaying
// the whole history before it. It is immutable.
type Checkpoint struct {
	// Stamp is newer than every write that the groups have. Writes shortly before it may be
	// missing: the stamps of a group's records say what it has.
	Stamp Stamp
	// CausesKnown says whether the event recorder or a poll had told of causes.
	CausesKnown bool
	Groups      []*AlertGroup
	// Silences are those that had not expired. Those of a checkpoint that an earlier version
	// stored are not known.
	Silences []SourceSilence
}

// SourceSilence is a silence with its source.
type SourceSilence struct {
	Source  string   `json:"source"`
	Silence *Silence `json:"silence"`
}

// checkpointLag is the maximum age of a write that a checkpoint does not have: a report waits for
// its turn for seconds at most, and the write of another replica is known after a second.
const checkpointLag = 2 * time.Minute

// ReplayFrom returns the time from which the events are replayed on the checkpoint.
func (c *Checkpoint) ReplayFrom() time.Time { return replayFrom(c.Stamp) }

// ReplayFrom returns the time from which the events are replayed on the checkpoint.
func (c StoredCheckpoint) ReplayFrom() time.Time { return replayFrom(c.Name) }

func replayFrom(s Stamp) time.Time { return s.Time().Add(-checkpointLag) }

// A checkpoint is stored as a compressed list of texts, each one after its length: the head, and
// then for each group its ID, its other parts and its records. The records are those that
// storages keep, so that versions of Muster read each other's checkpoints. The last text has the
// silences. It can be missing.

const (
	checkpointVersion = "1"
	// maxCheckpointText is the maximum size of a text. Only a damaged checkpoint has a larger one.
	maxCheckpointText = 64 << 20
)

// errDamagedCheckpoint means that a checkpoint is not what was stored.
var errDamagedCheckpoint = errors.New("the checkpoint is damaged")

// Encode returns the stored form of the checkpoint.
func (c *Checkpoint) Encode() ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := checkpointWriter{Writer: bufio.NewWriterSize(z, 64<<10)}
	w.texts(checkpointVersion, string(c.Stamp))
	causes := uint64(0)
	if c.CausesKnown {
		causes = 1
	}
	w.numbers(causes, uint64(len(c.Groups)))
	for _, g := range c.Groups {
		if err := w.group(g); err != nil {
			return nil, err
		}
	}
	silences, err := json.Marshal(c.Silences)
	if err != nil {
		return nil, err
	}
	w.texts(string(silences))
	if err := errors.Join(w.Flush(), z.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// checkpointWriter writes to memory, so that only its last call can fail.
type checkpointWriter struct {
	*bufio.Writer

	number  []byte
	records RecordWrites
}

func (w *checkpointWriter) texts(texts ...string) {
	for _, text := range texts {
		w.numbers(uint64(len(text)))
		_, _ = w.WriteString(text)
	}
}

func (w *checkpointWriter) bytes(text []byte) {
	w.numbers(uint64(len(text)))
	_, _ = w.Write(text)
}

func (w *checkpointWriter) numbers(numbers ...uint64) {
	for _, n := range numbers {
		w.number = binary.AppendUvarint(w.number[:0], n)
		_, _ = w.Write(w.number)
	}
}

func (w *checkpointWriter) group(g *AlertGroup) error {
	write, records := Write{Next: g}, &w.records
	records.reset()
	if err := write.AppendRecords(records); err != nil {
		return err
	}
	before := len(records.Memory)
	all, err := g.AppendHead(records.Memory)
	if err != nil {
		return err
	}
	records.Memory = all
	w.texts(string(g.ID), string(g.Deleted))
	w.bytes(all[before:])
	w.numbers(uint64(max(g.Version, 0)), uint64(max(g.Notifications, 0)), uint64(len(records.List)))
	for _, r := range records.List {
		w.texts(r.Name)
		w.bytes(r.Text)
	}
	return nil
}

// DecodeCheckpoint decodes a stored checkpoint. live returns the current state of a group, or
// nil: what did not change since the checkpoint is shared with it, and needs no memory.
func DecodeCheckpoint(data []byte, live func(ID) *AlertGroup) (*Checkpoint, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamagedCheckpoint, err)
	}
	r := checkpointReader{Reader: bufio.NewReaderSize(z, 64<<10)}
	version, stamp := r.text(), Stamp(r.text())
	c := &Checkpoint{Stamp: stamp, CausesKnown: r.number() == 1}
	groups := r.number()
	if r.err == nil && (version != checkpointVersion || !stamp.Valid()) {
		r.err = fmt.Errorf("version %q, stamp %q", version, stamp)
	}
	for i := uint64(0); i < groups && r.err == nil; i++ {
		c.Groups = append(c.Groups, r.group(live))
	}
	if r.err == nil && !r.ends() {
		if text := r.bytes(); r.err == nil {
			r.err = json.Unmarshal(text, &c.Silences)
		}
	}
	if r.err == nil && !r.ends() {
		r.err = cmp.Or(r.err, errors.New("it has more than the silences at its end"))
	}
	if r.err == nil {
		return c, nil
	}
	return nil, fmt.Errorf("%w: %w", errDamagedCheckpoint, r.err)
}

// checkpointReader reads texts and numbers. After its first error it returns zero values.
type checkpointReader struct {
	*bufio.Reader

	err  error
	data []byte
}

// ends reports whether all was read. The end of the data has its checksum.
func (r *checkpointReader) ends() bool {
	_, err := r.Peek(1)
	if err == nil {
		return false
	}
	if !errors.Is(err, io.EOF) {
		r.err = err
	}
	return r.err == nil
}

func (r *checkpointReader) number() (n uint64) {
	if r.err == nil {
		n, r.err = binary.ReadUvarint(r.Reader)
	}
	return n
}

// bytes returns the next text. It is valid until the next call.
func (r *checkpointReader) bytes() []byte {
	n := r.number()
	if r.err == nil && n > maxCheckpointText {
		r.err = fmt.Errorf("a text of %d bytes", n)
	}
	if r.err != nil {
		return nil
	}
	if uint64(cap(r.data)) < n {
		r.data = make([]byte, n)
	}
	r.data = r.data[:n]
	_, r.err = io.ReadFull(r.Reader, r.data)
	return r.data
}

func (r *checkpointReader) text() string { return string(r.bytes()) }

func (r *checkpointReader) group(live func(ID) *AlertGroup) *AlertGroup {
	s := StoredDocument{ID: ID(r.text())}
	s.Deleted = Stamp(r.text())
	head := bytes.Clone(r.bytes())
	s.Version, s.Notifications = int64(r.number()), int64(r.number()) //nolint:gosec // G115: int64s were written
	n := r.number()
	if r.err != nil {
		return nil
	}
	now := live(s.ID)
	// No record of a group is newer than its head.
	if now != nil && bytes.HasPrefix(head, []byte(now.Stamp)) {
		for i := uint64(0); i < n && r.err == nil; i++ {
			r.bytes()
			r.bytes()
		}
		return now
	}
	s.Records = []StoredRecord{{HeadRecord, head}}
	var same []*Alert
	for i := uint64(0); i < n && r.err == nil; i++ {
		name := r.text()
		text := r.bytes()
		if a := now.unchanged(name, text); a != nil {
			same = append(same, a)
		} else {
			s.Records = append(s.Records, StoredRecord{name, bytes.Clone(text)})
		}
	}
	if r.err != nil {
		return nil
	}
	g, err := s.decodeGroup(same)
	r.err = err
	return g
}

// unchanged returns the alert of the group whose record has the name, if the text is that of the
// same write.
func (g *AlertGroup) unchanged(name string, text []byte) *Alert {
	fp, ok := strings.CutPrefix(name, alertRecords{}.prefix())
	if !ok || len(text) <= StampLen {
		return nil
	}
	if a := g.Alert(Fingerprint(fp)); a != nil && string(text[:StampLen]) == string(a.Stamp) {
		return a
	}
	return nil
}
