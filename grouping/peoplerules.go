package grouping

import (
	"fmt"
	"time"
)

// sameUntil is the difference of two ends below which an acknowledgement is repeated: a form
// says "for 1h", and somebody presses its button twice.
const sameUntil = time.Minute

// acknowledge applies that a person takes the episode on.
func (tr *transition) acknowledge(r AckRequest) error {
	g := tr.before
	if !g.IsOpen() || r.Episode != "" && r.Episode != g.Opened {
		return &EpisodeOverError{Group: g}
	}
	if a := g.Ack(tr.at); a != nil && a.repeatedBy(r) && g.NewSince(a) == 0 {
		return errNoChange
	}
	a := &Ack{ID: string(tr.stamp), Person: r.By, At: tr.at, Until: r.Until.UTC(), Note: r.Note, Episode: g.Opened}
	if n := len(g.Acks); n > 0 {
		a.ID = string(tr.stamp.supersedes(Stamp(g.Acks[n-1].ID)))
	}
	a.Stamp = tr.personalStamp("")
	tr.acks = ackRecords.put(tr.acks, a)
	tr.logPerson(EventAcknowledged, PeopleDetail{Person: r.By, Ack: a.ID, Text: a.Note, Until: a.Until})
	return nil
}

// repeatedBy reports whether the request asks for the acknowledgement once more.
func (a *Ack) repeatedBy(r AckRequest) bool {
	return a.Person == r.By && a.Note == r.Note && a.Until.IsZero() == r.Until.IsZero() && a.Until.Sub(r.Until).Abs() < sameUntil
}

// unacknowledge applies that a person undoes an acknowledgement.
func (tr *transition) unacknowledge(r UnackRequest) error {
	a := ackRecords.find(tr.acks, r.Ack)
	switch {
	case a == nil:
		return &AckNotFoundError{Group: tr.id, Ack: r.Ack}
	case a.Undone != nil || !tr.before.IsOpen() || a.Stamp <= tr.before.Ended:
		return errNoChange
	}
	next := *a
	next.Undone, next.Stamp = &Undone{r.By, tr.at}, tr.personalStamp(a.Stamp)
	tr.acks = ackRecords.put(tr.acks, &next)
	tr.logPerson(EventUnacknowledged, PeopleDetail{Person: r.By, Ack: a.ID})
	return nil
}

// addNote applies that a person writes a note.
func (tr *transition) addNote(r NoteRequest) error {
	if r.ID == "" {
		r.ID = string(tr.stamp)
	}
	switch {
	case noteRecords.find(tr.notes, r.ID) != nil:
		return errNoChange
	case len(tr.notes) >= MaxNotes:
		return &InvalidError{"text", fmt.Sprintf("the group has %d notes, which is the limit", MaxNotes)}
	}
	n := &Note{ID: r.ID, Person: r.By, At: tr.at, Text: r.Text, Stamp: tr.personalStamp("")}
	tr.notes = noteRecords.put(tr.notes, n)
	tr.logPerson(EventNoted, PeopleDetail{Person: r.By, Note: n.ID, Text: n.Text})
	return nil
}

// close applies that a person closes the group.
func (tr *transition) close(r CloseRequest) error {
	g := tr.before
	switch {
	case !g.IsOpen():
		return errNoChange
	case r.Episode != "" && r.Episode != g.Opened:
		return &EpisodeOverError{Group: g}
	}
	for i, a := range tr.alerts {
		if a.Status != StatusFiring {
			continue
		}
		next := *a
		next.Status, next.ChangedAt, next.Stamp, next.Disputed = StatusUnreported, tr.at, tr.stamp.supersedes(a.Stamp), false
		next.LastSeenAt, next.ReportedBy = tr.lastSeen(a)
		tr.alerts[i] = &next
		tr.log.addForAlert(EventUnreported, a, &next)
	}
	tr.meta.ClosedBy = &Closing{r.By, tr.at}
	return nil
}

// takeOver applies that the group has the alerts of another one, whose notes it gets. If both
// are open, it gets the acknowledgements of the present episode too. An alert is not new because
// of that. takeOver reports whether something changed.
func (tr *transition) takeOver(old *AlertGroup) bool {
	for _, n := range old.Notes {
		if noteRecords.find(tr.notes, n.ID) != nil {
			continue
		}
		moved := *n
		moved.Stamp = tr.personalStamp("")
		tr.notes = noteRecords.put(tr.notes, &moved)
		tr.logPerson(EventNoted, PeopleDetail{Person: n.Person, Note: n.ID, Text: n.Text, At: n.At})
	}
	for _, a := range old.Acks {
		if !old.IsOpen() || !tr.before.IsOpen() || a.Undone != nil || a.Stamp <= old.Ended || ackRecords.find(tr.acks, a.ID) != nil {
			continue
		}
		moved := *a
		moved.Stamp, moved.Episode = tr.personalStamp(""), tr.before.Opened
		tr.acks = ackRecords.put(tr.acks, &moved)
		tr.logPerson(EventAcknowledged, PeopleDetail{Person: a.Person, Ack: a.ID, Text: a.Note, Until: a.Until, At: a.At})
		tr.takeOverTimes(old)
	}
	return tr.personal
}

// takeOverTimes makes the episodes of alerts as old as they are in another group.
func (tr *transition) takeOverTimes(old *AlertGroup) {
	for _, known := range old.Alerts {
		i, has := tr.find(known.Fingerprint)
		if !has || !sameMillisecond(known.StartsAt, tr.alerts[i].StartsAt) || !known.EpisodeSeenAt().Before(tr.alerts[i].EpisodeSeenAt()) {
			continue
		}
		next := *tr.alerts[i]
		next.RecordedAt, next.Stamp = known.EpisodeSeenAt(), tr.stamp.supersedes(next.Stamp)
		tr.alerts[i] = &next
	}
}

// personalStamp returns the stamp of a record that a person writes. It makes it the stamp of
// the group's own fields too.
//
// It is the next one after what is known of the group, and not that of the write. Otherwise the
// group's own fields, which are part of every write, would replace those of a notification that
// another replica wrote a moment before.
func (tr *transition) personalStamp(old Stamp) Stamp {
	tr.personal = true
	last := max(old, tr.meta.Stamp, tr.meta.Ended, tr.deleted)
	for _, a := range tr.acks {
		last = max(last, a.Stamp)
	}
	tr.meta.Stamp = stampOfReading(last.reading()+1, tr.stamp.Writer())
	return tr.meta.Stamp
}

func (tr *transition) logPerson(kind EventKind, d PeopleDetail) {
	tr.log.add(Event{Kind: kind, Labels: tr.meta.GroupLabels, People: &d})
}
