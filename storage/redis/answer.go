package redis

import (
	"errors"
	"io"
	"math"
	"slices"
)

// A raw answer of Redis is read here where the client would make a string of each part.

// rawAnswer is memory for a raw answer. The client writes it there.
type rawAnswer struct{ text []byte }

// Write implements io.Writer.
func (a *rawAnswer) Write(part []byte) (int, error) {
	a.text = append(a.text, part...)
	return len(part), nil
}

// ReadFrom implements io.ReaderFrom. The client calls it for each text, and limits the reader to
// that text. A bytes.Buffer would have to read until the end.
func (a *rawAnswer) ReadFrom(r io.Reader) (n int64, err error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{a}, r)
	}
	begin, size := len(a.text), int(limited.N)
	a.text = slices.Grow(a.text, size)
	read, err := io.ReadFull(limited.R, a.text[begin:begin+size])
	a.text = a.text[:begin+read]
	if limited.N -= int64(read); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // as an io.ReaderFrom does
	}
	return int64(read), err
}

// cutList cuts the head of a list of strings from the beginning of an answer. In version 3 of the
// protocol it can be a map, which has two strings for each entry. n is the number of strings.
func cutList(answer []byte) (n int, rest []byte, ok bool) {
	if n, rest, ok = cutNumber(answer, '*'); ok {
		return n, rest, true
	}
	n, rest, ok = cutNumber(answer, '%')
	return 2 * n, rest, ok
}

// cutString cuts a string from the beginning of an answer.
func cutString(answer []byte) (text, rest []byte, ok bool) {
	const end = len("\r\n")
	n, rest, ok := cutNumber(answer, '$')
	if !ok || len(rest) < n+end {
		return nil, nil, false
	}
	return rest[:n:n], rest[n+end:], true
}

// cutNumber cuts a line with a number of the kind from the beginning of an answer.
func cutNumber(answer []byte, kind byte) (n int, rest []byte, ok bool) {
	if len(answer) == 0 || answer[0] != kind {
		return 0, nil, false
	}
	for i, c := range answer[1:] {
		switch {
		case c == '\r' && i > 0 && len(answer) > i+2:
			return n, answer[i+3:], true
		case c < '0' || c > '9' || n > math.MaxInt32:
			return 0, nil, false
		}
		n = 10*n + int(c-'0')
	}
	return 0, nil, false
}
