package templates

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"

	"muster/grouping"
)

// FormKind is what a person does with a form.
type FormKind int

// The forms of a group's page.
const (
	FormAck FormKind = iota
	FormUnack
	FormNote
	FormClose
)

// formLook is how a page asks once more for what a form posts.
type formLook struct {
	action func(Links, grouping.ID) string
	button string
	text   string // name of the field with the text; empty: the form has no text
	label  string // of that field
}

var formLooks = map[FormKind]formLook{
	FormAck:   {Links.Ack, "Acknowledge", "note", "What you are doing (optional)"},
	FormUnack: {Links.Unack, "Undo the acknowledgement", "", ""},
	FormNote:  {Links.Notes, "Add note", "text", "Note"},
	FormClose: {Links.CloseGroup, "Close this group", "", ""},
}

// PersonInput is what a person posted with a form. A page that asks once more keeps it.
type PersonInput struct {
	Name, Text, Until, Episode, Ack, ID, List string
	// Groups are those of the form that acknowledges several, as it names them.
	Groups []string
}

// FormPage asks a person again for what Muster could not take.
type FormPage struct {
	Frame

	Heading string
	Says    string
	Phrases Phrases // after Says
	Back    string  // leads to the group, or to the list
	Action  string  // empty: the person cannot do it
	Button  string
	Hidden  []Option
	AskName bool
	BadName bool // the name is what is wrong
	Kept    PersonInput
	Text    string // name of the field with the text
	Label   string
	Until   []Option
}

// The HTTP status codes after which the same person need not try again.
const (
	codeForbidden        = 403
	codeMethodNotAllowed = 405
	codeTooLarge         = 413
)

// NewFormPage makes the page that asks again for what a form of a group posted. The sentence says
// why Muster could not take it.
func NewFormPage(s *Site, kind FormKind, id grouping.ID, status int, sentence string, kept PersonInput) *FormPage {
	look := formLooks[kind]
	p := newFormPage(s, status, sentence, kept)
	p.Button, p.Text, p.Label, p.Back = look.button, look.text, look.label, s.Links.Group(id)
	if status == codeForbidden || status == codeMethodNotAllowed || status == codeNotFound {
		return p
	}
	p.Action = look.action(s.Links, id)
	p.hide("episode", kept.Episode)
	p.hide("ack", kept.Ack)
	p.hide("id", kept.ID)
	p.hide("list", kept.List)
	if kind == FormAck {
		p.Until = untilChoices(kept.Until)
	}
	return p
}

func newFormPage(s *Site, status int, sentence string, kept PersonInput) *FormPage {
	p := &FormPage{Heading: "Not saved", Says: asSentence(sentence), Kept: kept, AskName: s.AsksNames}
	if p.BadName = status == codeBadRequest && isAboutName(sentence); p.BadName {
		p.Heading, p.AskName = "Who are you?", true
	}
	p.Frame = s.newFrame("groups", p.Heading)
	p.status, p.Still = cmp.Or(status, codeBadRequest), true
	return p
}

// isAboutName reports whether a refusal is about the name of the person.
func isAboutName(sentence string) bool { return strings.Contains(sentence, "name") }

func (p *FormPage) hide(name, value string) {
	if value != "" {
		p.Hidden = append(p.Hidden, Option{Text: name, Value: value})
	}
}

// AskForEpisode makes the page ask whether the form means the episode that runs now. The one that the
// person saw is over.
func (p *FormPage) AskForEpisode(s *Site, g *grouping.AlertGroup) {
	if !g.IsOpen() {
		p.Action = ""
		return
	}
	p.Phrases.say(" A new one began at ")
	p.Phrases.clock(g.Opened.Time(), s.Now)
	p.Phrases.say(". Do you mean that one?")
	for i := range p.Hidden {
		if p.Hidden[i].Text == "episode" {
			p.Hidden[i].Value = string(g.Opened)
		}
	}
}

// NewLongFormPage makes the page for a form that is too large to be read.
func NewLongFormPage(s *Site) *ProblemPage {
	p := newProblem(s, codeTooLarge, "This is too long", "Go back, shorten the text, and send it again. A note can have at most 4 KiB.")
	p.Still = true
	return p
}

// asSentence returns the text of an error as a sentence.
func asSentence(s string) string {
	if s == "" {
		return ""
	}
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:] + "."
}
