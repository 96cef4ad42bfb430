package query

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"muster/grouping"
)

// Params are the parameters of one request. Each method reads one parameter and
// records its problems, which Err returns. It is not safe for concurrent use.
type Params struct {
	values   url.Values
	known    []string // names of the parameters that were read
	problems []Problem
}

// Problem says what is wrong with a parameter.
type Problem struct {
	Parameter string // "" means the whole query
	Sentence  string
}

func (p Problem) String() string {
	if p.Parameter == "" {
		return p.Sentence
	}
	return p.Parameter + ": " + p.Sentence
}

// Error has all problems of a query. It is a grouping.ErrBadQuery.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.String()
	}
	return grouping.ErrBadQuery.Error() + ": " + strings.Join(texts, "; ")
}

// Is makes an Error a grouping.ErrBadQuery.
func (e *Error) Is(target error) bool { return target == grouping.ErrBadQuery }

// Parse decodes the query string of a URL. A decoding error becomes a problem.
func Parse(raw string) *Params {
	values, err := url.ParseQuery(raw)
	p := Of(values)
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "semicolon"):
		p.AddProblem("", "the query cannot be decoded: write a semicolon as %3B")
	default:
		p.AddProblem("", "the query cannot be decoded: "+err.Error())
	}
	return p
}

// Of returns Params for values that are already decoded.
func Of(values url.Values) *Params { return &Params{values: values} }

// AddProblem records a problem of a parameter. An empty name means the whole query.
func (p *Params) AddProblem(name, sentence string) {
	p.problems = append(p.problems, Problem{name, sentence})
}

// Err returns the problems of all parameters as an *Error, or nil. A parameter that
// no method has read is unknown, which is a problem, too.
func (p *Params) Err() error {
	problems := slices.Clone(p.problems)
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if !slices.Contains(p.known, name) {
			problems = append(problems, Problem{Sentence: "unknown parameter " + quote(name) + ", " + p.knownNames()})
		}
	}
	const maxProblems = 5 // a longer list is hard to read
	if problems = problems[:min(maxProblems, len(problems))]; len(problems) > 0 {
		return &Error{problems}
	}
	return nil
}

func (p *Params) knownNames() string {
	if len(p.known) == 0 {
		return "no parameters are supported here"
	}
	return "supported are " + strings.Join(slices.Sorted(slices.Values(p.known)), ", ")
}

// All returns the values of a repeatable parameter. It ignores empty values, which
// forms send.
func (p *Params) All(name string) []string {
	p.known = append(p.known, name)
	return slices.DeleteFunc(slices.Clone(p.values[name]), func(s string) bool { return s == "" })
}

// peek returns the first value of a parameter that another method reads, or "".
func (p *Params) peek(name string) string { return cmp.Or(p.values[name]...) }

// Text returns the value of a parameter that is not repeatable, or "".
func (p *Params) Text(name string) string {
	values := p.All(name)
	switch len(values) {
	case 0:
		return ""
	case 1:
		return values[0]
	default:
		p.AddProblem(name, "given "+strconv.Itoa(len(values))+" times, only one value is allowed")
		return ""
	}
}

// KeepLast ignores all values of a parameter but the last one that is not empty. A form can
// have two fields with one name.
func (p *Params) KeepLast(name string) {
	if all := p.All(name); len(all) > 1 {
		p.values[name] = all[len(all)-1:]
	}
}

// List returns the values of a parameter that may be repeated or separated by
// commas, without duplicates.
func (p *Params) List(name string) []string {
	var all []string
	for _, text := range p.All(name) {
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" && !slices.Contains(all, item) {
				all = append(all, item)
			}
		}
	}
	return all
}

// Labels returns the labels in a repeatable parameter. Each value has the form
// name=value. Without a sign, the value of the label is empty.
func (p *Params) Labels(name string) grouping.Labels {
	var list []grouping.Label
	for _, pair := range p.All(name) {
		label, value, _ := strings.Cut(pair, "=")
		list = append(list, grouping.Label{Name: label, Value: value})
	}
	return grouping.LabelsOf(list)
}

// Choice returns one of the allowed words, or "".
func (p *Params) Choice(name string, allowed []string) string {
	text := p.Text(name)
	if text != "" && !slices.Contains(allowed, text) {
		p.AddProblem(name, quote(text)+" is not one of "+strings.Join(allowed, ", "))
		return ""
	}
	return text
}

// Choices returns the values of a parameter like List. Each must be one of the
// allowed words.
func (p *Params) Choices(name string, allowed []string) []string {
	all := p.List(name)
	for _, word := range all {
		if !slices.Contains(allowed, word) {
			p.AddProblem(name, quote(word)+" is not one of "+strings.Join(allowed, ", "))
			return nil
		}
	}
	return all
}

// Number returns a number between minimum and maximum, or 0 if the parameter is not
// given.
func (p *Params) Number(name string, minimum, maximum int) int {
	text := p.Text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < minimum || n > maximum {
		p.AddProblem(name, fmt.Sprintf("%s is not a number between %d and %d", quote(text), minimum, maximum))
		return 0
	}
	return n
}

// Bool returns the value of a boolean parameter, or false if it is not given.
func (p *Params) Bool(name string) bool {
	text := p.Text(name)
	if text == "" {
		return false
	}
	is, err := strconv.ParseBool(text)
	if err != nil {
		p.AddProblem(name, quote(text)+" is neither true nor false")
	}
	return is
}

// layouts are the accepted formats of a time. Those without a zone are in UTC. People
// write them, and the time fields of browsers send them.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02",
}

// Time returns a time, or the zero time if the parameter is not given. It accepts
// RFC 3339, 2006-01-02 15:04 in UTC, Unix seconds, and durations before now: 1h30m,
// -1h30m or 7d.
func (p *Params) Time(name string, now time.Time) time.Time {
	text := p.Text(name)
	if text == "" {
		return time.Time{}
	}
	t, ok := parseTime(text, now)
	if !ok {
		p.AddProblem(name, notATime(text))
	}
	return t
}

func parseTime(text string, now time.Time) (t time.Time, ok bool) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 1<<37 {
		return time.UnixMilli(int64(seconds * 1000)).UTC(), true
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	if ago, err := model.ParseDuration(strings.TrimPrefix(text, "-")); err == nil {
		return now.Add(-time.Duration(ago)).UTC(), true
	}
	return time.Time{}, false
}

func notATime(text string) string {
	return quote(text) +
		" is not a time: use RFC 3339, 2006-01-02 15:04 (UTC), Unix seconds, or a duration before now such as -1h30m or 7d"
}

// quote returns a value that a client sent, quoted and truncated for a sentence.
func quote(s string) string {
	const maxRunes = 40
	runes := []rune(s)
	if len(runes) > maxRunes {
		s = string(runes[:maxRunes]) + "…"
	}
	return strconv.QuoteToGraphic(s)
}
