package redis

import (
	"context"
	"errors"
	"io"
	"sync"

	"muster/grouping"
	"muster/storage/durable"
)

// The fields of documents are most of what a Muster reads when it starts. So they are not
// copied out of the answer of Redis: it is one text, and the fields are parts of it.

// answers is memory for the answers to a pipeline, which is used again. In a cluster the
// servers answer at the same time, so each answer has its own.
type answers struct {
	texts  [durable.Batch]rawAnswer
	fields []grouping.StoredRecord
}

// maxAnswer is the maximum size of an answer whose memory is used again.
const maxAnswer = 64 << 10

var freeAnswers = sync.Pool{New: func() any { return &answers{} }}

func newAnswers() *answers { return freeAnswers.Get().(*answers) } //nolint:forcetypeassert // the pool holds nothing else

func (a *answers) release() {
	for i := range a.texts {
		if cap(a.texts[i].text) > maxAnswer {
			a.texts[i] = rawAnswer{}
		}
		a.texts[i].text = a.texts[i].text[:0]
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
	n, rest, ok := cutList(answer)
	for range n / 2 {
		var name, text []byte
		if name, rest, ok = cutString(rest); !ok {
			return list, false
		}
		if text, rest, ok = cutString(rest); !ok {
			return list, false
		}
		list = append(list, grouping.StoredRecord{Name: string(name), Text: text})
	}
	return list, ok && len(rest) == 0
}
