package query

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/promslog"
)

// FilterError says what is wrong with a filter, and where.
type FilterError struct {
	Sentence string // for example: unexpected "=" at column 11, expected label value
	Column   int    // column of the first wrong character, from 1; 0 means unknown
	// Before, At and After are the filter's text before, at and after the wrong
	// characters.
	Before, At, After string
}

func (e *FilterError) Error() string { return e.Sentence }

// Filter is the content of all filter parameters of a request.
type Filter struct {
	Texts    []string // as the user typed them
	Matchers labels.Matchers
	Words    []string
	Err      *FilterError // the first error in the texts; Matchers and Words are empty then
}

// Brief returns the sentence, truncated to fit into an error text.
func (e *FilterError) Brief() string {
	const maxRunes = 100
	if runes := []rune(e.Sentence); len(runes) > maxRunes {
		return string(runes[:maxRunes]) + "…"
	}
	return e.Sentence
}

// Filter reads the parameter filter, which may be repeated.
func (p *Params) Filter() Filter { return ParseFilter(p.All("filter")) }

// ParseFilter parses each text separately. A text has Alertmanager matchers and plain
// words, separated by commas. An alert must match all of them.
func ParseFilter(texts []string) Filter {
	var f Filter
	for _, text := range texts {
		if strings.TrimSpace(text) == "" {
			continue
		}
		ms, words, err := parseText(text)
		if err != nil && f.Err == nil {
			f.Err = err
		}
		f.Texts, f.Matchers, f.Words = append(f.Texts, text), append(f.Matchers, ms...), append(f.Words, words...)
	}
	if f.Err != nil {
		f.Matchers, f.Words = nil, nil
	}
	return f
}

// Text returns the whole filter as one text. If it has an error, that is the text
// that the user typed.
func (f *Filter) Text() string {
	if f.Err != nil {
		return strings.Join(f.Texts, ", ")
	}
	return filterText(f.Matchers, f.Words)
}

// filterText returns matchers and words as the text of a filter.
func filterText(ms labels.Matchers, words []string) string {
	parts := make([]string, 0, len(ms)+1)
	for _, m := range ms {
		parts = append(parts, m.String())
	}
	if len(words) > 0 {
		parts = append(parts, strings.Join(words, " "))
	}
	return strings.Join(parts, ", ")
}

// parseMatchers accepts what Alertmanager accepts in its default mode. It tries the
// UTF-8 parser first, then the classic one.
var parseMatchers = compat.FallbackMatchersParser(promslog.NewNopLogger())

func parseText(text string) (labels.Matchers, []string, *FilterError) {
	ms, err := parseMatchers(text, "filter")
	if err == nil && (len(ms) > 0 || noRestriction.MatchString(text)) {
		return ms, nil, nil
	}
	if _, err = parse.Matchers(text); err == nil { // a single brace, for example, which would restrict nothing
		return nil, nil, &FilterError{Sentence: "the filter has neither a matcher nor a word", At: text}
	}
	parts := splitFilter(text)
	bare := false
	for _, p := range parts {
		bare = bare || !hasOperator(p.text)
	}
	if !bare || strings.ContainsAny(text, "{}") {
		return nil, nil, newFilterError(text, err, 0)
	}
	ms = nil
	var words []string
	for _, p := range parts {
		if !hasOperator(p.text) {
			words = append(words, strings.Fields(strings.ReplaceAll(p.text, `"`, " "))...)
			continue
		}
		more, err := parseMatchers(p.text, "filter")
		if err != nil {
			_, err = parse.Matcher(p.text) // its error has the column
			return nil, nil, newFilterError(text, err, p.column)
		}
		ms = append(ms, more...)
	}
	if len(ms)+len(words) == 0 {
		return nil, nil, &FilterError{Sentence: "the filter has neither a matcher nor a word", At: text}
	}
	return ms, words, nil
}

// noRestriction matches empty braces, which match every alert in Alertmanager.
var noRestriction = regexp.MustCompile(`^\s*\{\s*\}\s*$`)

func hasOperator(s string) bool { return strings.ContainsAny(s, "=~!") }

type filterPart struct {
	text   string
	column int // column of its first character, from 0
}

// splitFilter splits a filter at the commas outside of quotes.
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

// columnRange matches the start of an error of Alertmanager's parser: the columns of
// the first wrong character and of the end.
var columnRange = regexp.MustCompile(`^(\d+):(\d+): `)

// newFilterError turns an error of Alertmanager's parser into a sentence. The parser
// counts columns from offset.
func newFilterError(text string, err error, offset int) *FilterError {
	message := err.Error()
	at := columnRange.FindStringSubmatch(message)
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
	if strings.HasPrefix(expected, "missing end") { // the rest adds nothing
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
