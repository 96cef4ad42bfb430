package redis

import "math"

// A raw answer of Redis is read here where the client would make a string of each part.

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
