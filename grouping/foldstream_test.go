package grouping

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// One notification to one receiver is counted once, however many events tell of it.
func TestSent(t *testing.T) {
	s := NewSent()
	add := func(second int, group ID, e Event) (int, bool) {
		e.Time, e.GroupID = base.Add(time.Duration(second)*time.Second), group
		return s.Add(&e)
	}
	notified := func(reason, from string, firing int) Event {
		return Event{Kind: EventNotified, Receiver: "team", Notified: &Notified{Reason: reason, ExternalURL: from, Firing: firing}}
	}
	delivered := func(receiver, integration, flush string, firing int) Event {
		return Event{Kind: EventDelivered, Receiver: "team", Delivery: &Delivery{
			Receiver: receiver, Integration: integration, Reason: "first", Flush: flush, Firing: firing,
		}}
	}
	for _, c := range []struct {
		what   string
		second int
		group  ID
		event  Event
		number int
		isNew  bool
	}{
		{"a notification", 0, "a", notified("first", "am-0", 2), 0, true},
		{"its copy", 15, "a", notified("first", "am-1", 2), 0, false},
		{"its delivery", 16, "a", delivered("team", "webhook", "f0", 2), 0, false},
		{"another receiver of the flush", 16, "a", delivered("pager", "pagerduty", "f0", 2), 1, true},
		{"another integration", 16, "a", delivered("pager", "slack", "f0", 2), 1, false},
		{"the flush of another replica", 17, "a", delivered("pager", "slack", "f1", 2), 1, false},
		{"the same flush in another group", 18, "b", delivered("pager", "slack", "f0", 1), 1, false},
		{"another group", 18, "b", notified("first", "am-0", 2), 2, true},
		{"the same sender again", 20, "a", notified("first", "am-0", 2), 3, true},
		{"other numbers", 21, "a", notified("first", "am-1", 3), 4, true},
		{"another reason", 22, "a", notified("repeat", "am-1", 3), 5, true},
		{"no reason", 23, "a", notified("", "am-2", 3), 4, false},
		{"a minute after the last copy", 83, "a", notified("first", "am-3", 3), 6, true},
		{"a delivery first", 200, "a", delivered("team", "webhook", "", 1), 7, true},
		{"then the notification", 201, "a", notified("first", "am-0", 1), 7, false},
		{"an old flush", 300, "a", delivered("pager", "slack", "f0", 2), 8, true},
	} {
		number, isNew := add(c.second, c.group, c.event)
		require.Equal(t, c.number, number, c.what)
		require.Equal(t, c.isNew, isNew, c.what)
	}
	for i := range 3 * maxFlushes {
		add(1000+i, "c", delivered("pager", "slack", string(NewClock().Stamp()), 2))
	}
	require.LessOrEqual(t, len(s.flushes), maxFlushes+1)
	// In a storm, not every delivery may look at all the others.
	looked := 0
	for i := range 8 * maxFlushes {
		before := s.forgetAt
		add(10_000, "c", delivered("pager", "slack", "storm "+strconv.Itoa(i), 2))
		if s.forgetAt != before {
			looked++
		}
	}
	require.LessOrEqual(t, looked, 4)
	require.Greater(t, s.forgetAt, len(s.flushes))
}
