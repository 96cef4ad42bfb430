package grouping

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scene is a group that notifications and observations change.
type scene struct {
	t       *testing.T
	group   *AlertGroup
	events  []Event
	ended   map[string]time.Time // the silences that ended
	changes int
}

func newScene(t *testing.T) *scene { return &scene{t: t, ended: map[string]time.Time{}} }

// notify applies a complete notification that arrives at the time.
func (s *scene) notify(at time.Duration, alerts ...NotifiedAlert) *scene {
	s.t.Helper()
	before := s.group
	g, events := applied(before, step{at, am0, alerts, 0, ""}.notification(0), testRules)
	s.took(g, events)
	return s
}

// observe applies observations that arrive at the time.
func (s *scene) observe(at time.Duration, all ...Observation) *scene {
	s.t.Helper()
	stamp := NewStamp(base.Add(at), 7, testWriter)
	c, changes := observe(s.group, testKey, all, stamp, testRules, func(id string) time.Time { return s.ended[id] })
	if !changes {
		return s
	}
	s.changes++
	s.took(c.Group, c.Events)
	again, changes := observe(
		c.Group,
		testKey,
		all,
		NewStamp(base.Add(at), 9, testWriter),
		testRules,
		func(id string) time.Time { return s.ended[id] },
	)
	if changes {
		for _, e := range again.Events {
			require.Equal(s.t, EventDelivered, e.Kind, "the same observation changes nothing again")
		}
	}
	return s
}

func (s *scene) took(g *AlertGroup, events []Event) {
	s.t.Helper()
	checkGroup(s.t, g)
	s.group = g
	s.events = append(s.events, events...)
}

// shows requires the shown status of an alert.
func (s *scene) shows(alert string, want Status) *scene {
	s.t.Helper()
	a := s.group.Alert(fingerprintOf(alert))
	require.NotNil(s.t, a)
	require.Equal(s.t, want, a.ShownStatus())
	return s
}

// wrote requires the kinds of the events since the last call, without notifications.
func (s *scene) wrote(want ...EventKind) *scene {
	s.t.Helper()
	var kinds []EventKind
	for _, e := range s.events {
		if e.Kind != EventNotified {
			kinds = append(kinds, e.Kind)
		}
	}
	s.events = nil
	require.Equal(s.t, want, kinds)
	return s
}

func (s *scene) alert(name string) *Alert { return s.group.Alert(fingerprintOf(name)) }

func groupedAt(at time.Duration, na NotifiedAlert) Observation {
	return Observation{Origin: OriginEvent, Instance: "am-0", At: base.Add(at), Alert: &ObservedAlert{
		Group: ObservedGroup{Receiver: testKey.Receiver, GroupKey: testKey.GroupKey}, Alert: na,
	}}
}

func resolvedAt(at time.Duration, na NotifiedAlert) Observation {
	o := groupedAt(at, na)
	o.Alert.Final = true
	return o
}

func mutedAt(at time.Duration, alert string, m Mute) Observation {
	return Observation{
		Origin:   OriginEvent,
		Instance: "am-0",
		At:       base.Add(at),
		Muted:    &ObservedMute{Fingerprint: fingerprintOf(alert), Mute: m},
	}
}

func listedAt(at time.Duration, na NotifiedAlert, mutes ...Mute) Observation {
	o := groupedAt(at, na)
	o.Origin, o.Alert.Listed, o.Alert.Mutes = OriginAPI, true, mutes
	return o
}

func deliveredAt(at time.Duration, receiver string, firing ...string) Observation {
	d := &ObservedDelivery{Delivery: Delivery{Receiver: receiver, Integration: "pagerduty", Reason: "first notification"}}
	for _, alert := range firing {
		d.Firing = append(d.Firing, fingerprintOf(alert))
	}
	return Observation{Origin: OriginEvent, Instance: "am-0", At: base.Add(at), Delivery: d}
}

var (
	silenceA  = Mute{Kind: MuteSilence, ID: "s-a"}
	silenceB  = Mute{Kind: MuteSilence, ID: "s-b"}
	inhibited = Mute{Kind: MuteInhibition, ID: "00000000000000ff", Rule: "node down"}
	night     = Mute{Kind: MuteInterval, ID: "nights"}
)

func TestAnAlertThatNobodyWasNotifiedOf(t *testing.T) {
	s := newScene(t).observe(second, groupedAt(0, fires("a", 0))).shows("a", StatusFiring).wrote(EventOpened, EventFired)
	require.True(t, s.alert("a").Unnotified)
	require.True(t, s.group.LastNotifiedAt.IsZero())

	s.notify(30*second, fires("a", 0)).shows("a", StatusFiring).wrote()
	require.False(t, s.alert("a").Unnotified, "a notification lists it")
}

func TestADeliveryToOthersIsANotification(t *testing.T) {
	s := newScene(t).observe(second, groupedAt(0, fires("a", 0)), groupedAt(0, fires("b", 0)))
	s.events = nil
	s.observe(30*second, deliveredAt(30*second, "pager", "a", "x", "y")).wrote(EventDelivered)
	require.False(t, s.alert("a").Unnotified)
	require.True(t, s.alert("b").Unnotified)
	require.True(t, s.group.LastNotifiedAt.IsZero(), "Muster's own receiver was not told")
}

func TestADeliveryCountsTheAlertsOfTheGroup(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0), fires("b", 0))
	s.events = nil
	s.observe(second, deliveredAt(second, "pager", "a", "x", "y"))
	require.Equal(
		t,
		&Delivery{Receiver: "pager", Integration: "pagerduty", Reason: "first notification", Firing: 1, Of: 3},
		s.events[0].Delivery,
	)
	require.Equal(t, base.Add(second), s.events[0].ObservedAt)
}

func TestASilencedAlertIsSuppressed(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0), fires("b", 0))
	s.events = nil
	s.observe(5*minute, mutedAt(5*minute, "a", silenceA)).shows("a", StatusSuppressed).shows("b", StatusFiring).wrote(EventSuppressed)
	require.Equal(t, []Mute{{Kind: MuteSilence, ID: "s-a", Since: base.Add(5 * minute), From: OriginEvent}}, s.alert("a").Mutes())

	// The notification of the same flush omits it.
	s.notify(5*minute+second, fires("b", 0)).shows("a", StatusSuppressed).wrote(EventUnreported)
	require.Equal(t, StatusUnreported, s.alert("a").Status)

	// A later flush says it again. Nothing is written.
	changes := s.changes
	s.observe(10*minute, mutedAt(10*minute, "a", silenceA))
	require.Equal(t, changes, s.changes)

	s.notify(15*minute, fires("a", 0), fires("b", 0)).shows("a", StatusFiring).wrote(EventReturned, EventUnsuppressed)
	require.Equal(t, base.Add(15*minute), s.alert("a").EndedMutes()[0].Ended)
}

// Alertmanager sends no notification about the end of a muted alert.
func TestAnEndThatAMuteSwallowed(t *testing.T) {
	for name, first := range map[string]func(*scene){
		"suppressed": func(s *scene) { s.observe(5*minute, mutedAt(5*minute, "a", silenceA)) },
		"unreported": func(s *scene) { s.notify(5*minute, fires("b", 0)) },
		"firing":     func(*scene) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t).notify(0, fires("a", 0), fires("b", 0))
			first(s)
			s.events = nil
			s.observe(10*minute, resolvedAt(10*minute, ended("a", 0, 8*minute))).shows("a", StatusResolved)
			require.Equal(t, EventResolved, s.events[0].Kind)
			require.Equal(t, name == "suppressed", s.events[0].Mute != nil)
			require.Equal(t, base.Add(8*minute), s.alert("a").EndsAt, "the exact end")
			require.Empty(t, s.alert("a").Mutes())
			s.events = nil

			// The webhook says the same later, where it says anything.
			s.notify(11*minute, ended("a", 0, 8*minute), fires("b", 0)).wrote()
			require.False(t, s.alert("a").Disputed)
		})
	}
}

func TestANotificationThatIsOlderThanAnObservedEnd(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0), fires("b", 0)).observe(minute, resolvedAt(minute, ended("a", 0, 50*second)))
	s.notify(minute+testRules.settle/2, fires("a", 0), fires("b", 0)).shows("a", StatusResolved)
	s.notify(minute+2*testRules.settle, fires("a", 0), fires("b", 0)).shows("a", StatusFiring)
}

func TestALaterEventUndoesAnEnd(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0)).observe(minute, resolvedAt(minute, ended("a", 0, 50*second)))
	s.events = nil
	s.observe(2*minute, groupedAt(55*second, fires("a", 0))).shows("a", StatusResolved).wrote()
	s.observe(3*minute, groupedAt(3*minute, fires("a", 0))).shows("a", StatusFiring).wrote(EventOpened, EventReopened)
}

func TestTwoSilencesOfWhichOneEnds(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0)).observe(minute, mutedAt(minute, "a", silenceA), mutedAt(minute, "a", silenceB))
	s.events = nil
	s.observe(2*minute, Observation{At: base.Add(2 * minute), Unmuted: &silenceA}).shows("a", StatusSuppressed).wrote()
	s.observe(3*minute, Observation{At: base.Add(3 * minute), Unmuted: &silenceB}).shows("a", StatusFiring).wrote(EventUnsuppressed)
}

func TestASilenceWithAnInhibition(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0)).observe(minute, mutedAt(minute, "a", silenceA), mutedAt(minute, "a", inhibited))
	s.observe(2*minute, Observation{At: base.Add(2 * minute), Unmuted: &silenceA}).shows("a", StatusSuppressed)
	require.Equal(t, "node down", s.alert("a").Mutes()[0].Rule)
	s.observe(3*minute, listedAt(3*minute, fires("a", 0))).shows("a", StatusFiring)
}

func TestTheAPIListsAllMutes(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0), fires("b", 0))
	s.events = nil
	s.observe(minute, listedAt(minute, fires("a", 0), night), listedAt(minute, fires("b", 0))).
		shows("a", StatusSuppressed).
		wrote(EventSuppressed)
	s.observe(2*minute, listedAt(2*minute, fires("a", 0), night, silenceA)).wrote()
	s.observe(3*minute, listedAt(3*minute, fires("a", 0), silenceA)).shows("a", StatusSuppressed).wrote()
	s.observe(4*minute, listedAt(4*minute, fires("a", 0))).shows("a", StatusFiring).wrote(EventUnsuppressed)
	require.False(t, s.alert("a").Unnotified)
}

// The API has milliseconds only, and no annotations may be lost through it.
func TestTheAPIMakesNoNewEpisode(t *testing.T) {
	exact := fires("a", 0)
	exact.StartsAt = exact.StartsAt.Add(123456 * time.Nanosecond)
	cut := exact
	cut.StartsAt = exact.StartsAt.Truncate(time.Millisecond)
	s := newScene(t).observe(second, listedAt(second, cut)).notify(minute, exact).observe(2*minute, groupedAt(2*minute, exact))
	require.Len(t, s.alert("a").Episodes(), 1)
	s = newScene(t).notify(0, exact).observe(minute, listedAt(minute, cut))
	require.Zero(t, s.changes)
}

func TestAnAlertThatIsGone(t *testing.T) {
	gone := func(alert string, from, by time.Duration) Observation {
		return Observation{Origin: OriginAPI, At: base.Add(by), Gone: &ObservedGone{fingerprintOf(alert), base.Add(from), base.Add(by)}}
	}
	s := newScene(
		t,
	).notify(0, fires("a", 0), fires("b", 0), fires("c", 0)).
		observe(minute, mutedAt(minute, "a", silenceA), groupedAt(minute, fires("d", 0)))
	s.notify(5*minute, fires("b", 0))
	s.events = nil
	s.observe(
		8*minute,
		gone("a", 6*minute, 8*minute),
		gone("b", 6*minute, 8*minute),
		gone("c", 6*minute, 8*minute),
		gone("d", 6*minute, 8*minute),
	)
	s.shows("a", StatusUnreported).shows("b", StatusFiring).shows("c", StatusUnreported)
	for _, alert := range []string{"a", "c"} {
		require.Equal(t, base.Add(6*minute), s.alert(alert).GoneFrom)
		require.Equal(t, base.Add(8*minute), s.alert(alert).GoneBy)
		require.True(t, s.alert(alert).EndsAt.IsZero(), "nobody reported its end")
	}
	require.True(t, s.alert("b").GoneFrom.IsZero(), "it waits for its next notification")
	s.notify(10*minute, fires("a", 0), fires("b", 0)).shows("a", StatusFiring)
	require.True(t, s.alert("a").GoneFrom.IsZero())
}

// What must never be concluded.
func TestNoWrongConclusions(t *testing.T) {
	t.Run("an alert fires because it is muted", func(t *testing.T) {
		s := newScene(t).notify(0, fires("b", 0)).observe(minute, mutedAt(minute, "a", silenceA))
		require.Nil(t, s.alert("a"))
		s.notify(2*minute, fires("a", 0), fires("b", 0)).notify(3*minute, ended("a", 0, 150*second), fires("b", 0))
		s.observe(4*minute, mutedAt(4*minute, "a", silenceA)).shows("a", StatusResolved)
	})
	t.Run("somebody was notified because of an end", func(t *testing.T) {
		s := newScene(t).observe(minute, groupedAt(0, fires("a", 0)), resolvedAt(minute, ended("a", 0, 30*second)))
		require.True(t, s.alert("a").Unnotified)
		require.True(t, s.group.LastNotifiedAt.IsZero())
	})
	t.Run("a silence that ended mutes", func(t *testing.T) {
		s := newScene(t).notify(0, fires("a", 0))
		s.ended["s-a"] = base.Add(2 * minute)
		s.observe(3*minute, mutedAt(minute, "a", silenceA)).shows("a", StatusFiring)
		require.Len(t, s.alert("a").EndedMutes(), 1, "it fills the history")
	})
	t.Run("the named inhibiting alert is the only one", func(t *testing.T) {
		other := Mute{Kind: MuteInhibition, ID: "00000000000000ee"}
		s := newScene(
			t,
		).notify(0, fires("a", 0)).
			observe(minute, mutedAt(minute, "a", inhibited)).
			observe(2*minute, mutedAt(2*minute, "a", other))
		require.Len(t, s.alert("a").Mutes(), 2)
	})
	t.Run("a late end ends the new episode", func(t *testing.T) {
		s := newScene(t).notify(0, fires("a", 0)).notify(5*minute, fires("a", 4*minute))
		s.observe(6*minute, resolvedAt(2*minute, ended("a", 0, 2*minute))).shows("a", StatusFiring)
		s.observe(6*minute, groupedAt(2*minute, ended("a", 0, 2*minute))).shows("a", StatusFiring)
	})
	t.Run("a late mute mutes what was notified since", func(t *testing.T) {
		s := newScene(t).notify(0, fires("a", 0), fires("b", 0)).notify(5*minute, fires("a", 0), fires("b", 0), fires("c", 5*minute))
		s.observe(6*minute, mutedAt(2*minute, "a", silenceA)).shows("a", StatusFiring)
	})
	t.Run("a late alert begins an old episode again", func(t *testing.T) {
		s := newScene(t).notify(0, fires("a", 0)).notify(2*minute, ended("a", 0, minute)).notify(5*minute, fires("a", 4*minute))
		changes := s.changes
		s.observe(6*minute, groupedAt(0, fires("a", 0)), groupedAt(30*second, fires("a", 0)))
		require.Equal(t, changes, s.changes)
	})
	t.Run("an end makes one that is reported late again", func(t *testing.T) {
		s := newScene(
			t,
		).observe(minute, resolvedAt(minute, ended("a", 0, 50*second))).
			observe(minute+second, groupedAt(10*second, fires("a", 0)))
		s.shows("a", StatusResolved)
	})
}

func TestASuppressedAlertDoesNotExpire(t *testing.T) {
	s := newScene(
		t,
	).notify(0, fires("a", 0), fires("b", 0)).
		observe(minute, mutedAt(minute, "a", silenceA)).
		notify(2*minute, fires("b", 0))
	require.Empty(t, expiredAlerts(s.group, base.Add(365*day), day))
	// It fired until its silence ended, as far as anybody knows.
	s.observe(30*day, Observation{At: base.Add(30 * day), Unmuted: &silenceA}).shows("a", StatusUnreported)
	require.Empty(t, expiredAlerts(s.group, base.Add(31*day), day))
	require.Equal(t, []Fingerprint{fingerprintOf("a")}, expiredAlerts(s.group, base.Add(31*day+second), day))
}

// The clock of an Alertmanager can be years ahead. Its alerts expire nevertheless.
func TestAMuteFromTheFutureKeepsNoAlert(t *testing.T) {
	future := 3650 * day
	s := newScene(t).notify(0, fires("a", 0), fires("b", 0)).observe(minute, mutedAt(future, "a", silenceA)).
		notify(2*minute, fires("b", 0)).observe(3*minute, Observation{At: base.Add(future + minute), Unmuted: &silenceA})
	require.Equal(t, []Fingerprint{fingerprintOf("a")}, expiredAlerts(s.group, base.Add(2*day), day))
}

// An alert can be observed while an older notification is on its way.
func TestANotificationThatIsOlderThanAnObservedAlert(t *testing.T) {
	s := newScene(t).notify(0, fires("b", 0)).observe(minute, groupedAt(minute, fires("a", minute)))
	s.notify(minute+second, fires("b", 0)).shows("a", StatusFiring)
	s.notify(6*minute, fires("b", 0)).shows("a", StatusUnreported)

	s = newScene(t).notify(0, fires("a", 0)).observe(5*minute, groupedAt(5*minute, fires("a", 5*minute)))
	s.notify(5*minute+second, fires("a", 0)).shows("a", StatusFiring)
	require.Equal(t, base.Add(5*minute), s.alert("a").StartsAt)
}

func TestActiveMutesAreBounded(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0))
	for i := range time.Duration(maxActiveMutes + 3) {
		s.observe(i*second+minute, mutedAt(i*second+minute, "a", Mute{Kind: MuteInhibition, ID: i.String()}))
	}
	require.Len(t, s.alert("a").Mutes(), maxActiveMutes)
	require.Equal(t, "3ns", s.alert("a").Mutes()[0].ID, "the newest remain")
}

func TestEndedMutesAreBounded(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0))
	for i := range time.Duration(maxEndedMutes + 5) {
		m := Mute{Kind: MuteSilence, ID: string(rune('a' + i))}
		s.observe(i*minute+second, mutedAt(i*minute+second, "a", m)).
			observe(i*minute+2*second, Observation{At: base.Add(i*minute + 2*second), Unmuted: &m})
	}
	require.Len(t, s.alert("a").EndedMutes(), maxEndedMutes)
	require.Equal(t, "m", s.alert("a").EndedMutes()[maxEndedMutes-1].ID, "the newest remain")
}

// A time interval belongs to a route. That other routes notify of an alert says nothing about it.
func TestADeliveryOfAnotherRouteEndsNoInterval(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0), fires("b", 0)).
		observe(minute, listedAt(minute, fires("a", 0), night), mutedAt(minute, "b", silenceA))
	s.events = nil
	of := func(at time.Duration, group ObservedGroup) Observation {
		o := deliveredAt(at, group.Receiver, "a", "b")
		o.Delivery.Group = group
		return o
	}
	s.observe(2*minute, of(2*minute, ObservedGroup{Receiver: "pager", GroupKey: testKey.GroupKey}))
	s.observe(2*minute, of(2*minute, ObservedGroup{Receiver: testKey.Receiver, GroupKey: "other"}))
	s.shows("a", StatusSuppressed).shows("b", StatusFiring).wrote(EventUnsuppressed, EventDelivered, EventDelivered)
	s.observe(3*minute, of(3*minute, ObservedGroup{Receiver: testKey.Receiver, GroupKey: testKey.GroupKey}))
	s.shows("a", StatusFiring).wrote(EventUnsuppressed, EventDelivered)
}

// The clock of an Alertmanager can be hours ahead. Notifications have no clock, so they count.
func TestAnObservationFromTheFutureHoldsNoNotificationBack(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0)).observe(minute, resolvedAt(120*minute, ended("a", 0, 50*second)))
	s.notify(10*minute, fires("a", 0)).shows("a", StatusFiring)

	s = newScene(t).notify(0, fires("a", 0)).observe(minute, resolvedAt(120*minute, ended("a", 0, 50*second)))
	s.observe(10*minute, groupedAt(120*minute-second, fires("a", 0))).shows("a", StatusResolved)
	s.observe(10*minute, listedAt(10*minute, fires("a", 0))).shows("a", StatusFiring)

	s = newScene(t).notify(0, fires("b", 0)).observe(minute, groupedAt(120*minute, fires("a", minute)))
	s.notify(10*minute, fires("a", 0), fires("b", 0))
	require.False(t, s.alert("a").Unnotified)
}

// Two replicas can disagree for long: one notifies that an alert is resolved, the API of the
// other one lists it.
func TestADisputeBetweenANotificationAndTheAPI(t *testing.T) {
	s := newScene(t).notify(0, fires("a", 0)).notify(5*minute, ended("a", 0, 4*minute))
	s.observe(6*minute, listedAt(6*minute, fires("a", 0))).notify(10*minute, ended("a", 0, 4*minute))
	require.True(t, s.alert("a").Disputed)
	s.events = nil
	for i := range time.Duration(5) {
		at := 10*minute + i*5*minute
		s.observe(at+minute, listedAt(at+minute, fires("a", 0))).shows("a", StatusFiring)
		s.notify(at+5*minute, ended("a", 0, 4*minute)).shows("a", StatusResolved)
	}
	s.wrote()
	require.True(t, s.alert("a").Disputed)
}

// An end that another key tells, by a clock that is hours ahead, does not end what fires since.
func TestAnEndFromTheFutureUnderAnotherKey(t *testing.T) {
	other := newScene(t).notify(0, fires("a", 0)).observe(minute, resolvedAt(120*minute, ended("a", 0, 50*second)))
	s := newScene(t).notify(0, fires("a", 0))
	require.True(t, s.group.endedBy(s.alert("a"), other.alert("a")))
	s.notify(2*minute, fires("a", 0))
	require.False(t, s.group.endedBy(s.alert("a"), other.alert("a")))
}
