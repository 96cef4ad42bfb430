package query

import (
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

// Params are the parameters of one request. Its methods read one each and keep
// what is wrong with it. It is for use by one goroutine.
type Params struct {
	values   url.Values
	read     []string
	problems []Problem
}

// Problem is what is wrong with a parameter.
type Problem struct {
	Parameter string // "": the query as a whole
	Sentence  string
}

func (p Problem) String() string {
	if p.Parameter == "" {
		return p.Sentence
	}
	return p.Parameter + ": " + p.Sentence
}

// Error is all that is wrong with a query. It is a grouping.ErrBadQuery.
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

// Parse decodes the query of a URL.
func Parse(raw string) *Params {
	values, err := url.ParseQuery(raw)
	p := Of(values)
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "semicolon"):
		p.Fault("", "the query cannot be decoded: write a semicolon as %3B")
	default:
		p.Fault("", "the query cannot be decoded: "+err.Error())
	}
	return p
}

// Of returns parameters that are decoded already.
func Of(values url.Values) *Params { return &Params{values: values} }

// Fault keeps a problem of a parameter.
func (p *Params) Fault(name, sentence string) {
	p.problems = append(p.problems, Problem{name, sentence})
}

// Err returns what is wrong with the parameters, those included that no method
// has read: nothing here knows them.
func (p *Params) Err() error {
	problems := slices.Clone(p.problems)
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if !slices.Contains(p.read, name) {
			problems = append(problems, Problem{Sentence: "unknown parameter " + quoted(name) + ", " + p.known()})
		}
	}
	const most = 5 // more help nobody
	if problems = problems[:min(most, len(problems))]; len(problems) > 0 {
		return &Error{problems}
	}
	return nil
}

func (p *Params) known() string {
	if len(p.read) == 0 {
		return "none is known here"
	}
	return "known are " + strings.Join(slices.Sorted(slices.Values(p.read)), ", ")
}

// All returns the values of a parameter that may be repeated. An empty value,
// as a form sends it, asks for nothing.
func (p *Params) All(name string) []string {
	p.read = append(p.read, name)
	return slices.DeleteFunc(slices.Clone(p.values[name]), func(s string) bool { return s == "" })
}

// Text returns the value of a parameter that may be there once.
func (p *Params) Text(name string) string {
	values := p.All(name)
	switch len(values) {
	case 0:
		return ""
	case 1:
		return values[0]
	default:
		p.Fault(name, "is there "+strconv.Itoa(len(values))+" times, only one is allowed")
		return ""
	}
}

// List returns the values of a parameter that may be repeated or joined by
// commas, each once.
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

// Choice returns one of the allowed words, or "".
func (p *Params) Choice(name string, allowed []string) string {
	text := p.Text(name)
	if text != "" && !slices.Contains(allowed, text) {
		p.Fault(name, quoted(text)+" is not one of "+strings.Join(allowed, ", "))
		return ""
	}
	return text
}

// Choices returns those of the allowed words that are asked for, each once.
func (p *Params) Choices(name string, allowed []string) []string {
	all := p.List(name)
	for _, word := range all {
		if !slices.Contains(allowed, word) {
			p.Fault(name, quoted(word)+" is not one of "+strings.Join(allowed, ", "))
			return nil
		}
	}
	return all
}

// Number returns a number between least and most, or 0 if none is given.
func (p *Params) Number(name string, least, most int) int {
	text := p.Text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		p.Fault(name, fmt.Sprintf("%s is not a number between %d and %d", quoted(text), least, most))
		return 0
	}
	return n
}

// Bool returns whether something is asked for.
func (p *Params) Bool(name string) bool {
	text := p.Text(name)
	if text == "" {
		return false
	}
	is, err := strconv.ParseBool(text)
	if err != nil {
		p.Fault(name, quoted(text)+" is neither true nor false")
	}
	return is
}

// layouts are how a moment can be written beside RFC 3339, in UTC: by people,
// and by a browser's field.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02",
}

// Time returns a moment: RFC 3339, 2006-01-02 15:04 in UTC, Unix seconds, or how
// long before now it was, as 1h30m, -1h30m or 7d. Without one it is zero.
func (p *Params) Time(name string, now time.Time) time.Time {
	text := p.Text(name)
	if text == "" {
		return time.Time{}
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 1<<37 {
		return time.UnixMilli(int64(seconds * 1000)).UTC()
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	if ago, err := model.ParseDuration(strings.TrimPrefix(text, "-")); err == nil {
		return now.Add(-time.Duration(ago)).UTC()
	}
	p.Fault(name, quoted(text)+" is not a time: use RFC 3339, 2006-01-02 15:04 (UTC), Unix seconds, or -1h30m and 7d for so long ago")
	return time.Time{}
}

// quoted is the beginning of a value that a client sent, for a sentence.
func quoted(s string) string {
	const most = 40
	runes := []rune(s)
	if len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return strconv.QuoteToGraphic(s)
}
