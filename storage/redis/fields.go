package redis

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"sync"

	"muster/grouping"
	"muster/storage/durable"
)

// The fields of documents are most of what a Muster reads when it starts. So they are not
// copied out of the answer of Redis: it is one text, and the fields are parts of it.

// answers is memory for the answers to a pipeline, which is used again. In a cluster the
// servers answer at the same time, so each answer has its own.
type answers struct {
	texts  [durable.Batch]bytes.Buffer
	fields []grouping.StoredRecord
}

// maxAnswer is the maximum size of an answer whose memory is used again.
const maxAnswer = 64 << 10

var freeAnswers = sync.Pool{New: func() any { return &answers{} }}

func newAnswers() *answers { return freeAnswers.Get().(*answers) } //nolint:forcetypeassert // the pool holds nothing else

func (a *answers) release() {
	for i := range a.texts {
		if a.texts[i].Cap() > maxAnswer {
			a.texts[i] = bytes.Buffer{}
		}
		a.texts[i].Reset()
	}
	clear(a.fields[:cap(a.fields)])
	freeAnswers.Put(a)
}

// isBrokenConnection reports whether the connection ended before all answers were read.
func isBrokenConnection(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// readFields appends the fields of a document to the list. answer is the raw answer to
// HGETALL. If it is not a complete list of strings, the client asks again, which also
// retries: the answer may be an error, or name the server of a cluster that has the key now.
func (r *Storage) readFields(ctx context.Context, id grouping.ID, answer []byte, list []grouping.StoredRecord) (
	[]grouping.StoredRecord, error,
) {
	list, ok := parseFields(answer, list)
	if ok {
		return list, nil
	}
	fields, err := r.client.HGetAll(ctx, r.documentKey(id)).Result()
	list = list[:0]
	for name, text := range fields {
		list = append(list, grouping.StoredRecord{Name: name, Text: []byte(text)})
	}
	return list, err
}

// parseFields appends the names and texts of a raw answer to the list.
func parseFields(answer []byte, list []grouping.StoredRecord) (_ []grouping.StoredRecord, ok bool) {
	// The answer is a list, and in version 3 of the protocol a map.
	if len(answer) == 0 || answer[0] != '*' && answer[0] != '%' {
		return list, false
	}
	size, rest, _ := bytes.Cut(answer, crlf)
	n, err := strconv.Atoi(string(size[1:]))
	if err != nil || n < 0 {
		return list, false
	}
	if answer[0] == '*' {
		n /= 2
	}
	for range n {
		var name, text []byte
		if name, rest, ok = parseString(rest); !ok {
			return list, false
		}
		if text, rest, ok = parseString(rest); !ok {
			return list, false
		}
		list = append(list, grouping.StoredRecord{Name: string(name), Text: text})
	}
	return list, len(rest) == 0
}

// parseString returns the string at the beginning of an answer, and what follows it.
func parseString(answer []byte) (text, rest []byte, ok bool) {
	size, rest, ok := bytes.Cut(answer, crlf)
	if !ok || len(size) == 0 || size[0] != '$' {
		return nil, nil, false
	}
	n, err := strconv.Atoi(string(size[1:]))
	if err != nil || n < 0 || n+len(crlf) > len(rest) {
		return nil, nil, false
	}
	return rest[:n:n], rest[n+len(crlf):], true
}

var crlf = []byte("\r\n")
