package grouping

// PastPeople is what the events of a group say about its episode and about what people wrote.
type PastPeople struct {
	Opened, Ended Stamp
	ClosedBy      *Closing
	Acks          []*Ack
	Notes         []*Note
}

// PastPeople returns what the events of the group have said about people.
func (g *AlertGroup) PastPeople() PastPeople {
	return PastPeople{g.Opened, g.Ended, g.ClosedBy, g.Acks, g.Notes}
}

// SetPastPeople sets what the events of the group said about people. The group must not be
// handed out yet.
func (g *AlertGroup) SetPastPeople(p PastPeople) {
	g.Opened, g.Ended, g.ClosedBy, g.Acks, g.Notes = p.Opened, p.Ended, p.ClosedBy, p.Acks, p.Notes
}

// HasOfPeople reports whether the group has the record that a person wrote with the event. It
// returns false for an event of another kind, as known says.
func (g *AlertGroup) HasOfPeople(e *Event) (has, known bool) {
	if e.People == nil {
		return false, false
	}
	switch e.Kind {
	case EventAcknowledged:
		return ackRecords.find(g.Acks, e.People.Ack) != nil, true
	case EventUnacknowledged:
		a := ackRecords.find(g.Acks, e.People.Ack)
		return a != nil && a.Undone != nil, true
	case EventNoted:
		return noteRecords.find(g.Notes, e.People.Note) != nil, true
	default:
		return false, false
	}
}

// Apply applies an event of the group. Other events than those of an episode and of people
// change nothing.
func (p *PastPeople) Apply(e *Event) {
	if e.Kind != EventOpened && e.Kind != EventClosed && e.People == nil {
		return
	}
	g := AlertGroup{}
	g.SetPastPeople(*p)
	switch e.Kind {
	case EventOpened:
		g.beginEpisode(e.Stamp())
	case EventClosed:
		if e.People != nil {
			g.ClosedBy = &Closing{e.People.Person, e.Time}
		}
		g.Ended = g.endOfAcks(e.Stamp())
	default:
		g.applyPeople(e)
	}
	*p = g.PastPeople()
}

// applyPeople applies an event with which a person wrote a record.
func (g *AlertGroup) applyPeople(e *Event) {
	d := e.People
	stamp, at := e.Stamp().supersedes(g.endOfAcks(g.Ended)), d.At
	if at.IsZero() {
		at = e.Time
	}
	switch e.Kind {
	case EventAcknowledged:
		g.Acks = ackRecords.put(g.Acks, &Ack{
			ID: d.Ack, Person: d.Person, At: at, Until: d.Until, Note: d.Text, Episode: g.Opened, Stamp: stamp,
		})
	case EventUnacknowledged:
		if a := ackRecords.find(g.Acks, d.Ack); a != nil {
			next := *a
			next.Undone = &Undone{d.Person, e.Time}
			g.Acks = ackRecords.put(g.Acks, &next)
		}
	case EventNoted:
		g.Notes = noteRecords.put(g.Notes, &Note{ID: d.Note, Person: d.Person, At: at, Text: d.Text, Stamp: stamp})
	default:
	}
}
