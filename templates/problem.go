package templates

import (
	"strings"

	"muster/grouping"
	"muster/internal/query"
)

// ProblemPage replaces a page that Muster cannot show.
type ProblemPage struct {
	Frame

	Heading   string
	Text      string
	Problems  []string
	LastSeen  Moment
	History   string // link to the events of the group or alert
	Search    string // target of the search form
	Begin     string // leads to the beginning of the history
	Silences  string // link to the list of silences
	RequestID string
}

// NewGonePage makes the page for a group or an alert that Muster does not have
// (any more). events are its events in the history, newest first.
func NewGonePage(s *Site, id grouping.ID, fp grouping.Fingerprint, events []grouping.Event) *ProblemPage {
	what, name, page := "group", string(id), GroupView{Range: rangeEpisode}.Page(id)
	if fp != "" {
		what, name, page = "alert", string(fp), AlertView{}.Page(fp)
	}
	if s.isPast() {
		p := newProblem(s, codeNotFound, "No "+what+" "+name+" at that time", "It began later, or it was removed before.")
		p.setPage(s, page)
		return p
	}
	p := newProblem(s, codeNotFound, "No "+what+" "+name,
		"It may be deleted. Resolved groups are kept for "+formatDuration(s.Retention)+".")
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

// NewNoSilencePage makes the page for a silence that Muster does not know.
func NewNoSilencePage(s *Site, id string) *ProblemPage {
	p := newProblem(s, codeNotFound, "No silence "+shorten(id), "Muster does not know it. Alertmanager may have removed it long ago.")
	p.Silences = s.Links.Silences()
	return p
}

// NewRefusedPage makes the page for a person who may not do something.
func NewRefusedPage(s *Site, code int, text string) *ProblemPage {
	p := newProblem(s, code, "You cannot do this", strings.ToUpper(text[:min(1, len(text))])+text[min(1, len(text)):]+".")
	p.Silences = s.Links.Silences()
	return p
}

// NewNotFoundPage makes the page for an unknown path.
func NewNotFoundPage(s *Site) *ProblemPage {
	p := newProblem(s, codeNotFound, "Page not found", "The address is not correct.")
	p.Search = s.Links.Home()
	return p
}

// NewErrorPage makes the page for an error in Muster, with the HTTP status code. It
// does not show the error: the log has it under the request ID.
func NewErrorPage(s *Site, code int, requestID string) *ProblemPage {
	p := newProblem(s, code, "This page is not available",
		"An error happened in Muster. Alertmanager is not affected, and Muster still accepts notifications.")
	p.RequestID = requestID
	return p
}

// NewBusyPage makes the page for a request that Muster has no room for, with the HTTP status code.
func NewBusyPage(s *Site, code int) *ProblemPage {
	return newProblem(s, code, "Muster is busy", "Too many people read long times of the history at once. Try again soon.")
}

// NewBadQueryPage lists what is wrong with the parameters of a URL. It lists no
// groups, because without the wrong parameter the list would be too long.
func NewBadQueryPage(s *Site, problems []string) *ProblemPage {
	p := newProblem(s, codeBadRequest, "Invalid address", "Parts of the address are not valid:")
	p.Problems, p.Search = problems, s.Links.Home()
	return p
}

func newProblem(s *Site, code int, heading, text string) *ProblemPage {
	p := &ProblemPage{Frame: s.newFrame("", heading), Heading: heading, Text: text}
	p.status = code
	return p
}
