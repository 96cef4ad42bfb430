package grouping

import (
	"cmp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// observerMemory has what was observed of all sources, and is not part of a group. It is lost
// at a restart. It is safe for concurrent use.
type observerMemory struct {
	mu      sync.Mutex
	sources map[string]*sourceMemory // guarded by mu
}

// of returns the memory of a source.
func (o *observerMemory) of(source string) *sourceMemory {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sources == nil {
		o.sources = map[string]*sourceMemory{}
	}
	s := o.sources[source]
	if s == nil {
		s = newSourceMemory()
		o.sources[source] = s
	}
	return s
}

// hasRoom reports whether a source is known, or the limit leaves room for a new one.
func (o *observerMemory) hasRoom(source string, maxSources int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sources[source] != nil || maxSources == 0 || len(o.sources) < maxSources
}

// known returns the memory of a source, or nil if nothing of it was observed.
func (o *observerMemory) known(source string) *sourceMemory {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sources[source]
}

// The limits of the memory of one source.
const (
	maxWaiting    = 10_000 // alerts of receivers without a notification, and mutes of unknown alerts
	maxSeenMutes  = 100_000
	maxDeliveries = 10_000
	maxInstances  = 64
	// maxUndelivered is small, because most of these are about receivers that no alert of
	// Muster has.
	maxUndelivered = 100
)

// sourceMemory has what was observed of one source.
type sourceMemory struct {
	mu sync.Mutex
	// waiting are observed alerts of receivers that sent no notification yet, and mutes
	// those of alerts that no group holds. The oldest are evicted.
	waiting agedMap[waitingKey, Observation]    // guarded by mu
	mutes   agedMap[Fingerprint, []Observation] // guarded by mu
	// seen has when a mute was last seen.
	seen agedMap[muteKey, time.Time] // guarded by mu
	// pending are ends that may be taken back.
	pending map[ID]*pendingEnds // guarded by mu
	// undelivered are deliveries of whose alerts no group holds one.
	undelivered []Observation // guarded by mu
	// deliveries are the last deliveries by their identities.
	deliveries agedMap[string, struct{}] // guarded by mu
	recorder   recorderMemory            // guarded by mu
	polls      map[string]*pollMemory    // guarded by mu; by URL
}

type waitingKey struct {
	receiver, groupKey string // the API tells no group key
	fingerprint        Fingerprint
}

type muteKey struct {
	fingerprint Fingerprint
	kind        MuteKind
	id          string
}

func keyOfMute(fp Fingerprint, m Mute) muteKey { return muteKey{fp, m.Kind, m.ID} }

// pendingEnds are the pending ends of one group.
type pendingEnds struct {
	ends map[alertEpisode]pendingEnd
	// next is when the first one is due. It is earlier if that was taken back.
	next time.Time
}

// pendingEnd is an end that becomes part of its group when it is due.
type pendingEnd struct {
	observation Observation
	due         time.Time
}

// alertEpisode is an episode of an alert.
type alertEpisode struct {
	fingerprint Fingerprint
	startsAt    int64 // in nanoseconds
}

func newSourceMemory() *sourceMemory {
	return &sourceMemory{
		waiting: newAgedMap[waitingKey, Observation](maxWaiting), mutes: newAgedMap[Fingerprint, []Observation](maxWaiting),
		seen: newAgedMap[muteKey, time.Time](maxSeenMutes), deliveries: newAgedMap[string, struct{}](maxDeliveries),
		pending: map[ID]*pendingEnds{}, polls: map[string]*pollMemory{}, recorder: recorderMemory{instances: map[string]*InstanceReport{}},
	}
}

// wait keeps the observation of an alert, and returns false if its receiver counts. The newer
// one of two remains.
//
// The methods that make an observation wait ask last whether it must, so that it cannot miss
// the write that ends the wait: whoever writes takes the waiting ones after that.
func (s *sourceMemory) wait(o *Observation, counts func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if counts() {
		return false
	}
	key := waitingKey{o.Alert.Group.Receiver, o.Alert.Group.GroupKey, o.Alert.Alert.Fingerprint}
	if known, ok := s.waiting.get(key); !ok || !o.At.Before(known.At) {
		s.waiting.put(key, *o)
	}
	return true
}

// takeWaiting removes and returns the waiting observations of a receiver.
func (s *sourceMemory) takeWaiting(receiver string) (taken []Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.each(func(key waitingKey, o Observation) bool {
		if key.receiver == receiver {
			taken = append(taken, o)
			return false
		}
		return true
	})
	return taken
}

// waitMute keeps the mute of an alert, and returns false if a group holds the alert.
func (s *sourceMemory) waitMute(o *Observation, held func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held() {
		return false
	}
	fp := o.Muted.Fingerprint
	mutes, _ := s.mutes.get(fp)
	same := func(known Observation) bool { return known.Muted.Mute.same(o.Muted.Mute) }
	s.mutes.put(fp, append(slices.DeleteFunc(slices.Clone(mutes), same), *o))
	return true
}

// mutesOf returns the mutes that waited for an alert, and that flushes still show. They remain,
// because other groups can get the alert too.
func (s *sourceMemory) mutesOf(fp Fingerprint, now time.Time, interval time.Duration) (mutes []Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, _ := s.mutes.get(fp)
	for i := range waiting {
		if seenAt, _ := s.seen.get(keyOfMute(fp, waiting[i].Muted.Mute)); !isLongUnseen(latest(seenAt, waiting[i].At), now, interval) {
			mutes = append(mutes, waiting[i])
		}
	}
	return mutes
}

// isLongUnseen reports whether the last flushes would have shown a mute again.
func isLongUnseen(seenAt, now time.Time, interval time.Duration) bool {
	return now.Sub(seenAt) > 2*interval+time.Minute
}

// sawMute notes when a mute was last seen.
func (s *sourceMemory) sawMute(fp Fingerprint, m Mute, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := keyOfMute(fp, m)
	if known, ok := s.seen.get(key); !ok || at.After(known) {
		s.seen.put(key, at)
	}
}

// lastSeen returns when a mute was last seen, or zero.
func (s *sourceMemory) lastSeen(fp Fingerprint, m Mute) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, _ := s.seen.get(keyOfMute(fp, m))
	return at
}

// pend keeps an end until it is due. The same end keeps its time.
func (s *sourceMemory) pend(id ID, o *Observation, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending[id]
	if p == nil {
		p = &pendingEnds{map[alertEpisode]pendingEnd{}, due}
		s.pending[id] = p
	}
	episode := o.Alert.episode()
	known, ok := p.ends[episode]
	switch {
	case !ok:
		p.ends[episode], p.next = pendingEnd{*o, due}, earliest(p.next, due)
	case o.At.After(known.observation.At):
		p.ends[episode] = pendingEnd{*o, known.due}
	}
}

// episode returns the episode that is observed.
func (oa *ObservedAlert) episode() alertEpisode {
	return alertEpisode{oa.Alert.Fingerprint, oa.Alert.StartsAt.UnixNano()}
}

// takeBack removes the pending end of an alert, if a later observation says that it fires, or
// that its end is final.
func (s *sourceMemory) takeBack(id ID, o *Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, episode := s.pending[id], o.Alert.episode()
	if p == nil {
		return
	}
	if known, ok := p.ends[episode]; ok && (o.Alert.Final || o.At.After(known.observation.At)) {
		delete(p.ends, episode)
	}
	if len(p.ends) == 0 {
		delete(s.pending, id)
	}
}

// nextEnd returns when the next pending end of a group is due, or zero.
func (s *sourceMemory) nextEnd(id ID) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pending[id]; p != nil {
		next = p.next
	}
	return next
}

// dueEnds returns the pending ends of a group that are due, in the order of their alerts.
func (s *sourceMemory) dueEnds(id ID, now time.Time) (due []Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending[id]
	if p == nil || p.next.After(now) {
		return nil
	}
	for _, e := range p.ends {
		if !e.due.After(now) {
			due = append(due, e.observation)
		}
	}
	slices.SortFunc(due, func(a, b Observation) int {
		return cmp.Or(cmp.Compare(a.Alert.Alert.Fingerprint, b.Alert.Alert.Fingerprint), a.Alert.Alert.StartsAt.Compare(b.Alert.Alert.StartsAt))
	})
	return due
}

// dropDueEnds forgets the pending ends of a group that are due.
func (s *sourceMemory) dropDueEnds(id ID, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending[id]
	if p == nil || p.next.After(now) {
		return
	}
	p.next = time.Time{}
	for episode, e := range p.ends {
		switch {
		case !e.due.After(now):
			delete(p.ends, episode)
		case p.next.IsZero() || e.due.Before(p.next):
			p.next = e.due
		}
	}
	if len(p.ends) == 0 {
		delete(s.pending, id)
	}
}

// forgetEnds forgets the pending ends of a group that was removed.
func (o *observerMemory) forgetEnds(source string, id ID) {
	if s := o.known(source); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.pending, id)
	}
}

// knowsDelivery reports whether the delivery was stored before.
func (s *sourceMemory) knowsDelivery(o *Observation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.deliveries.get(o.deliveryKey())
	return known
}

// waitDelivery keeps a delivery, and returns false if a group holds one of its alerts. The oldest
// one beyond the limit is dropped.
func (s *sourceMemory) waitDelivery(o *Observation, held func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held() {
		return false
	}
	if len(s.undelivered) == maxUndelivered {
		s.undelivered = slices.Delete(s.undelivered, 0, 1)
	}
	s.undelivered = append(s.undelivered, *o)
	return true
}

// takeDeliveries removes and returns the deliveries that wait. Those of long ago are about
// alerts that no group of Muster gets.
func (s *sourceMemory) takeDeliveries(now time.Time) []Observation {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.undelivered
	s.undelivered = nil
	return slices.DeleteFunc(waiting, func(o Observation) bool { return now.Sub(o.At) > deliveryWait })
}

// storedDeliveries notes the deliveries that are stored.
func (s *sourceMemory) storedDeliveries(all []Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range all {
		// A delivery that waits is not stored.
		if o := &all[i]; o.Delivery != nil && !slices.ContainsFunc(s.undelivered, func(w Observation) bool { return w.Delivery == o.Delivery }) {
			s.deliveries.put(o.deliveryKey(), struct{}{})
		}
	}
}

// deliveryKey tells two deliveries apart.
func (o *Observation) deliveryKey() string {
	d := &o.Delivery.Delivery
	return o.Instance + " " + d.Flush + " " + d.Receiver + " " + d.Integration + " " + strconv.FormatUint(d.Index, 10)
}

// staleMutes returns the observations that end mutes which only the event recorder told of, and
// that no flush showed for long, though the group was flushed and its Alertmanager is heard.
//
// After a restart, the time counts from the start.
func (s *sourceMemory) staleMutes(g *AlertGroup, now, started time.Time, interval time.Duration) (ends []Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A notification about the group proves that no time interval mutes all of it.
	if now.Sub(s.recorder.lastAt) > interval || !g.LastNotifiedAt.After(now.Add(-interval)) {
		return nil
	}
	for _, muted := range g.Mutes {
		for _, m := range muted.Mutes {
			if !m.Active() || m.From != OriginEvent {
				continue
			}
			at, known := s.seen.get(keyOfMute(muted.Fingerprint, m))
			if !known {
				at = latest(started, m.Since)
			}
			if isLongUnseen(at, now, interval) {
				ends = append(ends, Observation{Origin: OriginEvent, At: at, NotSeen: &NotSeenMute{muted.Fingerprint, m}})
			}
		}
	}
	return ends
}
