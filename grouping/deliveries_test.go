package grouping

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sentEvents returns events, newest first. Each is some seconds after the one before it.
type sentEvents struct {
	at     time.Time
	events []Event
}

func (s *sentEvents) add(after time.Duration, e Event) {
	s.at = s.at.Add(after)
	e.ID, e.Time, e.GroupID = fmt.Sprintf("%032d%06x", s.at.Unix(), 0), s.at, "g"
	s.events = append([]Event{e}, s.events...)
}

func (s *sentEvents) notified(after time.Duration, reason string, firing int, from string) {
	s.add(after, Event{Kind: EventNotified, Notified: &Notified{Reason: reason, Firing: firing, ExternalURL: from}})
}

func (s *sentEvents) delivered(after time.Duration, receiver, flush, reason string, firing int) {
	s.add(after, Event{Kind: EventDelivered, Delivery: &Delivery{
		Receiver: receiver, Integration: "webhook", Flush: flush, Reason: reason, Firing: firing,
	}})
}

func (s *sentEvents) flushes(since time.Duration) []string {
	var out []string
	for _, f := range Flushes(s.events, 10, 6*time.Minute, s.at.Add(since)) {
		text := f.Reason
		if f.Notification != nil {
			text += fmt.Sprint(" from ", f.Notification.From)
		}
		for _, e := range f.Deliveries {
			text += " " + e.Delivery.Receiver
		}
		if len(f.Missing) > 0 {
			text += fmt.Sprint(" missing ", f.Missing)
		}
		out = append(out, text)
	}
	return out
}

const newAlerts = "new alerts added"

// A delivery belongs to the notification of the same flush.
func TestDeliveriesFoldIntoFlushes(t *testing.T) {
	s := &sentEvents{at: time.Unix(1_800_000_000, 0)}
	s.delivered(0, "pager", "f1", newAlerts, 1)
	s.notified(time.Second, newAlerts, 1, "am0")
	s.notified(15*time.Second, newAlerts, 1, "am1")
	s.delivered(time.Second, "pager", "f2", newAlerts, 1) // the copy of the other replica
	s.delivered(time.Second, "chat", "f1", newAlerts, 1)
	s.notified(5*time.Minute, newAlerts, 2, "am0")
	s.delivered(time.Second, "pager", "f3", newAlerts, 3)
	s.delivered(time.Second, "chat", "f3", newAlerts, 2) // the ID of the flush decides
	s.delivered(time.Second, "mail", "f4", newAlerts, 3) // other counts: another route
	require.Equal(t, []string{
		"new alerts added mail", "new alerts added from [am0] chat pager", "new alerts added from [am0 am1] chat pager",
	}, s.flushes(time.Second))
}

func TestADeliveryThatWasExpectedIsMissing(t *testing.T) {
	s := &sentEvents{at: time.Unix(1_800_000_000, 0)}
	s.notified(0, newAlerts, 1, "am0")
	s.delivered(time.Second, "pager", "f1", newAlerts, 1)
	s.delivered(0, "chat", "f1", newAlerts, 1)
	s.notified(10*time.Minute, newAlerts, 2, "am0")
	s.delivered(time.Second, "chat", "f2", newAlerts, 2)
	last := "new alerts added from [am0] chat"
	first := "new alerts added from [am0] chat pager"
	require.Equal(t, []string{last, first}, s.flushes(5*time.Minute), "it may still come")
	require.Equal(t, []string{last + " missing [pager]", first}, s.flushes(7*time.Minute))

	late := *s
	late.delivered(4*time.Minute, "pager", "f3", newAlerts, 2)
	require.NotContains(t, fmt.Sprint(late.flushes(time.Hour)), "missing", "another route has another delay")

	s.notified(time.Hour, "all alerts resolved", 0, "am0")
	s.delivered(time.Second, "chat", "f4", "all alerts resolved", 0)
	s.notified(time.Hour, newAlerts, 3, "am0")
	got := s.flushes(time.Hour)
	require.Equal(t, "all alerts resolved from [am0] chat", got[1], "a receiver may not want to know what is resolved")
	require.Equal(t, "new alerts added from [am0]", got[0], "without any delivery the recorder may be off")
}
