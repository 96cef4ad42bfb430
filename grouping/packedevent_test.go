package grouping

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A packed event is the event, whatever it has.
func TestPackedEventsAreTheEvents(t *testing.T) {
	at := time.Date(2026, 11, 23, 3, 0, 0, 123, time.UTC)
	usual := Event{
		ID: "1", Time: at, Kind: EventFired, GroupID: "g", Source: "s", Receiver: "r", Fingerprint: "f",
		Labels: LabelsOf([]Label{{Name: "a", Value: "b"}}), Was: StatusResolved, StartsAt: at, EndsAt: at.Add(time.Second), Content: "c",
	}
	changed := func(change func(*Event)) *Event {
		e := usual
		change(&e)
		return &e
	}
	for _, e := range []*Event{
		&usual,
		{},
		changed(func(e *Event) { e.EndsAt = time.Time{} }),
		changed(func(e *Event) { e.Opened = &Opened{GroupKey: "k"} }),
		changed(func(e *Event) { e.Notified = &Notified{Firing: 2} }),
	} {
		packed := e.Pack(nil)
		require.Equal(t, *e, packed.Event())
		require.Nil(t, packed.whole)
	}
	for _, e := range []*Event{
		changed(func(e *Event) { e.Time = time.Now() }),
		changed(func(e *Event) { e.StartsAt = at.In(time.FixedZone("", 3600)) }),
		changed(func(e *Event) { e.EndsAt = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }),
		changed(func(e *Event) { e.StartsAt = time.Time{}.In(time.FixedZone("", 3600)) }),
		changed(func(e *Event) { e.ObservedAt = at }),
		changed(func(e *Event) { e.Kind = "later" }),
		changed(func(e *Event) { e.Was = "later" }),
		changed(func(e *Event) { e.Unknown = "{}" }),
		changed(func(e *Event) { e.Delivery = &Delivery{Receiver: "chat"} }),
		changed(func(e *Event) { e.Mute = &Mute{Kind: MuteSilence, ID: "s"} }),
		changed(func(e *Event) { e.Silence = &SilenceChange{ID: "s"} }),
		changed(func(e *Event) { e.Alert = &AlertDetail{Status: StatusFiring} }),
		changed(func(e *Event) { e.People = &PeopleDetail{Note: "n"} }),
		changed(func(e *Event) { e.Gap = &Gap{From: e.Time.Add(-time.Hour), To: e.Time} }),
	} {
		packed := e.Pack(nil)
		require.Equal(t, *e, packed.Event())
		require.Equal(t, e.Time, packed.Time())
		require.NotNil(t, packed.whole)
	}
}

func TestPackedEventsAreSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(PackedEvent{}), uintptr(144), "Go's size class")
	group := func(id ID, previous *PackedEvent) PackedEvent { return (&Event{GroupID: id}).Pack(previous) }
	first := group("g", nil)
	require.Same(t, first.origin, group("g", &first).origin)
	require.NotSame(t, first.origin, group("h", &first).origin)
	require.Equal(t, ID("g"), group("g", &PackedEvent{whole: &Event{}}).origin.group)
}
