package grouping

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var jo = Person{Name: "jo"}

// person applies what a person does to a group.
func person(t fataler, g *AlertGroup, at time.Duration, plan func(tr *transition) error) (*AlertGroup, []Event) {
	t.Helper()
	tr := newTransition(g, g.Key, NewStamp(base.Add(at), 7, testWriter))
	tr.rules = testRules
	if err := plan(&tr); err != nil {
		require.ErrorIs(t, err, errNoChange)
		return g, nil
	}
	c := tr.finish()
	checkGroup(t, c.Group)
	checkEvents(t, c.Group, c.Stamp, c.Events)
	return c.Group, c.Events
}

func acked(t fataler, g *AlertGroup, at time.Duration, r AckRequest) *AlertGroup {
	t.Helper()
	g, _ = person(t, g, at, func(tr *transition) error { return tr.acknowledge(r) })
	return g
}

func undone(t fataler, g *AlertGroup, at time.Duration, by Person, ack string) *AlertGroup {
	t.Helper()
	g, _ = person(t, g, at, func(tr *transition) error { return tr.unacknowledge(UnackRequest{By: by, Ack: ack}) })
	return g
}

func closed(t fataler, g *AlertGroup, at time.Duration) (*AlertGroup, []Event) {
	t.Helper()
	return person(t, g, at, func(tr *transition) error { return tr.close(CloseRequest{By: jo}) })
}

// heard applies a notification.
func heard(g *AlertGroup, at time.Duration, alerts []NotifiedAlert) *AlertGroup {
	g, _ = applied(g, step{at, am0, alerts, 0, ""}.notification(0), testRules)
	return g
}

func TestAnAcknowledgementIsOfOneEpisode(t *testing.T) {
	g := heard(nil, 0, list(fires("a", 0)))
	require.Equal(t, NewStamp(base, 0, testWriter), g.Opened, "the stamp of the opened event")
	require.Nil(t, g.Ack(base))

	g, events := person(t, g, minute, func(tr *transition) error {
		return tr.acknowledge(AckRequest{By: mira, Note: "on it", Episode: g.Opened})
	})
	require.Len(t, events, 1)
	require.Equal(t, EventAcknowledged, events[0].Kind)
	a := g.Ack(base.Add(minute))
	require.Equal(t, &PeopleDetail{Person: mira, Ack: a.ID, Text: "on it"}, events[0].People)
	require.Equal(t, mira, a.Person)
	require.Equal(t, base.Add(minute), a.At)
	require.Equal(t, g.Opened, a.Episode)
	require.True(t, g.IsAcknowledged(base.Add(day)))

	over := heard(g, 2*minute, list(ended("a", 0, minute)))
	require.Nil(t, over.Ack(base.Add(2*minute)), "the episode is over")
	again := heard(over, 3*minute, list(fires("a", 3*minute)))
	require.Nil(t, again.Ack(base.Add(3*minute)), "it is that of an earlier episode")
	require.NotEqual(t, g.Opened, again.Opened)
	require.NotNil(t, acked(t, again, 4*minute, AckRequest{By: jo}).Ack(base.Add(4*minute)))
}

// Suppressed and unreported alerts do not end an episode, and a dispute does not either.
func TestWhatDoesNotEndAnAcknowledgement(t *testing.T) {
	g := acked(t, heard(nil, 0, list(fires("a", 0), fires("b", 0))), minute, AckRequest{By: mira})
	opened := g.Opened
	g = heard(g, 2*minute, list(ended("b", 0, minute)))
	require.Equal(t, StateUnreported, g.State)
	require.NotNil(t, g.Ack(base.Add(2*minute)))
	g = heard(g, 3*minute, list(fires("a", 0)))
	require.NotNil(t, g.Ack(base.Add(3*minute)))
	require.Zero(t, g.NewSince(g.Acks[0]), "an alert that returned is not new")
	require.Equal(t, opened, g.Opened)

	// A start that moves back is the same episode.
	g = heard(g, 4*minute, list(fires("a", -minute)))
	require.Equal(t, opened, g.Opened)
	require.NotNil(t, g.Ack(base.Add(4*minute)))
}

func TestNewSinceAcknowledged(t *testing.T) {
	g := acked(t, heard(nil, 0, list(fires("a", 0), fires("b", 0))), minute, AckRequest{By: mira})
	at := base.Add(time.Hour)
	g = heard(g, 2*minute, list(fires("a", 0), ended("b", 0, minute), fires("c", minute)))
	require.Equal(t, 1, g.NewSince(g.Ack(at)))
	require.False(t, g.IsAcknowledged(at), "it is back among the others")

	reopened := heard(g, 3*minute, list(fires("a", 0), fires("b", 0), fires("c", minute)))
	require.Equal(t, 1, reopened.NewSince(reopened.Ack(at)), "a reopened alert is not new")
	refired := heard(g, 3*minute, list(fires("a", 0), fires("b", 2*minute+second), fires("c", minute)))
	require.Equal(t, 2, refired.NewSince(refired.Ack(at)), "a new episode is new")
	changed := heard(refired, 4*minute, list(noted(fires("a", 0)), fires("b", 2*minute+second), fires("c", minute)))
	require.Equal(t, 2, changed.NewSince(changed.Ack(at)), "other annotations are not")

	// Acknowledge these too, and undo that.
	too := acked(t, g, 5*minute, AckRequest{By: jo})
	require.Equal(t, jo, too.Ack(at).Person)
	require.True(t, too.IsAcknowledged(at))
	before := undone(t, too, 6*minute, mira, too.Ack(at).ID)
	require.Equal(t, mira, before.Ack(at).Person, "the acknowledgement before counts again")
	require.Equal(t, 1, before.NewSince(before.Ack(at)))
	require.Equal(t, &Undone{mira, base.Add(6 * minute)}, before.Acks[1].Undone)
	require.Same(t, before, undone(t, before, 7*minute, jo, before.Acks[1].ID), "undoing it once more changes nothing")
	require.Nil(t, undone(t, before, 8*minute, jo, before.Acks[0].ID).Ack(at))

	_, err := func() (*AlertGroup, error) {
		tr := newTransition(g, testKey, NewStamp(base, 7, testWriter))
		return nil, tr.unacknowledge(UnackRequest{By: jo, Ack: "x"})
	}()
	require.ErrorIs(t, err, ErrAckNotFound)
}

func noted(na NotifiedAlert) NotifiedAlert {
	na.Annotations = LabelsOf([]Label{{"value", "other"}})
	return na
}

func TestAnAcknowledgementRunsOut(t *testing.T) {
	g := heard(nil, 0, list(fires("a", 0)))
	g = acked(t, g, minute, AckRequest{By: mira})
	g = acked(t, g, 2*minute, AckRequest{By: jo, Until: base.Add(time.Hour)})
	require.Equal(t, jo, g.Ack(base.Add(time.Hour-1)).Person)
	require.Nil(t, g.AckThatEnded(base.Add(time.Hour-1)))
	require.Nil(t, g.Ack(base.Add(time.Hour)), "the last one decides")
	require.Equal(t, jo, g.AckThatEnded(base.Add(time.Hour)).Person)
}

func TestAWriteOfAPersonIsIdempotent(t *testing.T) {
	g := heard(nil, 0, list(fires("a", 0)))
	r := AckRequest{By: mira, Note: "on it", Until: base.Add(time.Hour)}
	once := acked(t, g, minute, r)
	again := r
	again.Until = r.Until.Add(2 * second) // the second press on "for 1h"
	require.Same(t, once, acked(t, once, minute+2*second, again))
	for _, other := range []AckRequest{{By: mira, Note: "on it"}, {By: jo, Note: "on it", Until: r.Until}, {By: mira, Until: r.Until}} {
		require.Len(t, acked(t, once, 2*minute, other).Acks, 2)
	}
	joined := heard(once, 2*minute, list(fires("a", 0), fires("b", minute)))
	require.Len(t, acked(t, joined, 3*minute, r).Acks, 2, "an alert is new since")

	note := func(at time.Duration, id string) func(g *AlertGroup) *AlertGroup {
		return func(g *AlertGroup) *AlertGroup {
			next, _ := person(t, g, at, func(tr *transition) error { return tr.addNote(NoteRequest{By: jo, ID: id, Text: "text"}) })
			return next
		}
	}
	g = note(2*minute, "b")(note(minute, "a")(g))
	require.Equal(t, []string{"a", "b"}, []string{g.Notes[0].ID, g.Notes[1].ID}, "the oldest first")
	require.Same(t, g, note(3*minute, "a")(g))

	g, _ = closed(t, g, 5*minute)
	after, events := closed(t, g, 6*minute)
	require.Same(t, g, after)
	require.Empty(t, events)
}

func TestBoundsOfWhatPeopleWrite(t *testing.T) {
	g := heard(nil, 0, list(fires("a", 0)))
	for i := range time.Duration(maxAcks + 3) {
		g = acked(t, g, minute+i*second, AckRequest{By: jo, Note: string(rune('a' + i))})
	}
	require.Len(t, g.Acks, maxAcks)
	require.Equal(t, "d", g.Acks[0].Note, "the newest ones are kept")

	for i := range time.Duration(MaxNotes) {
		g, _ = person(t, g, time.Hour+i*second, func(tr *transition) error { return tr.addNote(NoteRequest{By: jo, Text: "text"}) })
	}
	require.Len(t, g.Notes, MaxNotes)
	tr := newTransition(g, testKey, NewStamp(base.Add(day), 0, testWriter))
	require.EqualError(t, tr.addNote(NoteRequest{By: jo, Text: "text"}), "text: the group has 200 notes, which is the limit")
	require.ErrorIs(t, tr.addNote(NoteRequest{By: jo, ID: g.Notes[3].ID}), errNoChange, "a known one is no refusal")

	long, longName := strings.Repeat("x", MaxTextLen+1), Person{Name: strings.Repeat("ö", 101)}
	over := func(s State) error {
		return &EpisodeOverError{Group: &AlertGroup{ID: "0123456789abcdef0123", State: s}}
	}
	for want, err := range map[string]error{
		"by: a name is required":                                        (&AckRequest{}).validate(base),
		"note: the text has 4097 bytes, the limit is 4096":              (&AckRequest{By: jo, Note: long}).validate(base),
		"note: the text is not valid UTF-8":                             (&AckRequest{By: jo, Note: "\xff"}).validate(base),
		"until: 2026-03-01T12:00:00Z is not in the future":              (&AckRequest{By: jo, Until: base}).validate(base),
		"ack: the ID of the acknowledgement to undo is required":        (&UnackRequest{By: jo}).validate(),
		"text: a note without text cannot be added":                     (&NoteRequest{By: jo, Text: " \n"}).validate(),
		"text: the text has 4097 bytes, the limit is 4096":              (&NoteRequest{By: jo, Text: long}).validate(),
		"id: an ID has letters, digits, - and _ only, and at most 64":   (&NoteRequest{By: jo, Text: "x", ID: "a/b"}).validate(),
		"by: the name has 101 characters, the limit is 100":             (&NoteRequest{By: longName, Text: "x"}).validate(),
		"group 0123456789abcdef0123: the episode is over":               over(StateResolved),
		"group 0123456789abcdef0123: the episode is over, another runs": over(StateFiring),
	} {
		require.EqualError(t, err, want)
	}
	require.NoError(t, (&NoteRequest{By: Person{Name: strings.Repeat("ö", 100)}, Text: long[1:], ID: strings.Repeat("a", 64)}).validate())
}

func TestAnotherEpisodeIsNotAcknowledged(t *testing.T) {
	g := heard(nil, 0, list(fires("a", 0)))
	shown := g.Opened
	g = heard(g, minute, list(ended("a", 0, minute)))
	try := func(g *AlertGroup, plan func(tr *transition) error) *AlertGroup {
		var over *EpisodeOverError
		tr := newTransition(g, testKey, NewStamp(base.Add(day), 0, testWriter))
		require.ErrorAs(t, plan(&tr), &over)
		return over.Group
	}
	ack := func(episode Stamp) func(tr *transition) error {
		return func(tr *transition) error { return tr.acknowledge(AckRequest{By: jo, Episode: episode}) }
	}
	require.Same(t, g, try(g, ack(shown)), "it is over")
	require.Same(t, g, try(g, ack("")), "no episode runs")
	g = heard(g, 2*minute, list(fires("a", 2*minute)))
	require.Same(t, g, try(g, ack(shown)), "another one runs")
	require.Same(t, g, try(g, func(tr *transition) error { return tr.close(CloseRequest{By: jo, Episode: shown}) }))
}

func TestAPersonClosesAGroup(t *testing.T) {
	g := acked(t, heard(nil, 0, list(fires("a", 0), fires("b", 0), ended("c", 0, second))), minute, AckRequest{By: mira})
	g, events := closed(t, g, 2*minute)
	require.Equal(t, StateUnreported, g.State)
	require.Equal(t, &Closing{jo, base.Add(2 * minute)}, g.ClosedBy)
	require.Equal(t, Counts{Unreported: 2, Resolved: 1}, g.Counts)
	require.Nil(t, g.Ack(base.Add(2*minute)), "its episode is over")
	require.Equal(t, []EventKind{EventUnreported, EventUnreported, EventClosed}, kinds(events))
	require.Equal(t, &PeopleDetail{Person: jo}, events[2].People)
	require.Equal(t, base.Add(2*minute), events[2].EndsAt)

	later, events := applied(g, step{3 * minute, am0, list(fires("a", 0)), 0, ""}.notification(0), testRules)
	checkGroup(t, later)
	require.Equal(t, StateMixed, later.State)
	require.Nil(t, later.ClosedBy)
	require.Equal(t, []EventKind{EventOpened, EventReturned, EventNotified}, kinds(events), "a later notification opens it")
	require.Nil(t, later.Ack(base.Add(day)), "it is another episode")

	// Its end does not open it.
	ends, events := applied(g, step{3 * minute, am0, list(ended("a", 0, minute), ended("b", 0, minute)), 0, ""}.notification(0), testRules)
	require.Equal(t, []EventKind{EventResolved, EventResolved, EventNotified}, kinds(events), "it was closed already")
	require.Equal(t, StateResolved, ends.State)
	same, events := closed(t, ends, 4*minute)
	require.Same(t, ends, same, "closing a resolved group changes nothing")
	require.Empty(t, events)
	again := heard(ends, 5*minute, list(fires("a", 5*minute)))
	require.Nil(t, again.ClosedBy)
}

func kinds(events []Event) (all []EventKind) {
	for _, e := range events {
		all = append(all, e.Kind)
	}
	return all
}

// The event recorder says that a client still sends the alert. A poll only lists what
// Alertmanager still knows.
func TestWhatOpensAClosedGroup(t *testing.T) {
	g := heard(nil, 0, list(fires("a", 0)))
	for _, unnotified := range []bool{false, true} {
		if unnotified {
			a := *g.Alerts[0]
			a.Unnotified = true
			only := *g
			only.Alerts = []*Alert{&a}
			g = NewAlertGroup(only)
		}
		g, _ := closed(t, g, 2*minute)
		say := func(origin Origin, at time.Duration, na NotifiedAlert) (*AlertGroup, bool) {
			na.Annotations = LabelsOf([]Label{{"more", "said"}})
			o := Observation{Origin: origin, At: base.Add(at), Alert: &ObservedAlert{
				Group: ObservedGroup{Receiver: testKey.Receiver, GroupKey: testKey.GroupKey}, Alert: na, Listed: origin == OriginAPI,
			}}
			c, changes := observe(g, testKey, []Observation{o}, NewStamp(base.Add(3*minute), 0, testWriter), testRules, nil)
			if !changes {
				return g, false
			}
			checkGroup(t, c.Group)
			return c.Group, c.Group.IsOpen()
		}
		_, opens := say(OriginAPI, 3*minute, fires("a", 0))
		require.False(t, opens, "a poll does not")
		_, opens = say(OriginEvent, minute, fires("a", 0))
		require.False(t, opens, "an older alertGrouped does not")
		after, opens := say(OriginEvent, 3*minute, fires("a", 0))
		require.True(t, opens, "a newer alertGrouped does")
		require.Nil(t, after.ClosedBy)
		require.Equal(t, StateFiring, after.State)
		_, opens = say(OriginAPI, 3*minute, fires("a", 2*minute+second))
		require.True(t, opens, "an episode that began since then is not what the person closed")
	}
}

// Two replicas opened the group while they were cut off from each other. The
// acknowledgement of one of them is of the episode that both have.
// Alertmanagers disagree about one alert of a closed group. The group opens when that fires again,
// though the history does not get every turn of the dispute.
func TestADisputeOpensAClosedGroup(t *testing.T) {
	var g *AlertGroup
	for i, s := range []step{
		{0, am0, list(fires("a", 0), fires("b", 0)), 0, ""},
		{minute, am0, list(fires("a", 0), ended("b", 0, 30*second)), 0, ""},
		{2 * minute, am1, list(fires("a", 0), fires("b", 0)), 0, ""},
		{3 * minute, am0, list(fires("a", 0), ended("b", 0, 30*second)), 0, ""},
	} {
		g, _ = applied(g, s.notification(i), testRules)
	}
	require.True(t, g.Alert(fp("b")).Disputed)
	g, _ = closed(t, g, 4*minute)
	g, events := applied(g, step{5 * minute, am1, list(fires("b", 0)), 0, ""}.notification(0), testRules)
	require.Equal(t, 1, g.Counts.Firing)
	require.True(t, g.IsOpen())
	require.Equal(t, []EventKind{EventOpened, EventNotified}, kinds(events))
}

func TestAnAcknowledgementSurvivesAnotherNameOfItsEpisode(t *testing.T) {
	x := acked(t, heard(nil, 0, list(fires("a", 0))), minute, AckRequest{By: mira})
	n := step{5 * minute, am0, list(fires("a", 0), fires("b", minute)), 0, ""}.notification(0)
	n.Stamp = NewStamp(base.Add(5*minute), 0, "00000000000000bb")
	y, _ := applied(nil, n, testRules)
	for _, merged := range []*AlertGroup{Merge(x, y), Merge(y, x)} {
		require.Equal(t, y.Opened, merged.Opened)
		require.NotNil(t, merged.Ack(base.Add(6*minute)))
		require.Equal(t, 2, merged.NewSince(merged.Ack(base.Add(6*minute))), "the other replica recorded both later")
	}
}

// A write of a person never replaces what another replica heard, also if the person wrote
// later.
func TestAWriteOfAPersonKeepsANotification(t *testing.T) {
	g := heard(nil, 0, list(fires("a", 0)))
	x := acked(t, g, 3*minute, AckRequest{By: mira})
	n := step{2 * minute, am1, list(fires("a", 0)), 0, ""}.notification(0)
	n.Reason, n.Stamp = "repeat", NewStamp(base.Add(2*minute), 0, "00000000000000bb")
	y, _ := applied(g, n, testRules)
	m := Merge(x, y)
	require.Equal(t, base.Add(2*minute), m.LastNotifiedAt)
	require.Equal(t, "repeat", m.LastReason)
	require.NotNil(t, m.Ack(base.Add(3*minute)))
}

func TestPeopleAreDeletedWithTheirGroup(t *testing.T) {
	g := acked(t, heard(nil, 0, list(fires("a", 0))), minute, AckRequest{By: mira})
	g, _ = person(t, g, 2*minute, func(tr *transition) error { return tr.addNote(NoteRequest{By: jo, ID: "x", Text: "text"}) })
	deletion := deletionStamp(g, NewStamp(base.Add(time.Hour), 0, testWriter))
	gone := Merge(g, Tombstone(g.ID, deletion))
	require.True(t, gone.IsTombstone())
	require.Empty(t, gone.Acks)
	require.Empty(t, gone.Notes)
	n := step{2 * time.Hour, am0, list(fires("a", 2*time.Hour)), 0, ""}.notification(0)
	again, _ := applied(gone, n, testRules)
	require.Empty(t, Merge(g, again).Acks, "a new group has no old notes")
	require.Empty(t, Merge(g, again).Notes)
}

func TestAckStatesSelectGroups(t *testing.T) {
	at := base.Add(time.Hour)
	plain := heard(nil, 0, list(fires("a", 0)))
	taken := acked(t, plain, minute, AckRequest{By: mira})
	joined := heard(taken, 2*minute, list(fires("a", 0), fires("b", minute)))
	ranOut := acked(t, plain, minute, AckRequest{By: mira, Until: at})
	over := heard(taken, 2*minute, list(ended("a", 0, minute)))
	for g, want := range map[*AlertGroup]AckState{plain: AckNo, taken: AckYes, joined: AckNew, ranOut: AckNo, over: AckNo} {
		require.Equal(t, want, g.AckState(at))
		for _, s := range AckStates() {
			require.Equal(t, s == want, (&ListQuery{Ack: s, Now: at}).Selects(g))
		}
		require.Equal(t, want == AckYes, g.IsAcknowledged(at))
	}
	require.True(t, (&ListQuery{Ack: AckYes, Now: at.Add(-1)}).Selects(ranOut))

	totals := TotalsOf([]*AlertGroup{plain, taken, joined}, nil, at)
	require.Equal(t, 1, totals.Acknowledged)
	word := plain.Alerts[0].Severity()
	require.Equal(t, 4, totals.FiringAlerts(word))
	require.Equal(t, 3, totals.WaitingAlerts(word), "those of the acknowledged group wait for nobody")
}

// An acknowledgement that runs out moves its group in the order, without a write.
func TestTheIndexFollowsTheTime(t *testing.T) {
	now := base
	x := newIndex(nil, func() time.Time { return now })
	_, err := x.list(ListQuery{Now: now})
	require.NoError(t, err)
	g := acked(t, heard(nil, 0, list(fires("a", 0))), minute, AckRequest{By: mira, Until: base.Add(time.Hour)})
	x.update(g.ID, nil, g)
	require.Equal(t, 1, x.currentTotals().Acknowledged)
	require.Nil(t, x.outdated(g.ID))
	now = base.Add(time.Hour)
	require.Same(t, g, x.outdated(g.ID))
	x.update(g.ID, g, g)
	require.Nil(t, x.outdated(g.ID))
	require.Zero(t, x.currentTotals().Acknowledged)
	page, err := x.list(ListQuery{Now: now})
	require.NoError(t, err)
	require.Equal(t, []*AlertGroup{g}, page.Groups, "it is listed once")
	x.update(g.ID, g, nil)
	page, err = x.list(ListQuery{Now: now})
	require.NoError(t, err)
	require.Empty(t, page.Groups)
}

func TestEventsOfPeopleAreFound(t *testing.T) {
	_, events := person(t, heard(nil, 0, list(fires("a", 0))), minute, func(tr *transition) error {
		return tr.acknowledge(AckRequest{By: mira, Note: "Rollback of checkout"})
	})
	text, err := events[0].Encode()
	require.NoError(t, err)
	for word, want := range map[string]bool{"MIRA": true, "rollback": true, "jo": false} {
		q := EventQuery{Words: []string{word}}
		e, ok := q.Filter().Select([]byte(text))
		require.Equal(t, want, ok, word)
		if ok {
			require.Equal(t, events[0], e)
		}
	}
}
