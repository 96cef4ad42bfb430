package templates

import (
	"net/http"

	"muster/grouping"
	"muster/internal/query"
)

// ProblemPage stands in the place of a page that cannot be shown.
type ProblemPage struct {
	Frame

	Heading   string
	Text      string
	Problems  []string
	LastSeen  Moment
	History   string // where what is still known of it is listed
	Search    string // the list's filter
	RequestID string
}

// NewGonePage says that a group or an alert is not held (any more). events is
// what the history still knows of it, newest first.
func NewGonePage(s *Site, id grouping.ID, fp grouping.Fingerprint, events []grouping.Event) *ProblemPage {
	what, name := "group", string(id)
	if fp != "" {
		what, name = "alert", string(fp)
	}
	p := newProblem(s, http.StatusNotFound, "No "+what+" "+name,
		"It may have been deleted: resolved groups are kept for "+formatDuration(s.Retention)+".")
	p.Search = s.Links.Home()
	if len(events) > 0 {
		p.LastSeen = newMoment(events[0].Time, s.Now)
		p.History = s.Links.History(HistoryView{Events: query.Events{Group: id}})
		if fp != "" {
			p.History = s.Links.History(HistoryView{Events: query.Events{Fingerprint: fp}})
		}
	}
	return p
}

// NewNotFoundPage says that there is no such page.
func NewNotFoundPage(s *Site) *ProblemPage {
	p := newProblem(s, http.StatusNotFound, "No such page", "The address is wrong, or the page was moved.")
	p.Search = s.Links.Home()
	return p
}

// NewErrorPage says that something went wrong here, without what: that is in
// the log, under the request's ID.
func NewErrorPage(s *Site, code int, requestID string) *ProblemPage {
	p := newProblem(s, code, "This page cannot be shown", "Something went wrong in Muster. Alertmanager is not affected, and notifications are still taken in.")
	if code < http.StatusInternalServerError {
		p.Heading, p.Text = http.StatusText(code), "Muster cannot answer this request as it stands."
	}
	p.RequestID = requestID
	return p
}

// NewBadQueryPage says what is wrong with the parameters of the address. It
// lists nothing: whatever it listed would be more than was asked for.
func NewBadQueryPage(s *Site, problems []string) *ProblemPage {
	p := newProblem(s, http.StatusBadRequest, "This address cannot be understood", "Nothing is listed, since part of what it asks for is not known:")
	p.Problems, p.Search = problems, s.Links.Home()
	return p
}

func newProblem(s *Site, code int, heading, text string) *ProblemPage {
	p := &ProblemPage{Frame: s.newFrame("", heading), Heading: heading, Text: text}
	p.status = code
	return p
}
