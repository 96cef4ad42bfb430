package grouping

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxNameLength is the maximum number of characters of a person's name. It has room for
// every e-mail address that people use, and a row of the list can still show it.
const MaxNameLength = 100

// Person is who wrote something. A name that nobody verified was typed by the person.
type Person struct {
	Name     string `json:"by"`
	Verified bool   `json:"verified"`
}

// ValidateName returns an error if a text is not the name of a person. Such a name is one
// line of text, and its characters are shown in the order in which they are written.
func ValidateName(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return errors.New("a name is required")
	case n > MaxNameLength:
		return fmt.Errorf("the name has %d characters, the limit is %d", n, MaxNameLength)
	case !utf8.ValidString(name):
		return errors.New("the name is not valid UTF-8")
	case strings.ContainsFunc(name, isControl):
		return errors.New("the name has a control character")
	}
	return nil
}

// isControl reports whether a character breaks a line, is invisible control, or changes the
// direction of what follows it.
func isControl(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}
