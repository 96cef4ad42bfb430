package query

import (
	"iter"
	"regexp"
	"slices"
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
		if err == nil && slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return m.Name == "" }) {
			// Alertmanager's UTF-8 parser accepts it, but no parser accepts the text of such a matcher.
			err = &FilterError{Sentence: "a label name is empty", At: text}
		}
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
		text := strings.Join(words, " ")
		if strings.Contains(text, ",") {
			text = `"` + text + `"` // otherwise the comma would separate words
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// parseMatchers accepts what Alertmanager accepts in its default mode. It tries the
// UTF-8 parser first, then the classic one.
var parseMatchers = compat.FallbackMatchersParser(promslog.NewNopLogger())

func parseText(text string) (labels.Matchers, []string, *FilterError) {
	if !utf8.ValidString(text) { // Alertmanager's UTF-8 parser accepts it, but no alert has it
		return nil, nil, &FilterError{Sentence: "the filter is not valid UTF-8", At: text}
	}
	ms, err := parseMatchers(text, "filter")
	if err == nil && (len(ms) > 0 || noRestriction.MatchString(text)) {
		return ms, nil, nil
	}
	if _, err = parse.Matchers(text); err == nil { // a single brace, for example, which would restrict nothing
		return nil, nil, &FilterError{Sentence: "the filter has neither a matcher nor a word", At: text}
	}
	if strings.ContainsAny(text, "{}") {
		return nil, nil, newFilterError(text, err)
	}
	words, rest, ok := splitWords(text)
	if !ok {
		return nil, nil, newFilterError(text, err)
	}
	if strings.TrimSpace(rest) != "" {
		if ms, err = parseMatchers(rest, "filter"); err != nil {
			_, err = parse.Matchers(rest) // its error has the column
			return nil, nil, newFilterError(text, err)
		}
	}
	if len(ms)+len(words) == 0 {
		return nil, nil, &FilterError{Sentence: "the filter has neither a matcher nor a word", At: text}
	}
	return ms, words, nil
}

// noRestriction matches empty braces, which match every alert in Alertmanager.
var noRestriction = regexp.MustCompile(`^\s*\{\s*\}\s*$`)

// splitWords returns the words of the parts that are no matchers, and the text with spaces in
// place of these parts. So all matchers are parsed together, as Alertmanager does, and an error
// has the right column. It returns false if the text has no such part.
func splitWords(text string) (words []string, rest string, ok bool) {
	var matchers strings.Builder
	found := false
	for comma, part := range filterParts(text) {
		if strings.ContainsAny(part, "=~!") {
			if comma != "" && !found {
				comma = " "
			}
			found = true
			matchers.WriteString(comma + part)
			continue
		}
		matchers.WriteString(strings.Repeat(" ", utf8.RuneCountInString(comma+part)))
		words = append(words, strings.Fields(strings.ReplaceAll(part, `"`, " "))...)
		ok = ok || strings.TrimSpace(part) != ""
	}
	return words, matchers.String(), ok
}

// filterParts yields the parts of a filter, and the comma before each. In a text that one of
// Alertmanager's parsers accepts, the commas are those at which it splits.
func filterParts(text string) iter.Seq2[string, string] {
	return func(yield func(comma, part string) bool) {
		comma, start, quoted, escaped := "", 0, false, false
		for i, r := range text {
			switch {
			case r == ',' && !quoted:
				if !yield(comma, text[start:i]) {
					return
				}
				comma, start = ",", i+1
			case r == '"' && !escaped:
				quoted = !quoted
			}
			escaped = r == '\\' && !escaped
		}
		yield(comma, text[start:])
	}
}

// columnRange matches the start of an error of Alertmanager's parser: the columns of
// the first wrong character and of the end.
var columnRange = regexp.MustCompile(`^(\d+):(\d+): `)

// newFilterError turns an error of Alertmanager's parser into a sentence.
func newFilterError(text string, err error) *FilterError {
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
	runes := []rune(text)
	from, to = min(from, len(runes)), min(max(to, from+1), len(runes))
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
