package receiver

import (
	"crypto/sha256"
	"hash"
	"hash/maphash"
	"sync"
	"time"

	"muster/grouping"
)

const (
	// maxSayings is the maximum number of remembered signatures, and of alerts that they are
	// about. More alerts than half of it cost a decode more often.
	maxSayings = 200_000
	// maxEventSums is the maximum number of remembered checksums of events. Alertmanager
	// repeats a request within seconds.
	maxEventSums    = 100_000
	eventSumMinimum = 10 * time.Minute
	// refreshInterval is how long events that say nothing new are skipped. Then one is passed
	// to the domain again, so that what the domain forgot or heard elsewhere is corrected.
	refreshInterval = 5 * time.Minute
)

// eventMemory remembers which events were kept, so that one that says the same is skipped. It
// is safe for concurrent use.
type eventMemory struct {
	seed maphash.Seed

	mu      sync.Mutex
	sayings generations[uint64, saying]              // guarded by mu; by signature
	alerts  generations[uint64, alertSaid]           // guarded by mu; by alert
	sums    generations[[sha256.Size]byte, struct{}] // guarded by mu
}

// saying is what an event with some signature said, and about which alert.
type saying struct{ alert, content uint64 }

// alertSaid is what was last kept about an alert in a group.
type alertSaid struct {
	content uint64
	at      time.Time // of the event
	kept    time.Time // in our clock
}

func newEventMemory() *eventMemory {
	return &eventMemory{
		seed:    maphash.MakeSeed(),
		sayings: generations[uint64, saying]{size: maxSayings / 2}, alerts: generations[uint64, alertSaid]{size: maxSayings / 2},
		sums: generations[[sha256.Size]byte, struct{}]{size: maxEventSums / 2, minimum: eventSumMinimum},
	}
}

// sourceIn returns a hash of a source, which makes signatures those of the source.
func (m *eventMemory) sourceIn(source string) uint64 { return maphash.String(m.seed, source) }

// saysNothingNew reports whether the last event that was kept about the alert had the same
// content as the event with this signature.
func (m *eventMemory) saysNothingNew(signature uint64, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sayings.get(signature)
	if !ok {
		return false
	}
	last, ok := m.alerts.get(s.alert)
	return ok && last.content == s.content && now.Sub(last.kept) < refreshInterval
}

// wasKept reports whether an event with this checksum was kept.
func (m *eventMemory) wasKept(sum [sha256.Size]byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.sums.get(sum)
	return ok
}

// keptEvent is what is remembered of an event after it was kept.
type keptEvent struct {
	sum       [sha256.Size]byte
	signature uint64 // 0: the event has none
	alert     uint64 // 0: the event is not about an alert of a group
	content   uint64
	at        time.Time
}

// remember remembers events that were kept.
func (m *eventMemory) remember(events []keptEvent, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range events {
		e := &events[i]
		m.sums.put(e.sum, struct{}{}, now)
		if e.alert == 0 {
			continue
		}
		if e.signature != 0 {
			m.sayings.put(e.signature, saying{e.alert, e.content}, now)
		}
		m.alerts.put(e.alert, m.said(e, now), now)
	}
}

// said returns what is known of the alert after an event. The caller holds mu.
func (m *eventMemory) said(e *keptEvent, now time.Time) alertSaid {
	last, ok := m.alerts.get(e.alert)
	if ok && last.content != e.content && e.at.Before(last.at) {
		// It came late. The domain decides what is true, so the next event of this alert
		// is passed to it, whatever that event says.
		return alertSaid{at: last.at}
	}
	if ok && e.at.Before(last.at) {
		e.at = last.at
	}
	return alertSaid{content: e.content, at: e.at, kept: now}
}

// sumIn returns the checksum of an event of a source.
func sumIn(h hash.Hash, source string, text []byte) (sum [sha256.Size]byte) {
	h.Reset()
	_, _ = h.Write([]byte(source))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(text)
	h.Sum(sum[:0])
	return sum
}

// alertIn returns a hash of an alert and its group, and a hash of what is said about it. A
// content is never 0.
func (m *eventMemory) alertIn(source string, o *grouping.ObservedAlert) (alert, content uint64) {
	var h maphash.Hash
	h.SetSeed(m.seed)
	write := func(texts ...string) {
		for _, text := range texts {
			_, _ = h.WriteString(text)
			_ = h.WriteByte(0xff) // not in UTF-8
		}
	}
	write(source, o.Group.Receiver, o.Group.GroupKey, string(o.Alert.Fingerprint))
	alert = h.Sum64()
	h.Reset()
	write(string(o.Alert.Status), o.Alert.StartsAt.Format(time.RFC3339Nano), o.Alert.EndsAt.Format(time.RFC3339Nano))
	for name, value := range o.Alert.Annotations.All() {
		write(name, value)
	}
	return alert, h.Sum64() | 1
}

// generations is a map that forgets its oldest entries. It keeps at least the last size
// entries, and at most twice as many.
type generations[K comparable, V any] struct {
	size int
	// minimum is how long an entry is kept if there is room for it. 0: no limit.
	minimum time.Duration

	young, old map[K]V
	since      time.Time // the first entry of young
}

func (g *generations[K, V]) get(key K) (V, bool) {
	if v, ok := g.young[key]; ok {
		return v, true
	}
	v, ok := g.old[key]
	return v, ok
}

func (g *generations[K, V]) put(key K, v V, now time.Time) {
	if len(g.young) >= g.size || g.minimum > 0 && now.Sub(g.since) >= g.minimum {
		g.young, g.old = nil, g.young
	}
	if g.young == nil {
		g.young, g.since = map[K]V{}, now
	}
	g.young[key] = v
}
