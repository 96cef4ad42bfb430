package history

import (
	"math"
	"slices"
	"time"

	"muster/grouping"
)

// Digest is what reports need of a part of the history: the episodes of each alert, and who
// was notified when. It has a fraction of the memory of the events. An alert that is in
// several groups, or that several replicas report, is one alert here.
//
// Its methods are not safe for concurrent use with Add. It is usable for any window after
// its beginning.
type Digest struct {
	since time.Time // nothing is known before
	last  string    // ID of the last event
	read  time.Time // of the last event, or since

	alerts    []alertLine
	alertOf   map[grouping.SourceAlert]int32
	groups    []groupLine
	groupOf   map[grouping.ID]int32
	receivers receiverSets
	reasons   names
	acks      names // their IDs
	sent      *grouping.Sent
	notes     []note // by the numbers of grouping.Sent
	gaps      []grouping.Gap
	episodes  int
	spans     int
}

// millis is a time in milliseconds since 1970. The API of Alertmanager is not more exact
// either. Zero is no time.
type millis int64

// endless is later than every time, with room for additions.
const endless = millis(math.MaxInt64 / 2)

func millisOf(t time.Time) millis {
	if t.IsZero() {
		return 0
	}
	return millis(t.UnixMilli())
}

func (m millis) time() time.Time { return time.UnixMilli(int64(m)).UTC() }

const (
	second = millis(1000)
	minute = 60 * second
)

// alertLine has the episodes of an alert, in the order in which they were seen.
type alertLine struct {
	id       grouping.SourceAlert
	labels   grouping.Labels
	episodes []episode
}

// episode is one firing of an alert, over all its groups.
type episode struct {
	startsAt  millis // as reported
	seenAt    millis // of the first report
	endsAt    millis // if an end was reported
	lostAt    millis // if it is no longer reported, and its end is not known
	ackedAt   millis // if a person acknowledged it
	ack       int32  // the number of that acknowledgement
	receivers int32  // a set of the groups' receivers
	// firing and muted are the numbers of groups that list it, or say that it is muted.
	firing, muted int16
	suppressed    bool // it was, at any time
	gone          bool // endsAt is when the API listed it last
}

// begin returns the start. A start in the future is that of a broken clock.
func (e *episode) begin() millis { return min(e.startsAt, e.seenAt) }

// end returns the end, reported or not. An episode that goes on has an endless end.
func (e *episode) end() millis {
	switch {
	case e.endsAt != 0:
		return max(e.endsAt, e.begin())
	case e.lostAt != 0:
		return max(e.lostAt, e.begin())
	}
	return endless
}

// groupLine is a group with what its notifications listed.
type groupLine struct {
	receiver int32
	members  map[int32]member // by alert
	spans    []span
	notes    []int32
	acks     []ackLine // of its present episode, oldest first
}

// member is an alert in a group. episode is its newest one there, span the time in which the
// group lists it, or -1.
type member struct {
	episode, span int32
	firing, muted bool
}

// span is a time in which notifications of a group list an alert, in the clock of Muster.
type span struct {
	alert    int32
	from, to millis
}

// note is one notification to one receiver.
type note struct {
	at               millis
	receiver, reason int32
	groups           int32
	delivered        bool // only a delivery told of it
}

// NewDigest returns a digest that begins at a time. groups is the state of all groups then.
// Add the events since then to it.
func NewDigest(since time.Time, groups []*grouping.AlertGroup) *Digest {
	d := &Digest{
		since: since, read: since, alertOf: map[grouping.SourceAlert]int32{}, groupOf: map[grouping.ID]int32{},
		receivers: newReceiverSets(), reasons: newNames(), acks: newNames(), sent: grouping.NewSent(),
	}
	for _, g := range groups {
		for _, a := range g.Alerts {
			d.addKnown(g, a)
		}
		d.addKnownAcks(g)
	}
	return d
}

// Since returns the beginning of the digest.
func (d *Digest) Since() time.Time { return d.since }

// Read returns the time of the last event. No event that is missing is older.
func (d *Digest) Read() time.Time { return d.read }

// Size returns about how many bytes of memory the digest has.
func (d *Digest) Size() int {
	// The labels of an alert are a list of strings, most of which are shared.
	const perAlert, perEpisode, perSpan, perNote, perGroup = 700, 76, 40, 32, 500
	return len(d.alerts)*perAlert + d.episodes*perEpisode + d.spans*perSpan + len(d.notes)*perNote + len(d.groups)*perGroup
}

// Add adds an event. It ignores an event that is not newer than the last one.
func (d *Digest) Add(e *grouping.Event) {
	if e.ID <= d.last && d.last != "" {
		return
	}
	d.last, d.read = e.ID, e.Time
	switch {
	case e.Gap != nil:
		d.gaps = append(d.gaps, *e.Gap)
	case e.GroupID == "":
	case e.Kind == grouping.EventNotified, e.Kind == grouping.EventDelivered && e.Delivery != nil:
		d.addNote(e)
	case e.Fingerprint != "":
		d.addOfAlert(e)
	case e.People != nil, e.Kind == grouping.EventOpened, e.Kind == grouping.EventClosed:
		d.addPeople(e)
	case e.Kind == grouping.EventExpired: // the group was removed with all its alerts
		g := d.group(e.GroupID, e.Receiver)
		for alert := range d.groups[g].members {
			d.leave(g, alert, millisOf(e.Time))
		}
	}
}

func (d *Digest) alert(source string, fp grouping.Fingerprint, labels grouping.Labels) int32 {
	id := grouping.SourceAlert{Source: source, Fingerprint: fp}
	i, known := d.alertOf[id]
	if !known {
		i = int32(len(d.alerts)) //nolint:gosec // G115: memory ends before
		d.alertOf[id] = i
		d.alerts = append(d.alerts, alertLine{id: id, labels: labels})
	}
	return i
}

func (d *Digest) group(id grouping.ID, receiver string) int32 {
	i, known := d.groupOf[id]
	if !known {
		i = int32(len(d.groups)) //nolint:gosec // G115: memory ends before
		d.groupOf[id] = i
		d.groups = append(d.groups, groupLine{receiver: d.receivers.names.number(receiver), members: map[int32]member{}})
	}
	return i
}

func (d *Digest) addNote(e *grouping.Event) {
	g := &d.groups[d.group(e.GroupID, e.Receiver)]
	number, isNew := d.sent.Add(e)
	delivery := e.Delivery
	if isNew {
		n := note{at: millisOf(e.Time), receiver: g.receiver, delivered: delivery != nil}
		n.reason = d.reasons.number(e.Notification().Reason)
		if delivery != nil {
			n.receiver, n.reason = d.receivers.names.number(delivery.Receiver), d.reasons.number(delivery.Reason)
		}
		d.notes = append(d.notes, n)
	}
	n := &d.notes[number]
	if delivery == nil {
		n.delivered = false
	}
	if d.addToGroup(g, int32(number)) { //nolint:gosec // G115: memory ends before
		n.groups++
	}
}

// addToGroup adds a note to the sorted list of a group. It returns false if the list has it.
func (d *Digest) addToGroup(g *groupLine, number int32) bool {
	i := len(g.notes)
	for i > 0 && d.notes[g.notes[i-1]].at > d.notes[number].at {
		i--
	}
	for j := i - 1; j >= 0 && d.notes[g.notes[j]].at == d.notes[number].at; j-- {
		if g.notes[j] == number {
			return false
		}
	}
	g.notes = slices.Insert(g.notes, i, number)
	return true
}

// names numbers texts that repeat.
type names struct {
	list   []string
	byName map[string]int32
}

func newNames() names { return names{byName: map[string]int32{}} }

func (n *names) number(name string) int32 {
	i, known := n.byName[name]
	if !known {
		i = int32(len(n.list)) //nolint:gosec // G115: memory ends before
		n.byName[name] = i
		n.list = append(n.list, name)
	}
	return i
}

// receiverSets numbers sets of receivers. Set 0 is empty.
type receiverSets struct {
	names names
	sets  [][]int32
	with  map[[2]int32]int32 // a set with one more receiver
}

func newReceiverSets() receiverSets {
	return receiverSets{names: newNames(), sets: [][]int32{nil}, with: map[[2]int32]int32{}}
}

// add returns the set with one more receiver.
func (r *receiverSets) add(set, receiver int32) int32 {
	if slices.Contains(r.sets[set], receiver) {
		return set
	}
	key := [2]int32{set, receiver}
	next, known := r.with[key]
	if !known {
		members := append(slices.Clone(r.sets[set]), receiver)
		slices.Sort(members)
		if i := slices.IndexFunc(r.sets, func(s []int32) bool { return slices.Equal(s, members) }); i >= 0 {
			next = int32(i) //nolint:gosec // G115: memory ends before
		} else {
			next = int32(len(r.sets)) //nolint:gosec // G115: memory ends before
			r.sets = append(r.sets, members)
		}
		r.with[key] = next
	}
	return next
}
