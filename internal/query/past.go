package query

import "time"

// Past is the time of a past state.
type Past struct {
	At  time.Time // zero: the present
	Err string    // why the time cannot be used; At is zero then
}

// Past reads at, the time of a past state. It stores an error in the result, because a
// page then shows the present beside the error.
func (p *Params) Past(now time.Time) Past {
	text := p.Text("at")
	if text == "" {
		return Past{}
	}
	at, ok := parseTime(text, now)
	switch {
	case !ok:
		return Past{Err: notATime(text)}
	case at.After(now):
		return Past{Err: quote(text) + " is in the future"}
	case at.Before(epoch): // the zero time would mean the present
		at = epoch
	}
	return Past{At: at}
}

// epoch is earlier than every event.
var epoch = time.Unix(0, 0).UTC()

// PastTime reads at like Past. It records an error as a problem.
func (p *Params) PastTime(now time.Time) time.Time {
	past := p.Past(now)
	if past.Err != "" {
		p.AddProblem("at", past.Err)
	}
	return past.At
}
