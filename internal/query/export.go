package query

import (
	"cmp"
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
	allowed := textsOf([]Format{FormatJSON, FormatCSV, FormatNDJSON})
	format := cmp.Or(Format(p.Choice("format", allowed)), FormatJSON)
	if format != FormatJSON && p.values.Get("cursor") != "" {
		p.AddProblem("cursor", "an answer as "+string(format)+" has no pages")
	}
	return format
}

// Follow reads follow: whether the answer goes on with what happens later. Format must be
// read too.
func (p *Params) Follow() bool {
	if !p.Bool("follow") {
		return false
	}
	if p.values.Get("format") != string(FormatNDJSON) {
		p.AddProblem("follow", "only possible with format="+string(FormatNDJSON))
	}
	if p.values.Get("until") != "" {
		p.AddProblem("until", "not possible with follow, which has no end")
	}
	return true
}

// limit reads limit. A page has a maximum of entries, a file does not.
func (p *Params) limit() int {
	maximum := grouping.MaxLimit
	if format := Format(p.values.Get("format")); format == FormatCSV || format == FormatNDJSON {
		maximum = math.MaxInt32
	}
	return p.Number("limit", 1, maximum)
}
