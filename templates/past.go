package templates

import (
	"net/url"
	"time"

	"muster/grouping"
)

// Past says that a page shows a past state. Site.Now is the time of that state.
type Past struct {
	Clock      time.Time // the time of the page
	KnownSince time.Time // the history begins then; zero: not known
	// Gap is the gap that contains the time of the state, or nil.
	Gap *grouping.Gap
	// CausesKnown reports whether Muster knows what suppressed alerts at that time.
	CausesKnown bool
	// Missing says that the time is before the history begins.
	Missing bool
	// Before and After are the events next to the time of the state.
	Before, After NextEvent
}

// NextEvent is the time of an event next to the time of a past state. If it is zero, there is
// no event until Searched. If that is zero too, there is none at all.
type NextEvent struct{ At, Searched time.Time }

// PastBanner is the part of a page that says that the page shows a past state.
type PastBanner struct {
	Ms     int64
	When   string // Thu Nov 26, 02:55:00 UTC
	ISO    string
	Ago    Moment
	Steps  []PastStep
	Now    string // leads to the present
	Action string // of the form
	Fields []Option
	Value  string // of the field
	Says   string
	// Warnings are sentences about what the page does not know.
	Warnings []string
}

// PastStep leads to the same page at another time. Href is empty if there is none.
type PastStep struct {
	Before, Text, Time, After string
	Name                      string // says the text in full
	Href, Key                 string
}

// The steps to other times.
const (
	quarter = 15 * time.Minute
	// earlierAt is the time to which the clock of a page of the present leads.
	earlierAt = "-15m"
)

// isPast reports whether the pages show a past state.
func (s *Site) isPast() bool { return s.Past != nil }

// clock returns the time of the page, also if it shows a past state.
func (s *Site) clock() time.Time {
	if s.isPast() {
		return s.Past.Clock
	}
	return s.Now
}

// setPage sets what leads to the same page at another time. page returns the page's URL.
func (f *Frame) setPage(s *Site, page func(Links) string) {
	earlier := s.Links.Now()
	earlier.At = earlierAt
	f.Earlier, f.HasPast = page(earlier), true
	if s.isPast() {
		f.Past = s.pastBanner(page)
	}
}

func (s *Site) pastBanner(page func(Links) string) *PastBanner {
	past := s.Past
	b := &PastBanner{
		Ms: s.Now.UnixMilli(), When: s.Now.UTC().Format("Mon Jan 2, 15:04:05") + " UTC", ISO: s.Now.UTC().Format(time.RFC3339),
		Ago: newMoment(s.Now, past.Clock), Now: page(s.Links.Now()), Value: s.Now.UTC().Format("2006-01-02T15:04:05"),
	}
	if s.Now.Year() != past.Clock.Year() {
		b.When = s.Now.UTC().Format("Mon Jan 2 2006, 15:04:05") + " UTC"
	}
	b.Steps = s.pastSteps(page)
	b.Says, b.Warnings = s.saysOfPast()
	if u, err := url.Parse(b.Now); err == nil {
		b.Action = u.EscapedPath()
		query := u.Query()
		for _, name := range sortedKeys(query) {
			for _, value := range query[name] {
				b.Fields = append(b.Fields, Option{Value: value, Text: name})
			}
		}
	}
	return b
}

// saysOfPast returns the sentences of the banner.
func (s *Site) saysOfPast() (says string, warnings []string) {
	past := s.Past
	if past.Missing {
		return "", []string{"That is before the history begins (" + formatClock(past.KnownSince, past.Clock) + ")."}
	}
	if g := past.Gap; g != nil {
		warnings = append(warnings, "No data "+gapSpan(*g, s.Now)+": this is the state of "+clockPhrase(g.From, s.Now).Text+".")
	}
	if !past.CausesKnown {
		warnings = append(warnings, "Causes of suppression are not known for this time.")
	}
	return "Ages count to that time. Live updates, acknowledging and silencing are off.", warnings
}

func (s *Site) pastSteps(page func(Links) string) []PastStep {
	past := s.Past
	href := func(at time.Time) string { return page(s.Links.Then(at)) }
	by := func(text, name, key string, d time.Duration) PastStep {
		step := PastStep{Text: text, Name: name, Key: key}
		if at := s.Now.Add(d); !at.After(past.Clock) && !at.Before(past.KnownSince) {
			step.Href = href(at)
		}
		return step
	}
	before, after := s.eventStep(past.Before, href), s.eventStep(past.After, href)
	before.Before, before.Name, before.Key = "‹ ", "previous event", "["
	after.After, after.Name, after.Key = " ›", "next event", "]"
	return []PastStep{
		before,
		by("−1h", "1 hour back", "", -time.Hour), by("−15m", "15 minutes back", "-", -quarter),
		by("+15m", "15 minutes on", "", quarter), by("+1h", "1 hour on", "", time.Hour),
		after,
	}
}

// eventStep leads to an event, or as far as one was searched.
func (s *Site) eventStep(e NextEvent, href func(time.Time) string) PastStep {
	switch {
	case !e.At.IsZero():
		return PastStep{Text: "event ", Time: s.clockOfStep(e.At), Href: href(e.At)}
	case !e.Searched.IsZero():
		return PastStep{Text: "no event until ", Time: s.clockOfStep(e.Searched), Href: href(e.Searched)}
	default:
		return PastStep{Text: "no event"}
	}
}

// clockOfStep writes a time with seconds. It has a date if the day is not that of the state.
func (s *Site) clockOfStep(at time.Time) string {
	const day = 24 * time.Hour
	at = at.UTC()
	if at.Truncate(day).Equal(s.Now.UTC().Truncate(day)) {
		return at.Format("15:04:05")
	}
	return at.Format("Jan 2 15:04:05")
}

// pastTitle returns the title of a page of a past state.
func (s *Site) pastTitle(title string) string {
	return "[" + s.Now.UTC().Format("15:04") + "] " + title
}

// ago returns the word after an age that counts from a past event.
func (s *Site) ago() string {
	if s.isPast() {
		return "before"
	}
	return "ago"
}

// was returns the word for the present or for a past state: "is" or "was".
func (s *Site) was(present, past string) string {
	if s.isPast() {
		return past
	}
	return present
}

// badAtText says that the parameter at cannot be used.
const badAtText = "The time cannot be read. Examples: 2026-11-26 02:55, -1h30m"

// NewBeforePage makes the page for a time before the history begins. page returns the URL of
// the page that was asked for.
func NewBeforePage(s *Site, page func(Links) string) *ProblemPage {
	since := s.Past.KnownSince
	p := newProblem(s, codeNotFound, "Muster does not know this time",
		"The history begins "+since.UTC().Format("Mon Jan 2 2006, 15:04:05")+" UTC. Events before that are not stored.")
	p.setPage(s, page)
	p.Links = s.Links.Now() // the list of that time would be this page again
	p.Begin = page(s.Links.Then(roundUp(since)))
	return p
}

// roundUp returns the first whole millisecond that is not before the time.
func roundUp(t time.Time) time.Time {
	if whole := t.Truncate(time.Millisecond); whole.Before(t) {
		return whole.Add(time.Millisecond)
	}
	return t
}
