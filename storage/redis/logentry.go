package redis

import (
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"muster/grouping"
	"muster/storage/durable"
)

// The field change of a log entry has these lines. The store script adds the first one.
//
//	the version of the document, as in durable.LogEntry
//	the other stamps of the events, separated by spaces, without the writer of the token
//	"c" if the write has changed events
//	the names of the changed records, a line for each, or one line allRecords
//
// An entry of an older Muster has no such field. An older Muster ignores it.

const (
	hasChanged = "c"
	allRecords = "*" // no record has this name
	// maxNames and maxNamesSize limit the names of an entry, and their size in bytes.
	maxNames, maxNamesSize = 128, 4 << 10
)

// changeText returns the field change of a write, without the first line.
func changeText(w *grouping.Write, records []grouping.RecordWrite) string {
	size := 0
	for _, r := range records {
		if size += len(r.Name); strings.Contains(r.Name, "\n") {
			size += maxNamesSize
		}
	}
	var text strings.Builder
	text.Grow(min(size, maxNamesSize) + min(len(records), maxNames) + len(hasChanged) + len("\n\n"))
	for i, s := range w.OtherStamps() {
		if i > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(strings.TrimSuffix(string(s), w.Stamp.Writer()))
	}
	text.WriteByte('\n')
	if len(w.Changed) > 0 {
		text.WriteString(hasChanged)
	}
	if len(records) > maxNames || size > maxNamesSize {
		text.WriteString("\n" + allRecords)
		return text.String()
	}
	for _, r := range records {
		text.WriteByte('\n')
		text.WriteString(r.Name)
	}
	return text.String()
}

func decodeLogEntry(m redis.XMessage) durable.LogEntry {
	text := func(name string) string { s, _ := m.Values[name].(string); return s }
	e := durable.LogEntry{ID: grouping.ID(text("id")), Writer: text("writer"), Previous: text("previous")}
	e.Epoch, e.StreamID, e.Token = text("epoch"), m.ID, text("token")
	e.Seq, _ = strconv.ParseInt(text("seq"), 10, 64)
	decodeChange(&e, text("change"))
	return e
}

func decodeChange(e *durable.LogEntry, text string) {
	if text == "" {
		return
	}
	version, rest, _ := strings.Cut(text, "\n")
	stamps, rest, _ := strings.Cut(rest, "\n")
	changed, names, named := strings.Cut(rest, "\n")
	for s := range strings.FieldsSeq(stamps) {
		if len(s) < grouping.StampLen {
			s += grouping.Stamp(e.Token).Writer()
		}
		e.Stamps = append(e.Stamps, s)
	}
	e.NoChanged = changed != hasChanged
	switch {
	case names == allRecords:
		return
	case named:
		e.Records = strings.Split(names, "\n")
	default:
		e.Records = []string{}
	}
	e.Version, _ = strconv.ParseInt(version, 10, 64)
}
