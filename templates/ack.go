package templates

import (
	"strconv"
	"time"

	"muster/grouping"
	"muster/internal/query"
)

// AckSection says who acknowledged a group, with the forms to acknowledge it and to undo that.
type AckSection struct {
	Says   Phrases
	New    bool   // alerts joined since
	Remark string // why the section has no form
	Spoken string // what a screen reader hears when it changes
	Form   *AckForm
	Undo   *AckUndo
}

// AckForm is the form that acknowledges a group.
type AckForm struct {
	Action  string
	Button  string
	Episode string
	AskName bool // Muster cannot verify names, so the form has a field for one
	Until   []Option
	Kept    PersonInput
}

// AckUndo is the form that undoes an acknowledgement. It is a button of the AckForm if there
// is one.
type AckUndo struct{ Action, Ack, Episode string }

// The choices of how long an acknowledgement lasts, as a form posts them.
const (
	untilOver    = ""
	untilMorning = "09:00"
)

var untilOptions = []Option{
	{Value: untilOver, Text: "until it is over"},
	{Value: "1h", Text: "for 1h"},
	{Value: "4h", Text: "for 4h"},
	{Value: untilMorning, Text: "until 09:00"},
}

// untilChoices returns the choices of how long an acknowledgement lasts.
func untilChoices(selected string) []Option {
	options := make([]Option, len(untilOptions))
	for i, o := range untilOptions {
		options[i] = Option{o.Value, o.Text, o.Value == selected}
	}
	return options
}

// notVerified stands beside a name that a person typed.
const notVerified = "not verified"

// person adds the name of a person.
func (ps *Phrases) person(p grouping.Person) {
	ps.name(p.Name)
	if !p.Verified {
		ps.say(" (" + notVerified + ")")
	}
}

// age adds the age of an event, with the word after it.
func (ps *Phrases) age(at time.Time, s *Site) {
	*ps = append(*ps, Phrase{ISO: at.UTC().Format("2006-01-02T15:04:05Z"), Text: Age(s.Now.Sub(at)), Age: true})
	ps.say(" " + s.ago())
}

// newAckSection makes the section of a group's page, or nil if there is nothing to say.
func newAckSection(s *Site, g *grouping.AlertGroup) *AckSection {
	if !g.IsOpen() {
		return nil
	}
	a := g.Ack(s.Now)
	section := &AckSection{}
	if a != nil {
		section.setAck(s, g, a)
	}
	switch {
	case s.isPast():
		if a == nil {
			section.Says.say("Was not acknowledged.")
		}
		section.Remark = "Acknowledging works on the present only."
	case g.State == grouping.StateSuppressed:
		if a == nil {
			return nil
		}
	case s.ReadOnly:
		if a == nil {
			section.Says.say("Not acknowledged.")
		}
		section.Remark = readOnlyText
	default:
		section.setForms(s, g, a)
	}
	return section
}

// readOnlyText says why a page has no forms.
const readOnlyText = "This Muster is read-only."

// setAck says who acknowledged the group.
func (a *AckSection) setAck(s *Site, g *grouping.AlertGroup, by *grouping.Ack) {
	n := g.NewSince(by)
	ps := &a.Says
	switch {
	case s.isPast():
		ps.say("Was acknowledged by ")
		ps.person(by.Person)
		ps.say(" ")
		ps.age(by.At, s)
	case n > 0:
		a.New = true
		ps.strong(plural(n, "alert", "alerts") + " joined")
		ps.say(" after ")
		ps.person(by.Person)
		ps.say(" acknowledged this ")
		ps.age(by.At, s)
		a.Spoken = plural(n, "alert", "alerts") + " joined"
	default:
		ps.say("Acknowledged by ")
		ps.person(by.Person)
		ps.say(" ")
		ps.age(by.At, s)
		ps.say(", ")
		ps.until(by.Until, s)
		a.Spoken = "Acknowledged by " + by.Name
	}
	ps.sayNote(by.Note)
	if s.isPast() && n > 0 {
		ps.say(" " + plural(n, "alert", "alerts") + " had joined since.")
	}
}

// until says when an acknowledgement ends.
func (ps *Phrases) until(at time.Time, s *Site) {
	if at.IsZero() {
		ps.say("until it is over")
		return
	}
	ps.say("until ")
	ps.clock(at, s.Now)
}

// sayNote adds the text of an acknowledgement, and ends the sentence.
func (ps *Phrases) sayNote(text string) {
	if text != "" {
		ps.say(": ")
		ps.quote(text)
	}
	if !endsSentence(text) {
		ps.say(".")
	}
}

func endsSentence(text string) bool {
	if text == "" {
		return false
	}
	switch text[len(text)-1] {
	case '.', '!', '?':
		return true
	}
	return false
}

// setForms adds what a person can do. by is the acknowledgement that counts, or nil.
func (a *AckSection) setForms(s *Site, g *grouping.AlertGroup, by *grouping.Ack) {
	episode := string(g.Opened)
	if by != nil {
		a.Undo = &AckUndo{Action: s.Links.Unack(g.ID), Ack: by.ID, Episode: episode}
		if !a.New {
			return
		}
	} else if over := g.AckThatEnded(s.Now); over != nil {
		a.Says.say("The acknowledgement by ")
		a.Says.person(over.Person)
		a.Says.say(" ended at ")
		a.Says.clock(over.Until, s.Now)
		a.Says.say(", as set.")
		if g.Counts.Firing > 0 {
			a.Says.say(" The group still fires.")
		}
	}
	a.Form = &AckForm{
		Action: s.Links.Ack(g.ID), Button: "Acknowledge", Episode: episode, AskName: s.AsksNames, Until: untilChoices(untilOver),
	}
	if a.New {
		a.Form.Button = "Acknowledge these too"
	}
}

// AskAgain makes the page of a group say that the episode which the person saw is over. The
// form keeps what the person typed.
func (p *GroupPage) AskAgain(s *Site, g *grouping.AlertGroup, kept PersonInput) {
	p.status, p.Still = codeConflict, true
	var says Phrases
	says.strong("This episode is over.")
	if p.Ack == nil {
		p.Ack = &AckSection{}
	}
	if p.Ack.Form != nil {
		says.say(" A new one began at ")
		says.clock(g.Opened.Time(), s.Now)
		says.say(": acknowledge that one? ")
		p.Ack.Form.Kept, p.Ack.Form.Until = kept, untilChoices(kept.Until)
	}
	p.Ack.Says, p.Ack.New = append(says, p.Ack.Says...), true
	if p.Ack.Form == nil && kept.Text != "" {
		p.Ack.Says.say(" You wrote: ")
		p.Ack.Says.quote(kept.Text)
	}
}

// NoteRow is a note of a person, or the text of an acknowledgement.
type NoteRow struct {
	Key  string
	By   Phrases
	At   Phrase
	What string // ", acknowledged"
	Text Linked
}

// NoteForm is the form that adds a note.
type NoteForm struct {
	Action  string
	ID      string
	AskName bool
	Limit   int // maximum number of bytes
	Kept    PersonInput
}

// setNotes sets the notes of a group. The text of an acknowledgement is a note, too.
func (p *GroupPage) setNotes(s *Site, g *grouping.AlertGroup) {
	acks := g.Acks
	add := func(key string, by grouping.Person, at time.Time, what, text string) {
		row := NoteRow{Key: key, At: clockPhrase(at, s.Now), What: what, Text: splitLinks(text)}
		row.By.person(by)
		p.Notes = append(p.Notes, row)
	}
	addAcks := func(before time.Time) {
		for len(acks) > 0 && (before.IsZero() || acks[0].At.Before(before)) {
			if a := acks[0]; a.Note != "" {
				add("ack-"+a.ID, a.Person, a.At, ", acknowledged", a.Note)
			}
			acks = acks[1:]
		}
	}
	for _, n := range g.Notes {
		addAcks(n.At)
		add(n.ID, n.Person, n.At, "", n.Text)
	}
	addAcks(time.Time{})
	if n := len(p.Notes); n > 0 {
		p.NoteCount = plural(n, "note", "notes")
	}
	switch {
	case s.isPast():
	case s.ReadOnly:
		p.NotesRemark = readOnlyText
	default:
		// The same text from the same page is one note. The next page has another number, so
		// that somebody can write the same text once more.
		p.NoteForm = &NoteForm{
			Action: s.Links.Notes(g.ID), ID: "p" + strconv.Itoa(len(g.Notes)), AskName: s.AsksNames, Limit: grouping.MaxTextLen,
		}
	}
}

// CloseForm is the form that closes a group.
type CloseForm struct {
	Action, Episode, Says string
	AskName               bool
}

// newCloseForm makes the form that closes a group, or nil if nobody can close it.
func newCloseForm(s *Site, g *grouping.AlertGroup) *CloseForm {
	if s.isPast() || s.ReadOnly || !g.IsOpen() {
		return nil
	}
	return &CloseForm{
		Action: s.Links.CloseGroup(g.ID), Episode: string(g.Opened), AskName: s.AsksNames,
		Says: "Close a group that its sender never closes, such as a test or a receiver that was renamed. " +
			"Its firing alerts become unreported, and it leaves the list. The next notification about it opens it again.",
	}
}

// closedNote says who closed a group, or is empty.
func closedNote(s *Site, g *grouping.AlertGroup) (ps Phrases) {
	if g.ClosedBy == nil {
		return nil
	}
	ps.say("Closed by ")
	ps.person(g.ClosedBy.Person)
	ps.say(" ")
	ps.age(g.ClosedBy.At, s)
	ps.say(". The next notification about it opens it again.")
	return ps
}

// personText is the name of a person for plain text.
func personText(p grouping.Person) string {
	if p.Verified {
		return shorten(p.Name)
	}
	return shorten(p.Name) + " (" + notVerified + ")"
}

// ackMark is the mark of a row that somebody acknowledged, if it still counts.
func (s *Site) ackMark(g *grouping.AlertGroup) (Mark, bool) {
	a := g.Ack(s.Now)
	if a == nil {
		return Mark{}, false
	}
	if n := g.NewSince(a); n > 0 {
		m := Mark{Loud: true, Href: s.Links.Word("new-since"), Title: "Alerts that began after the acknowledgement"}
		m.Says.say(strconv.Itoa(n) + " new since ")
		m.Says.personQuietly(a.Person)
		m.Says.say(" acknowledged")
		return m, true
	}
	m := Mark{Own: true, Href: s.Links.Word("acknowledged"), Title: "Somebody acknowledged this group"}
	m.Says.personQuietly(a.Person)
	m.Says.say(", ")
	m.Says.age(a.At, s)
	if a.Note != "" {
		m.Says.say(": ")
		m.Says.quote(shortenTo(a.Note, maxMarkNote))
	}
	if !a.Until.IsZero() {
		m.Says.say(", until ")
		m.Says.clock(a.Until, s.Now)
	}
	return m, true
}

// maxMarkNote is the maximum number of characters of a note on a row.
const maxMarkNote = 80

// personQuietly adds the name of a person without emphasis.
func (ps *Phrases) personQuietly(p grouping.Person) {
	ps.quote(p.Name)
	if !p.Verified {
		ps.say(" (" + notVerified + ")")
	}
}

// RowAck is the button of a row that acknowledges its group.
type RowAck struct{ Action, Episode, Label string }

func (s *Site) rowAck(g *grouping.AlertGroup, title string) *RowAck {
	if s.isPast() || s.ReadOnly || !g.IsOpen() || g.Counts.Firing == 0 || g.IsAcknowledged(s.Now) {
		return nil
	}
	return &RowAck{Action: s.Links.Ack(g.ID), Episode: string(g.Opened), Label: "Acknowledge " + title}
}

// peopleSentence says what a person did, for a line of the history.
func (s *Site) peopleSentence(e *grouping.Event) string {
	d := e.People
	by := "by " + isolate(personText(d.Person))
	text := ""
	if d.Text != "" {
		text = ": " + isolate(shorten(d.Text))
	}
	switch e.Kind {
	case grouping.EventAcknowledged:
		until := "it is over"
		if !d.Until.IsZero() {
			until = formatClock(d.Until, s.Now)
		}
		return "acknowledged " + by + " until " + until + text
	case grouping.EventUnacknowledged:
		return "acknowledgement undone " + by
	case grouping.EventNoted:
		return "note " + by + text
	default:
		return "closed " + by
	}
}

// peopleTicks draws what people wrote within a range of time: the newest ones, if there are many.
func peopleTicks(g *grouping.AlertGroup, sp span) []Tick {
	var ticks []Tick
	add := func(at time.Time, by grouping.Person, did string) {
		if !at.Before(sp.from) && !at.After(sp.to) {
			ticks = append(ticks, Tick{
				X:     formatNumber(min(sp.x(at), timelineWidth-minBarWidth)),
				Title: at.UTC().Format("15:04:05") + " " + did + " by " + isolate(personText(by)),
			})
		}
	}
	for _, a := range g.Acks {
		add(a.At, a.Person, "acknowledged")
	}
	for _, n := range g.Notes {
		add(n.At, n.Person, "note")
	}
	return ticks[max(0, len(ticks)-maxTimelineTicks):]
}

// acknowledgedCount is the part of the list's head about acknowledged groups.
func acknowledgedCount(s *Site) string {
	if n := s.Totals.WithoutHeartbeats.Acknowledged; n > 0 {
		return ", " + formatCount(n) + " acknowledged"
	}
	return ""
}

// ackOptions are the choices of the list's filter.
func ackOptions(selected grouping.AckState) []Option {
	var options []Option
	for _, o := range [][2]string{
		{"", "acknowledged or not"},
		{string(grouping.AckYes), "acknowledged"},
		{string(grouping.AckNo), "not acknowledged"},
		{string(grouping.AckNew), "new since acknowledged"},
	} {
		options = append(options, Option{o[0], o[1], o[0] == string(selected)})
	}
	return options
}

// CountsAcknowledged reports whether the page says how many groups of the view are acknowledged.
// SetAcknowledged tells it.
func (p *GroupsPage) CountsAcknowledged(v View) bool {
	return v.Ack == "" && (len(p.Acked) > 0 || v.Filtered() && v.State == query.StateFiring)
}

// SetAcknowledged adds the number of acknowledged groups of the view, and leads to the page that
// acknowledges all others. total is the number of groups of the view.
func (p *GroupsPage) SetAcknowledged(s *Site, v View, total, acknowledged int) {
	if len(p.Acked) > 0 {
		p.AckedCount = plural(acknowledged, "group", "groups")
	}
	waiting := total - acknowledged
	selects := v.Filtered() && v.Err == nil && v.State == query.StateFiring && v.Ack != grouping.AckYes && !v.Wall
	if waiting <= 0 || s.isPast() || s.ReadOnly || !selects {
		return
	}
	p.AckAll = s.Links.AckAll(v.first())
	p.AckAllText = "Acknowledge " + plainly(waiting, "this group", "these "+formatCount(waiting)+" groups") + "…"
}
