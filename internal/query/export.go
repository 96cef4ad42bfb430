package query

import (
	"math"

	"muster/grouping"
)

// Format is the form of an answer of the API.
type Format string

// The values of the parameter format.
const (
	FormatJSON   Format = "json"
	FormatCSV    Format = "csv"
	FormatNDJSON Format = "ndjson" // a JSON value per line
)

// Format reads format. The default is JSON. The other forms are files. They are written as
// a whole and have no pages, so Format rejects a cursor for them.
func (p *Params) Format() Format {
	p.Choice("format", textsOf([]Format{FormatJSON, FormatCSV, FormatNDJSON}))
	format := p.format()
	if format != FormatJSON && p.peek("cursor") != "" {
		p.AddProblem("cursor", "an answer as "+string(format)+" has no pages")
	}
	return format
}

// format returns the form of the answer, without a check. The form is JSON if the parameter has
// another value, which Format rejects.
func (p *Params) format() Format {
	if format := Format(p.peek("format")); format == FormatCSV || format == FormatNDJSON {
		return format
	}
	return FormatJSON
}

// Follow reads follow: whether the answer goes on with what happens later. Format must be
// read too.
func (p *Params) Follow() bool {
	if !p.Bool("follow") {
		return false
	}
	if p.format() != FormatNDJSON {
		p.AddProblem("follow", "only possible with format="+string(FormatNDJSON))
	}
	if p.peek("until") != "" {
		p.AddProblem("until", "not possible with follow, which has no end")
	}
	return true
}

// limit reads limit. A page has a maximum of entries, a file does not.
func (p *Params) limit() int {
	maximum := grouping.MaxLimit
	if p.format() != FormatJSON {
		maximum = math.MaxInt32
	}
	return p.Number("limit", 1, maximum)
}
