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
//	"c" if the write has changed events
//	the names of the changed records, a line for each, or one line allRecords
//
// An entry of an older Muster has no such field. An older Muster ignores it.

const (
	hasChanged = "c"
	allRecords = "*" // no record has this name
	// maxNames and maxNamesSize limit the names of an entry, and their size in bytes.
	maxNames, maxNamesSize = 64, 4 << 10
)

// changeText returns the field change of a write, without the first line.
func changeText(w *grouping.Write, records []grouping.RecordWrite) string {
	lines := make([]string, 1, 1+len(records))
	if len(w.Changed) > 0 {
		lines[0] = hasChanged
	}
	size := 0
	for _, r := range records {
		size += len(r.Name)
		if strings.Contains(r.Name, "\n") {
			size += maxNamesSize
		}
		lines = append(lines, r.Name)
	}
	if len(records) > maxNames || size > maxNamesSize {
		lines = append(lines[:1], allRecords)
	}
	return strings.Join(lines, "\n")
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
	version, rest, _ := strings.Cut(text, "\n")
	changed, names, named := strings.Cut(rest, "\n")
	if text == "" {
		return
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
