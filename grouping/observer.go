package grouping

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// Observe applies what the event recorders of a source said. It returns an error only if
// something could not be stored. The same observations may come again.
//
// Observations make or change groups only of receivers that sent a notification, or that the
// options name. Those of other receivers wait in memory for their first notification, within
// a limit.
func (m *Manager) Observe(ctx context.Context, source string, all []Observation) error {
	if err := m.startOperation(ctx, "observe"); err != nil {
		return err
	}
	if !m.observed.hasRoom(source, m.opts.MaxSources) {
		return &FullError{What: "source", Limit: m.opts.MaxSources}
	}
	if err := m.putObservedSilences(ctx, source, all); err != nil {
		return err
	}
	return m.applyObservations(ctx, source, all)
}

// putObservedSilences records the silences that the observations name.
func (m *Manager) putObservedSilences(ctx context.Context, source string, all []Observation) error {
	var announced, mentioned []Silence
	for i := range all {
		switch o := &all[i]; {
		case o.Silence != nil:
			announced = append(announced, *o.Silence)
		case o.Muted != nil && o.Muted.Silence != nil:
			mentioned = append(mentioned, *o.Muted.Silence)
		}
	}
	for _, list := range []struct {
		silences  []Silence
		announced bool
	}{{announced, true}, {mentioned, false}} {
		if len(list.silences) == 0 {
			continue
		}
		if err := m.putSilences(ctx, source, newestSilences(list.silences), list.announced); err != nil {
			return err
		}
	}
	if len(announced) == 0 {
		return nil
	}
	return m.unmuteEnded(ctx, source)
}

// newestSilences returns the newest state of each silence, in the order of their changes.
func newestSilences(all []Silence) []Silence {
	newest := map[string]Silence{}
	for _, s := range all {
		if known, ok := newest[s.ID]; !ok || s.UpdatedAt.After(known.UpdatedAt) {
			newest[s.ID] = s
		}
	}
	return slices.SortedFunc(maps.Values(newest), func(a, b Silence) int {
		return cmp.Or(a.UpdatedAt.Compare(b.UpdatedAt), cmp.Compare(a.ID, b.ID))
	})
}

// observedGroup are the observations about one group.
type observedGroup struct {
	key Key
	all []Observation
	// joinsAPI is true if beside the group there is one that only the API told of.
	joinsAPI bool
}

// applyObservations applies observations of one source to its groups.
func (m *Manager) applyObservations(ctx context.Context, source string, all []Observation) error {
	groups, delivered := map[ID]*observedGroup{}, map[string]bool{}
	add := func(key Key, o Observation) {
		id := key.ID()
		if groups[id] == nil {
			groups[id] = &observedGroup{key: key}
		}
		groups[id].all = append(groups[id].all, o)
	}
	for i := range all {
		switch o := &all[i]; {
		case o.Alert != nil:
			m.routeAlert(source, o, add)
		case o.Muted != nil:
			m.routeMute(source, o, add)
		case o.Delivery != nil && !delivered[o.deliveryKey()]:
			delivered[o.deliveryKey()] = true
			m.routeDelivery(source, o, add)
		}
	}
	var failed error
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		if err := m.observeGroup(ctx, id, groups[id]); err != nil {
			failed = cmp.Or(failed, err)
		}
	}
	if failed == nil {
		m.observed.of(source).storedDeliveries(all)
	}
	return failed
}

// addsAlerts reports whether a write made an alert known.
func addsAlerts(events []Event) bool {
	return slices.ContainsFunc(events, func(e Event) bool { return e.Was == "" && e.Fingerprint != "" })
}

// applyWaitingDeliveries applies the deliveries that arrived before the groups of their alerts.
func (m *Manager) applyWaitingDeliveries(ctx context.Context, source string) {
	s := m.observed.known(source)
	if s == nil {
		return
	}
	if waiting := s.takeDeliveries(m.clock.Now()); len(waiting) > 0 {
		if err := m.applyObservations(ctx, source, waiting); err != nil {
			m.logger.Warn("Failed to store deliveries", "source", source, "err", err)
		}
	}
}

// routeAlert adds the observation of an alert to its group, with the mutes that waited for it.
func (m *Manager) routeAlert(source string, o *Observation, add func(Key, Observation)) {
	memory, oa := m.observed.of(source), o.Alert
	if memory.wait(o, func() bool { return m.counts(source, oa.Group.Receiver) }) {
		return
	}
	key := Key{Source: source, Receiver: oa.Group.Receiver, GroupKey: oa.Group.GroupKey}
	if o.Origin == OriginAPI {
		key, _, _ = m.keyFor(source, oa)
	}
	if g := m.index.get(key.ID()); oa.Alert.Status != StatusFiring && !oa.Final && g.Alert(oa.Alert.Fingerprint) != nil {
		// Another Prometheus may say that it still fires.
		memory.pend(key.ID(), o, m.clock.Now().Add(m.opts.Settle))
		m.deadlines.set(key.ID(), m.nextFlush(g))
		return
	}
	memory.takeBack(key.ID(), o)
	add(key, *o)
	for _, muted := range memory.mutesOf(oa.Alert.Fingerprint, m.clock.Now(), m.opts.Interval) {
		add(key, muted)
	}
}

// routeMute adds a mute to all groups that hold the alert. If there is none, the mute waits.
func (m *Manager) routeMute(source string, o *Observation, add func(Key, Observation)) {
	memory := m.observed.of(source)
	memory.sawMute(o.Muted.Fingerprint, o.Muted.Mute, o.At)
	var holders []*AlertGroup
	held := func() bool {
		holders = m.holders(source, o.Muted.Fingerprint)
		return len(holders) > 0
	}
	if memory.waitMute(o, held) {
		return
	}
	for _, g := range holders {
		add(g.Key, *o)
	}
}

// holders returns the groups of a source that hold the alert.
func (m *Manager) holders(source string, fp Fingerprint) []*AlertGroup {
	return slices.DeleteFunc(m.index.withAlert(fp), func(g *AlertGroup) bool { return g.Source != source })
}

// routeDelivery adds a delivery to each group that holds one of its alerts.
func (m *Manager) routeDelivery(source string, o *Observation, add func(Key, Observation)) {
	memory, od := m.observed.of(source), o.Delivery
	if memory.knowsDelivery(o) {
		return
	}
	own := m.index.get(Key{Source: source, Receiver: od.Group.Receiver, GroupKey: od.Group.GroupKey}.ID())
	if own != nil {
		memory.confirm(own.ID, o.At)
	}
	var touched map[ID]Key
	held := func() bool {
		touched = m.touched(source, od)
		return own != nil || len(touched) > 0
	}
	if memory.waitDelivery(o, held) {
		return
	}
	if own != nil {
		touched[own.ID] = own.Key
	}
	for _, key := range touched {
		add(key, *o)
	}
}

// touched returns the groups of a source that hold an alert of the delivery.
func (m *Manager) touched(source string, od *ObservedDelivery) map[ID]Key {
	touched := map[ID]Key{}
	for _, list := range [][]Fingerprint{od.Firing, od.Resolved} {
		for _, fp := range list {
			for _, g := range m.holders(source, fp) {
				touched[g.ID] = g.Key
			}
		}
	}
	return touched
}

// counts reports whether observations may make groups of the receiver.
func (m *Manager) counts(source, receiver string) bool {
	return slices.Contains(m.opts.Receivers, SourceReceiver{source, receiver}) || m.index.hasNotified(source, receiver)
}

// observeGroup applies observations to one group. What says nothing new costs no write.
func (m *Manager) observeGroup(ctx context.Context, id ID, og *observedGroup) error {
	slices.SortStableFunc(og.all, func(a, b Observation) int { return a.At.Compare(b.At) })
	silenceEnd := func(silence string) time.Time {
		return m.sources.get(og.key.Source).silenceEnd(silence, m.clock.Now())
	}
	indexed := m.index.get(id)
	first, changes := observe(indexed, og.key, og.all, m.clock.Stamp(), m.rules(), silenceEnd)
	if !changes {
		return nil
	}
	if err := m.admit(ctx, og.key); err != nil {
		if full, ok := errors.AsType[*FullError](err); ok {
			m.logger.Debug("An observed group exceeds a limit", "group", id, "err", full)
			return nil
		}
		return err
	}
	var events []Event
	g, err := m.write(ctx, id, func(base *AlertGroup) (Change, error) {
		c, changes := first, true
		if base != indexed { // it was changed meanwhile
			c, changes = observe(base, og.key, og.all, m.clock.Stamp(), m.rules(), silenceEnd)
		}
		if events = c.Events; !changes {
			return c, errNoChange
		}
		return c, nil
	})
	if err != nil || g == nil {
		return err
	}
	m.resolveUnderOtherKeys(ctx, g, events)
	m.joinAPIGroup(ctx, g)
	if addsAlerts(events) {
		m.applyWaitingDeliveries(ctx, g.Source)
		return m.applyLateMutes(ctx, og)
	}
	return nil
}

// applyLateMutes applies the mutes that began to wait for an alert while it was written. The API
// says itself what mutes an alert.
func (m *Manager) applyLateMutes(ctx context.Context, og *observedGroup) error {
	late := &observedGroup{key: og.key}
	applied := map[*ObservedMute]bool{}
	for i := range og.all {
		applied[og.all[i].Muted] = true
	}
	memory, now := m.observed.of(og.key.Source), m.clock.Now()
	for i := range og.all {
		if og.all[i].Alert == nil || og.all[i].Origin != OriginEvent {
			continue
		}
		for _, o := range memory.mutesOf(og.all[i].Alert.Alert.Fingerprint, now, m.opts.Interval) {
			if !applied[o.Muted] {
				late.all = append(late.all, o)
			}
		}
	}
	if len(late.all) == 0 {
		return nil
	}
	return m.observeGroup(ctx, og.key.ID(), late)
}

// applyWaiting applies the observations that waited for the first notification of a receiver.
func (m *Manager) applyWaiting(ctx context.Context, source, receiver string) {
	waiting := m.observed.of(source).takeWaiting(receiver)
	if len(waiting) == 0 {
		return
	}
	if err := m.applyObservations(ctx, source, waiting); err != nil {
		m.logger.Warn("Failed to store what was observed before the first notification", "source", source, "receiver", receiver, "err", err)
	}
}
