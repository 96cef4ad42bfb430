package templates

import (
	"strconv"
	"strings"
	"time"

	"muster/grouping"
	"muster/internal/query"
)

// SilenceFormPage is the form for a new silence, with what it would mute.
type SilenceFormPage struct {
	Frame

	Back     TextLink
	Action   string
	Problem  string // why nothing was created
	Answered string // what Alertmanager said
	Cannot   string // why nothing can be created now; "": it can
	Sources  []Option
	Hidden   []Option

	Text        string
	Err         *query.FilterError
	BadMatchers string
	For         []Option
	OtherFor    bool
	UntilFor    bool
	Length      string
	Until       string
	BadEnd      string
	EndsAt      string
	Comment     string
	BadComment  string
	As          grouping.Person
	AsksName    bool
	Name        string
	BadName     string

	Preview *SilencePreview
}

// SilencePreview says what a new silence would mute.
type SilencePreview struct {
	Title, Says    string
	Past, PastHref string
	Warnings       []SilenceWarning
	Rows           []SilencedRow
	More           string
}

// SilenceWarning is a warning about matchers, with the groups that it is about.
type SilenceWarning struct {
	Text   string
	Groups []TextLink
	More   string
}

// SilenceFormInput is what a SilenceFormPage shows. An empty text says that there is no problem.
type SilenceFormInput struct {
	Form  query.SilenceForm
	Group *grouping.AlertGroup // nil: the person came from no group
	// Checked is true if the person asked to create the silence. Otherwise fields that are
	// empty are no problem yet.
	Checked bool
	// Status is the code of the answer, and Problem says why nothing was created. Answered is
	// what Alertmanager said.
	Status            int
	Problem, Answered string
	By                grouping.Person // zero: the person has to type a name
	BadName           string
	Preview           *grouping.SilencePreview // nil: the matchers cannot be used
	// Firings is the number of firings in the last seven days that match. It is negative if
	// it is not known. FiredAlerts is the number of their alerts. Since is when the history
	// begins, if that is later.
	Firings     int
	FiredAlerts int
	Since       time.Time
}

// maxPreviewed is the maximum number of alerts that a preview shows.
const maxPreviewed = 20

// Previewed returns what the form posts about a preview: its hash and its number of alerts.
func Previewed(p *grouping.SilencePreview) string { return p.Hash + "." + strconv.Itoa(len(p.Alerts)) }

// Alerts returns a number of alerts in words.
func Alerts(n int) string { return plural(n, "alert", "alerts") }

// NewSilenceFormPage makes the form for a new silence.
func NewSilenceFormPage(s *Site, in *SilenceFormInput) *SilenceFormPage {
	f := &in.Form
	p := &SilenceFormPage{
		Frame: s.newFrame("silences", "New silence"), Action: s.Links.NewSilence(), Back: TextLink{Text: "Silences", Href: s.Links.Silences()},
		Problem: in.Problem, Answered: in.Answered, Cannot: s.cannotAsk(f.Source), Text: f.Text(), Err: f.Err,
		OtherFor: f.For == query.SilenceForOther, UntilFor: f.For == query.SilenceForUntil, Length: f.Length, Until: f.Until,
		Comment: f.Comment, As: in.By, AsksName: in.By.Name == "" || !in.By.Verified, Name: f.By, BadName: asSentence(in.BadName),
	}
	p.status, p.Still = in.Status, true
	if g := in.Group; g != nil {
		p.Back = TextLink{Text: title(g, grouping.Labels{}), Href: s.Links.Group(g.ID)}
		p.Hidden = append(p.Hidden, Option{Value: string(g.ID), Text: "group"})
	}
	if len(s.Silencing.Sources) > 1 {
		for _, name := range s.Silencing.Sources {
			p.Sources = append(p.Sources, Option{name, name, name == f.Source})
		}
	} else {
		p.Hidden = append(p.Hidden, Option{Value: f.Source, Text: "source"})
	}
	for _, d := range query.SilencePresets() {
		p.For = append(p.For, Option{d, d, f.For == d})
	}
	end, problem := f.End(s.Now)
	if p.BadEnd = problem; problem == "" {
		length := f.For
		if f.For == query.SilenceForUntil || f.For == query.SilenceForOther {
			length = Age(end.Sub(s.Now))
		}
		p.EndsAt = length + ": until " + clockPhrase(end, s.Now).Text + " UTC"
	}
	if p.BadMatchers = f.MatcherProblem(); !in.Checked && len(f.Texts) == 0 {
		p.BadMatchers = ""
	}
	if in.Checked {
		p.BadComment = f.CommentProblem()
	}
	if p.Err != nil && p.status == 0 {
		p.status = codeBadRequest
	}
	if in.Preview != nil {
		p.Hidden = append(p.Hidden, Option{Value: Previewed(in.Preview), Text: "previewed"})
		p.Preview = s.newPreview(in)
	}
	return p
}

func (s *Site) newPreview(in *SilenceFormInput) *SilencePreview {
	of := in.Preview
	p := &SilencePreview{Title: "Would mute " + plural(len(of.Alerts), "alert", "alerts") + " now"}
	var says []string
	if len(of.Alerts) > 0 {
		says = append(says, formatCount(of.Critical)+" critical, in "+plural(of.Groups, "group", "groups"))
	}
	if of.Suppressed > 0 {
		says = append(says, formatCount(of.Suppressed)+" more "+plainly(of.Suppressed, "is", "are")+" suppressed already")
	}
	if of.Unreported > 0 {
		says = append(says, formatCount(of.Unreported)+" more "+plainly(of.Unreported, "is", "are")+" unreported")
	}
	p.Says = strings.Join(says, "; ")
	s.setPreviewPast(p, in)
	warn := func(text string) { p.Warnings = append(p.Warnings, SilenceWarning{Text: text}) }
	if of.Every {
		warn("Every alert matches.")
	}
	if len(of.Alerts) == 0 {
		warn("No alert matches now.")
	}
	if of.Others > 0 {
		const maximum = 5
		w := SilenceWarning{Text: "These matchers also match " + plural(of.Others, "alert", "alerts") + " of " +
			plural(len(of.OtherGroups), "other group", "other groups") + ":"}
		for i, g := range of.OtherGroups {
			if i == maximum {
				w.More = "and " + formatCount(len(of.OtherGroups)-maximum) + " more"
				break
			}
			w.Groups = append(w.Groups, TextLink{Text: title(g, grouping.Labels{}), Href: s.Links.Group(g.ID)})
		}
		p.Warnings = append(p.Warnings, w)
	}
	for i, e := range of.Alerts {
		if i == maxPreviewed {
			p.More = "and " + formatCount(len(of.Alerts)-maxPreviewed) + " more"
			break
		}
		row := s.silencedRow(in.Form.Source, e.Group, e.Alert)
		row.Since = newMoment(e.Alert.Began(), s.Now)
		p.Rows = append(p.Rows, row)
	}
	return p
}

// setPreviewPast says how often alerts fired that the silence would have muted.
func (s *Site) setPreviewPast(p *SilencePreview, in *SilenceFormInput) {
	if in.Firings < 0 {
		return
	}
	since := "In the last 7 days"
	if !in.Since.IsZero() {
		since = "Since " + clockPhrase(in.Since, s.Now).Text + " UTC, when the history begins,"
	}
	p.Past = since + " these matchers would have muted " + plural(in.Firings, "firing", "firings")
	if in.Firings > 0 {
		p.Past += " of " + Alerts(in.FiredAlerts)
	}
	if s.manySources() {
		p.Past += " in all sources"
	}
	p.Past += "."
	if in.Firings > 0 {
		v := ReportView{Window: "7d"}
		v.Filter, v.By = in.Form.Filter, "alertname"
		p.PastHref = s.Links.Report(v)
	}
}
