package templates

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// FilterError says what is wrong with a filter, and where.
type FilterError struct {
	Sentence string // unexpected "=" at column 11, a label value was expected
	Column   int    // of the first wrong character, from 1; 0: unknown
	// Before, At and After are the filter's text around the place.
	Before, At, After string
}

func (e *FilterError) Error() string { return e.Sentence }

// ParseFilter reads a filter: Alertmanager matchers and bare words, separated
// by commas. A bare word is searched for in names, label values and summaries.
func ParseFilter(text string) (labels.Matchers, []string, *FilterError) {
	if strings.TrimSpace(text) == "" {
		return nil, nil, nil
	}
	ms, err := parse.Matchers(text)
	if err == nil {
		return ms, nil, nil
	}
	parts := splitFilter(text)
	bare := false
	for _, p := range parts {
		bare = bare || !hasOperator(p.text)
	}
	if !bare || strings.ContainsAny(text, "{}") {
		return nil, nil, filterError(text, err, 0)
	}
	ms = nil
	var words []string
	for _, p := range parts {
		if !hasOperator(p.text) {
			words = append(words, strings.Fields(strings.ReplaceAll(p.text, `"`, " "))...)
			continue
		}
		m, err := parse.Matcher(p.text)
		if err != nil {
			return nil, nil, filterError(text, err, p.column)
		}
		ms = append(ms, m)
	}
	return ms, words, nil
}

func hasOperator(s string) bool { return strings.ContainsAny(s, "=~!") }

type filterPart struct {
	text   string
	column int // where it begins, in characters
}

// splitFilter splits at the commas outside of quotes.
func splitFilter(s string) []filterPart {
	var parts []filterPart
	start, column, startColumn, quoted, escaped := 0, 0, 0, false, false
	end := func(i int) {
		if strings.TrimSpace(s[start:i]) != "" {
			parts = append(parts, filterPart{s[start:i], startColumn})
		}
	}
	for i, r := range s {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case r == ',' && !quoted:
			end(i)
			start, startColumn = i+1, column+1
		}
		column++
	}
	end(len(s))
	return parts
}

// place is how upstream's parser begins its errors: columns from, to.
var place = regexp.MustCompile(`^(\d+):(\d+): `)

// filterError puts upstream's error into a sentence. Its columns count from
// offset.
func filterError(text string, err error, offset int) *FilterError {
	message := err.Error()
	at := place.FindStringSubmatch(message)
	if at == nil {
		e := &FilterError{Sentence: message, Before: text}
		if rest, ok := strings.CutPrefix(message, "end of input: "); ok {
			e.Column = utf8.RuneCountInString(text) + 1
			e.Sentence = "unexpected end at column " + strconv.Itoa(e.Column) + ", " + rest
		}
		return e
	}
	message = strings.TrimPrefix(message, at[0])
	from, _ := strconv.Atoi(at[1])
	to, _ := strconv.Atoi(at[2])
	from, to = from+offset, max(to, from+1)+offset
	runes := []rune(text)
	from, to = min(from, len(runes)), min(to, len(runes))
	e := &FilterError{
		Column: from + 1, Before: string(runes[:from]), At: string(runes[from:to]), After: string(runes[to:]),
	}
	what, expected, _ := strings.Cut(message, ": ")
	if strings.HasPrefix(expected, "missing end") { // which is all that matters
		expected, _, _ = strings.Cut(expected, ": ")
	}
	switch {
	case strings.HasPrefix(what, "unexpected "):
		what = strings.TrimPrefix(what, "unexpected ")
		if e.At != "" && utf8.RuneCountInString(what) <= len(e.At) {
			what = strconv.Quote(what)
		}
		e.Sentence = "unexpected " + what + " at column " + strconv.Itoa(e.Column)
	default:
		e.Sentence = strings.TrimSpace(what + " at column " + strconv.Itoa(e.Column))
	}
	if rest, ok := strings.CutPrefix(expected, "expected "); ok {
		e.Sentence += ", expected " + rest
	} else if expected != "" {
		e.Sentence += ": " + expected
	}
	return e
}
