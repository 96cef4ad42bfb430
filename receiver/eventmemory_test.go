package receiver

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/wire/wiretest"
)

// story is what a memory is told and asked about one alert.
type story struct {
	*eventMemory

	now time.Time
}

func newStory() *story { return &story{newEventMemory(), wiretest.EventTime} }

// keep remembers an event of an instance, which says that the alert ended at end, or fires.
func (s *story) keep(instance string, at, end time.Duration) {
	a := grouping.ObservedAlert{Group: ofTeam, Alert: firing}
	if end > 0 {
		a.Alert.Status, a.Alert.EndsAt = grouping.StatusResolved, wiretest.EventTime.Add(end)
	}
	e := keptEvent{at: wiretest.EventTime.Add(at), signature: signatureOf(instance, end)}
	e.alert, e.content = s.alertIn("prod", &a)
	s.remember([]keptEvent{e}, s.now)
}

// signatureOf is the signature of what keep remembers.
func signatureOf(instance string, end time.Duration) uint64 {
	return uint64(end) + uint64(instance[len(instance)-1])
}

// skips reports whether the event would be skipped.
func (s *story) skips(instance string, end time.Duration) bool {
	return s.saysNothingNew(signatureOf(instance, end), s.now)
}

func TestAnEventIsSkippedWhileItIsTheLastWord(t *testing.T) {
	const fires, ends = 0, time.Minute
	s := newStory()
	require.False(t, s.skips("am-0", fires))
	s.keep("am-0", 0, fires)
	require.True(t, s.skips("am-0", fires))
	require.False(t, s.skips("am-0", ends))

	// Two Prometheus servers take turns: each of these says something new.
	s.keep("am-0", 1*time.Second, ends)
	require.True(t, s.skips("am-0", ends))
	require.False(t, s.skips("am-0", fires))
	s.keep("am-0", 2*time.Second, fires)
	require.True(t, s.skips("am-0", fires))
	require.False(t, s.skips("am-0", ends))

	// Another Alertmanager says the same, then more.
	require.False(t, s.skips("am-1", fires))
	s.keep("am-1", 3*time.Second, fires)
	require.True(t, s.skips("am-1", fires))
	require.True(t, s.skips("am-0", fires))
	s.keep("am-1", 4*time.Second, ends)
	require.False(t, s.skips("am-0", fires), "it contradicts the other one")
	require.False(t, s.skips("am-1", fires))
}

// An event that arrives late does not hide what comes next.
func TestALateEventHidesNothing(t *testing.T) {
	s := newStory()
	s.keep("am-0", 10*time.Second, 0)
	s.keep("am-0", 5*time.Second, time.Minute)
	require.False(t, s.skips("am-0", 0))
	require.False(t, s.skips("am-0", time.Minute))
	s.keep("am-0", 11*time.Second, 0)
	require.True(t, s.skips("am-0", 0))
	// A late one that says the same changes nothing.
	s.keep("am-0", 6*time.Second, 0)
	require.True(t, s.skips("am-0", 0))
	s.keep("am-0", 7*time.Second, time.Minute)
	require.False(t, s.skips("am-0", time.Minute), "it is older than the newest")
}

// From time to time the domain hears it again.
func TestAnEventIsSkippedForAWhile(t *testing.T) {
	s := newStory()
	s.keep("am-0", 0, 0)
	s.now = s.now.Add(refreshInterval - time.Millisecond)
	require.True(t, s.skips("am-0", 0))
	s.now = s.now.Add(time.Millisecond)
	require.False(t, s.skips("am-0", 0))
	s.keep("am-0", refreshInterval, 0)
	require.True(t, s.skips("am-0", 0))
}

// The content has all that the domain keeps of an alert, and the alert its whole identity.
func TestContentOfAnAlert(t *testing.T) {
	m := newEventMemory()
	alert, content := m.alertIn("prod", &grouping.ObservedAlert{Group: ofTeam, Alert: firing})
	for name, change := range map[string]func(*grouping.ObservedAlert){
		"start":             func(a *grouping.ObservedAlert) { a.Alert.StartsAt = a.Alert.StartsAt.Add(1) },
		"end":               func(a *grouping.ObservedAlert) { a.Alert.EndsAt = wiretest.EventTime },
		"status":            func(a *grouping.ObservedAlert) { a.Alert.Status = grouping.StatusResolved },
		"annotation":        func(a *grouping.ObservedAlert) { a.Alert.Annotations = labelled("s", "u") },
		"annotation's name": func(a *grouping.ObservedAlert) { a.Alert.Annotations = labelled("st", "") },
		"no annotation":     func(a *grouping.ObservedAlert) { a.Alert.Annotations = grouping.Labels{} },
	} {
		a := grouping.ObservedAlert{Group: ofTeam, Alert: firing}
		change(&a)
		sameAlert, other := m.alertIn("prod", &a)
		require.Equal(t, alert, sameAlert, name)
		require.NotEqual(t, content, other, name)
	}
	for name, change := range map[string]func(*grouping.ObservedAlert){
		"receiver":    func(a *grouping.ObservedAlert) { a.Group.Receiver = "tea" },
		"group key":   func(a *grouping.ObservedAlert) { a.Group.GroupKey = "m" + a.Group.GroupKey },
		"fingerprint": func(a *grouping.ObservedAlert) { a.Alert.Fingerprint = "000000000000000b" },
	} {
		a := grouping.ObservedAlert{Group: ofTeam, Alert: firing}
		change(&a)
		other, sameContent := m.alertIn("prod", &a)
		require.NotEqual(t, alert, other, name)
		require.Equal(t, content, sameContent, name)
	}
	other, _ := m.alertIn("staging", &grouping.ObservedAlert{Group: ofTeam, Alert: firing})
	require.NotEqual(t, alert, other)
	require.NotEqual(t, m.sourceIn("prod"), m.sourceIn("staging"))
	_, final := m.alertIn("prod", &grouping.ObservedAlert{Group: ofTeam, Alert: firing, Final: true})
	require.Equal(t, content, final, "that a flush dropped it does not make its repetitions new")
}

func TestSumsOfEvents(t *testing.T) {
	m, h := newEventMemory(), sha256.New()
	sum := sumIn(h, "prod", []byte("{}"))
	require.False(t, m.wasKept(sum))
	m.remember([]keptEvent{{sum: sum}}, wiretest.EventTime)
	require.True(t, m.wasKept(sumIn(h, "prod", []byte("{}"))))
	require.False(t, m.wasKept(sumIn(h, "staging", []byte("{}"))))
	require.False(t, m.wasKept(sumIn(h, "prod", []byte("{ }"))))
	require.False(t, m.wasKept(sumIn(h, "pro", []byte("d{}"))))
	// It is kept for ten minutes, if there is room.
	for i := range 3 {
		now := wiretest.EventTime.Add(time.Duration(i) * eventSumMinimum)
		require.Equal(t, i < 2, m.wasKept(sum), i)
		m.remember([]keptEvent{{sum: sumIn(h, "prod", fmt.Append(nil, i))}}, now.Add(eventSumMinimum))
	}
}

// The memory is bounded, and has at least the newest entries.
func TestGenerations(t *testing.T) {
	g := generations[int, int]{size: 10}
	now := wiretest.EventTime
	for i := range 1000 {
		g.put(i, i, now)
		require.LessOrEqual(t, len(g.young)+len(g.old), 20)
		for back := range min(i+1, 10) {
			v, ok := g.get(i - back)
			require.True(t, ok)
			require.Equal(t, i-back, v)
		}
	}
	_, ok := g.get(900)
	require.False(t, ok)
	g.put(999, 7, now)
	v, _ := g.get(999)
	require.Equal(t, 7, v, "the newest value counts")
}
