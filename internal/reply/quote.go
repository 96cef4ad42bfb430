package reply

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxQuoted is the maximum number of bytes of a quoted client value in an answer.
// Alertmanager writes the whole answer to its log.
const MaxQuoted = 40

// Quoted returns the beginning of a client's text in quotes, for an answer.
func Quoted(s string) string {
	size := 0
	for i := 0; i < len(s); {
		_, width := utf8.DecodeRuneInString(s[i:])
		if size += JSONSize(strconv.QuoteToGraphic(s[i:i+width])) - JSONSize(`""`); size > MaxQuoted {
			return strconv.QuoteToGraphic(s[:i] + "…")
		}
		i += width
	}
	return strconv.QuoteToGraphic(s)
}

// JSONSize returns the number of bytes of a text in a JSON answer. Gin also escapes
// the characters that are special in HTML.
func JSONSize(s string) (size int) {
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			size += 2
		case r < ' ' || strings.ContainsRune("<>&\u2028\u2029", r):
			size += len(`\u003c`)
		default:
			size += utf8.RuneLen(r)
		}
	}
	return size
}
