package history

import (
	"slices"

	"muster/grouping"
)

// An episode is acknowledged if a person acknowledged a group while it listed the alert, and did
// not undo it. An alert that joins later is not acknowledged.

// ackLine is an acknowledgement of the present episode of a group.
type ackLine struct {
	at     millis
	number int32
}

// addPeople adds an event that begins or ends what people can acknowledge, or one of a person.
func (d *Digest) addPeople(e *grouping.Event) {
	g := d.group(e.GroupID, e.Receiver)
	switch {
	case e.Kind == grouping.EventOpened, e.Kind == grouping.EventClosed:
		d.groups[g].acks = nil
	case e.People == nil:
	case e.Kind == grouping.EventAcknowledged:
		d.acknowledge(g, ackLine{millisOf(e.Time), d.acks.number(e.People.Ack)})
	case e.Kind == grouping.EventUnacknowledged:
		d.unacknowledge(g, d.acks.number(e.People.Ack))
	}
}

// addKnownAcks adds the acknowledgements of a group as it was at the beginning of the digest.
func (d *Digest) addKnownAcks(g *grouping.AlertGroup) {
	known := slices.Clone(g.Acks)
	slices.SortFunc(known, func(a, b *grouping.Ack) int { return a.At.Compare(b.At) })
	for _, a := range known {
		if a.Undone == nil && a.Episode == g.Opened {
			d.acknowledge(d.group(g.ID, g.Receiver), ackLine{millisOf(a.At), d.acks.number(a.ID)})
		}
	}
}

// acknowledge applies an acknowledgement to the alerts that the group listed before.
func (d *Digest) acknowledge(group int32, ack ackLine) {
	g := &d.groups[group]
	g.acks = append(g.acks, ack)
	for alert, m := range g.members {
		ep := &d.alerts[alert].episodes[m.episode]
		if ep.ackedAt == 0 && ep.endsAt == 0 && ep.seenAt <= ack.at {
			ep.ackedAt, ep.ack = ack.at, ack.number
		}
	}
}

// unacknowledge undoes an acknowledgement. A later one of the group counts instead.
func (d *Digest) unacknowledge(group, number int32) {
	g := &d.groups[group]
	g.acks = slices.DeleteFunc(g.acks, func(a ackLine) bool { return a.number == number })
	for alert, m := range g.members {
		ep := &d.alerts[alert].episodes[m.episode]
		if ep.ackedAt == 0 || ep.ack != number {
			continue
		}
		ep.ackedAt = 0
		for _, other := range g.acks {
			if ep.seenAt <= other.at {
				ep.ackedAt, ep.ack = other.at, other.number
				break
			}
		}
	}
}
