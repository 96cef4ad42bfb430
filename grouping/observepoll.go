package grouping

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// apiKeyPrefix begins the group keys of groups that only the API told of, because it
	// has no group keys.
	apiKeyPrefix = "api:"
	// startTime is how long after its start an Alertmanager may not have all alerts yet.
	startTime = 5 * time.Minute
	// lately is the time for which failed notifications count as recent.
	lately = 10 * time.Minute
)

// apiKey returns the key of a group that only the API told of.
func apiKey(source, receiver string, l Labels) Key {
	var b strings.Builder
	b.WriteString(apiKeyPrefix + "{")
	for i, name := range l.Names() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + "=" + strconv.Quote(l.Get(name)))
	}
	b.WriteString("}")
	return Key{Source: source, Receiver: receiver, GroupKey: b.String()}
}

// UnkeyedID returns the ID that the group had while only the API told of it, before its group key
// was known.
func (g *AlertGroup) UnkeyedID() ID { return apiKey(g.Source, g.Receiver, g.GroupLabels).ID() }

// pollMemory is what one Alertmanager's API said last.
type pollMemory struct {
	// at is the time of the last whole answer, and before that of the one before it.
	at, before time.Time
	startedAt  time.Time
	// listed has the alerts that it listed, with the Unix milliseconds at which each ends if
	// nobody posts it again. mutes is what muted them in their groups.
	listed map[Fingerprint]int64
	mutes  map[alertInGroup][]Mute
	report PollReport
	// failed are earlier numbers of failed notifications, oldest first.
	failed []failedAt
}

type alertInGroup struct {
	group       ID
	fingerprint Fingerprint
}

type failedAt struct {
	at     time.Time
	failed map[string]uint64
}

// failedLately returns how many notifications failed lately, by integration.
func (p *pollMemory) failedLately(now time.Time) map[string]uint64 {
	if len(p.failed) == 0 {
		return nil
	}
	first := p.failed[0]
	for _, f := range p.failed {
		if now.Sub(f.at) >= lately {
			first = f
		}
	}
	recent := map[string]uint64{}
	for integration, n := range p.report.Failed {
		switch old := first.failed[integration]; {
		case n < old: // it was restarted
			recent[integration] = n
		case n > old:
			recent[integration] = n - old
		}
	}
	return recent
}

// RecordPoll notes how the last poll of an Alertmanager ended.
func (m *Manager) RecordPoll(source, url string, r PollReport) {
	s := m.observed.of(source)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.poll(url)
	if r.Failed != nil {
		p.failed = append(p.failed, failedAt{m.clock.Now(), r.Failed})
		for len(p.failed) > 1 && p.failed[1].at.Before(m.clock.Now().Add(-lately)) {
			p.failed = p.failed[1:]
		}
	}
	p.report = r
}

// poll returns the memory of the Alertmanager with the URL. The caller holds mu.
func (s *sourceMemory) poll(url string) *pollMemory {
	p := s.polls[url]
	if p == nil {
		p = &pollMemory{}
		s.polls[url] = p
	}
	return p
}

// AcquirePolling reports whether this Muster may poll the Alertmanagers of a source now. Of
// several Musters one does: another takes over if that did not renew its lease for two
// intervals.
func (m *Manager) AcquirePolling(ctx context.Context, source string, interval time.Duration) (acquired bool, err error) {
	if err := m.startOperation(ctx, "acquire_polling"); err != nil {
		return false, err
	}
	return m.acquire(ctx, source, pollingLease, interval, false)
}

// ReleasePolling lets another Muster poll the source at once, if this one may poll it.
func (m *Manager) ReleasePolling(ctx context.Context, source string) error {
	if err := m.startOperation(ctx, "release_polling"); err != nil {
		return err
	}
	return m.changeSource(ctx, source, true, func(base *SourceDocument, log *eventLog) *SourceDocument {
		l := base.Leases[pollingLease]
		if l == nil || l.Holder != m.clock.Writer() {
			return nil
		}
		return leaseRecords.put(base, log.stamp, Lease{Name: pollingLease, Holder: l.Holder}) // renewed long ago
	})
}

// acquire takes or renews a lease for two intervals. It reports whether this Muster has it.
// durableOnly is that of a Write: then there is no lease while the storage fails.
func (m *Manager) acquire(
	ctx context.Context, source, lease string, interval time.Duration, durableOnly bool,
) (acquired bool, err error) {
	err = m.changeSource(ctx, source, durableOnly, func(base *SourceDocument, log *eventLog) *SourceDocument {
		now := m.clock.Now()
		l := base.Leases[lease]
		if acquired = l == nil || m.opts.OnlyMuster || l.Holder == m.clock.Writer() || now.Sub(l.RenewedAt).Abs() >= 2*interval; !acquired {
			return nil
		}
		if l != nil && l.Holder == m.clock.Writer() && now.Sub(l.RenewedAt).Abs() < interval/2 {
			return nil // it was renewed for another Alertmanager of the source
		}
		return leaseRecords.put(base, log.stamp, Lease{Name: lease, Holder: m.clock.Writer(), RenewedAt: now})
	})
	return acquired && err == nil, err
}

// ObserveSilences applies all silences of one Alertmanager of a source, as its API listed them.
func (m *Manager) ObserveSilences(ctx context.Context, source, _ string, _ time.Time, silences []Silence) error {
	if err := m.startOperation(ctx, "observe_silences"); err != nil {
		return err
	}
	all := slices.Clone(silences)
	for i := range all {
		all[i].FromAPI = true
	}
	// The silences that exist at the first poll are not new.
	announced := !m.sources.get(source).polledAt().IsZero()
	if err := m.putSilences(ctx, source, newestSilences(all), announced); err != nil {
		return err
	}
	return m.unmuteEnded(ctx, source)
}

// polledAt returns the time of the last successful poll of an Alertmanager of the source, or
// zero.
func (d *SourceDocument) polledAt() (at time.Time) {
	for _, a := range d.Alertmanagers {
		at = latest(at, a.PolledAt)
	}
	return at
}

// ObservePoll applies the alerts of one Alertmanager of a source, as its API listed them.
func (m *Manager) ObservePoll(ctx context.Context, source, url string, p Poll) error {
	if err := m.startOperation(ctx, "observe_poll"); err != nil {
		return err
	}
	s := m.observed.of(source)
	groups := m.routePoll(source, url, p)
	s.notePoll(url, p, groups)
	for id, og := range groups {
		s.addMutesOfOthers(id, og, url, p.At)
	}
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		if err := m.observeGroup(ctx, id, groups[id]); err != nil {
			return err
		}
		if g := m.index.get(id); g != nil && groups[id].joinsAPI {
			m.joinAPIGroup(ctx, g)
		}
	}
	if p.Complete {
		if err := m.observeAllGone(ctx, source); err != nil {
			return err
		}
	}
	return m.recordAlertmanager(ctx, source, url, p)
}

// routePoll returns the observations of a poll by their groups.
func (m *Manager) routePoll(source, url string, p Poll) map[ID]*observedGroup {
	groups := map[ID]*observedGroup{}
	s := m.observed.of(source)
	for i := range p.Alerts {
		oa := &p.Alerts[i]
		for _, mute := range oa.Mutes {
			s.sawMute(oa.Alert.Fingerprint, mute, p.At)
		}
		o := Observation{Origin: OriginAPI, Instance: url, At: p.At, Alert: oa.fromAPI()}
		var key Key
		var joins bool
		isKnown := func() (ok bool) {
			key, joins, ok = m.keyFor(source, oa)
			return ok
		}
		if s.wait(&o, isKnown) {
			continue
		}
		id := key.ID()
		if groups[id] == nil {
			groups[id] = &observedGroup{key: key}
		}
		groups[id].all, groups[id].joinsAPI = append(groups[id].all, o), joins
	}
	return groups
}

// fromAPI returns a copy whose mutes have their origin.
func (oa *ObservedAlert) fromAPI() *ObservedAlert {
	known := *oa
	known.Mutes = slices.Clone(oa.Mutes)
	for i := range known.Mutes {
		known.Mutes[i].From = OriginAPI
	}
	return &known
}

// keyFor returns the key of the group that a poll listed. Two groups can agree in all that the
// API tells. Then the one that holds the alert is meant. A group that only the API told of is
// meant if there is no other one: joins reports that it is beside another one.
func (m *Manager) keyFor(source string, oa *ObservedAlert) (key Key, joins, ok bool) {
	var found, fromAPI *AlertGroup
	for _, g := range m.index.withLabels(oa.Group.Receiver, oa.Group.GroupLabels) {
		if g.Source != source {
			continue
		}
		if g.isFromAPI() {
			fromAPI = g
			continue
		}
		holds, held := g.Alert(oa.Alert.Fingerprint) != nil, found != nil && found.Alert(oa.Alert.Fingerprint) != nil
		if found == nil || holds && !held || holds == held && found.isOlderThan(g) {
			found = g
		}
	}
	if found != nil {
		return found.Key, fromAPI != nil, true
	}
	return apiKey(source, oa.Group.Receiver, oa.Group.GroupLabels), false, m.counts(source, oa.Group.Receiver)
}

// isFromAPI reports whether only the API told of the group, so that its key is not known.
func (g *AlertGroup) isFromAPI() bool { return strings.HasPrefix(g.GroupKey, apiKeyPrefix) }

// isOlderThan reports whether the last notification of o is newer. A group without one is the
// oldest.
func (g *AlertGroup) isOlderThan(o *AlertGroup) bool {
	if g.LastNotifiedAt.Equal(o.LastNotifiedAt) {
		return o.ID < g.ID
	}
	return g.LastNotifiedAt.Before(o.LastNotifiedAt)
}

// notePoll remembers what an Alertmanager listed.
func (s *sourceMemory) notePoll(url string, p Poll, groups map[ID]*observedGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.poll(url)
	if !p.Complete {
		return
	}
	known.before, known.at, known.startedAt = known.at, p.At, p.StartedAt
	known.listed, known.mutes = make(map[Fingerprint]int64, len(p.Alerts)), map[alertInGroup][]Mute{}
	for id, og := range groups {
		for i := range og.all {
			oa := og.all[i].Alert
			if known.listed[oa.Alert.Fingerprint] = oa.Until.UnixMilli(); len(oa.Mutes) > 0 {
				known.mutes[alertInGroup{id, oa.Alert.Fingerprint}] = oa.Mutes
			}
		}
	}
}

// pollFreshness is how old the answer of an Alertmanager may be to count beside that of
// another one.
const pollFreshness = 5 * time.Minute

// addMutesOfOthers adds what mutes the alerts of a group by the other Alertmanagers of the
// source. One may know a silence that another one does not know yet.
func (s *sourceMemory) addMutesOfOthers(id ID, og *observedGroup, url string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, p := range s.polls {
		if other == url || at.Sub(p.at) > pollFreshness {
			continue
		}
		for i := range og.all {
			oa := og.all[i].Alert
			for _, m := range p.mutes[alertInGroup{id, oa.Alert.Fingerprint}] {
				if !slices.ContainsFunc(oa.Mutes, m.same) {
					oa.Mutes = append(oa.Mutes, m)
				}
			}
		}
	}
}

// observeAllGone marks the alerts whose end nobody reported and that no Alertmanager of the
// source lists any more.
func (m *Manager) observeAllGone(ctx context.Context, source string) error {
	s := m.observed.of(source)
	by, since, ok := s.absenceCounts(m.clock.Now())
	if !ok {
		return nil
	}
	for _, g := range m.index.all() {
		if g.Source != source {
			continue
		}
		og := &observedGroup{key: g.Key}
		for _, a := range g.Alerts {
			if a.Status == StatusResolved || !a.GoneFrom.IsZero() || s.listedBy(a.Fingerprint) != "" {
				continue
			}
			if seen, _ := g.LastSeen(a); latest(seen, a.FirstSeenAt).After(since) {
				continue // it may be newer than the polls
			}
			gone := &ObservedGone{Fingerprint: a.Fingerprint, From: since, By: by}
			og.all = append(og.all, Observation{Origin: OriginAPI, At: by, Gone: gone})
		}
		if len(og.all) == 0 {
			continue
		}
		if err := m.observeGroup(ctx, g.ID, og); err != nil {
			return err
		}
	}
	return nil
}

// absenceCounts reports whether an alert that no Alertmanager lists is gone: all of them
// answered lately, and started long enough ago. by is the time of the oldest last answer, and
// since that of the oldest answer before.
func (s *sourceMemory) absenceCounts(now time.Time) (by, since time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.polls {
		if p.before.IsZero() || now.Sub(p.at) > pollFreshness || p.report.Err != "" || p.at.Sub(p.startedAt) < startTime {
			return by, since, false
		}
		if !ok || p.at.Before(by) {
			by = p.at
		}
		if !ok || p.before.Before(since) {
			since = p.before
		}
		ok = true
	}
	return by, since, ok
}

// ListedBy returns the URL of a polled Alertmanager that listed the alert as active in its last
// answer, or "".
func (m *Manager) ListedBy(source string, fp Fingerprint) string {
	s := m.observed.known(source)
	if s == nil {
		return ""
	}
	return s.listedBy(fp)
}

// ListedUntil returns when an alert ends if nobody posts it again, as the Alertmanagers of the
// source listed it last. It is zero if no Alertmanager lists it, or none is polled.
func (m *Manager) ListedUntil(source string, fp Fingerprint) (until time.Time) {
	s := m.observed.known(source)
	if s == nil {
		return until
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.polls {
		if ms, lists := p.listed[fp]; lists {
			until = latest(until, time.UnixMilli(ms))
		}
	}
	return until
}

// listedBy returns the first URL of an Alertmanager that listed the alert in its last answer, or
// "".
func (s *sourceMemory) listedBy(fp Fingerprint) (url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, p := range s.polls {
		if _, lists := p.listed[fp]; lists && (url == "" || other < url) {
			url = other
		}
	}
	return url
}

// recordAlertmanager records what is known of a polled Alertmanager, if it changed.
func (m *Manager) recordAlertmanager(ctx context.Context, source, url string, p Poll) error {
	if known := m.sources.get(source).Alertmanagers[url]; known != nil && known.Version == p.Version && known.StartedAt.Equal(p.StartedAt) {
		return nil
	}
	return m.writeSource(ctx, source, func(base *SourceDocument, log *eventLog) *SourceDocument {
		return base.WithAlertmanagers(log.stamp, Alertmanager{
			ExternalURL: url, Version: p.Version, StartedAt: p.StartedAt, PolledAt: p.At,
		})
	})
}

// joinAPIGroup moves the alerts of a group that only the API told of to the group with the real
// key, which has the same source, receiver and labels, and deletes the group of the API. g is
// either of them. Each writer calls it after its write, so that of two at once one sees both.
func (m *Manager) joinAPIGroup(ctx context.Context, g *AlertGroup) {
	var old, newest *AlertGroup
	for _, o := range m.index.withLabels(g.Receiver, g.GroupLabels) {
		switch {
		case o.Source != g.Source:
		case o.isFromAPI():
			old = o
		case newest == nil || newest.isOlderThan(o):
			newest = o
		}
	}
	if g.isFromAPI() {
		g = newest
	}
	if old == nil || g == nil {
		return
	}
	og := &observedGroup{key: g.Key}
	for _, a := range old.Alerts {
		if known := g.Alert(a.Fingerprint); known == nil {
			og.all = append(og.all, a.observation(g))
		}
	}
	err := m.observeGroup(ctx, g.ID, og)
	if err == nil && len(old.Acks)+len(old.Notes) > 0 {
		err = m.takeOver(ctx, g.ID, old)
	}
	if err == nil {
		_, err = m.write(ctx, old.ID, func(base *AlertGroup) (Change, error) {
			if base == nil || base.Stamp != old.Stamp {
				return Change{}, errNoChange // it was removed or changed meanwhile: the next notification moves the rest
			}
			return m.planRemoval(base, base.fingerprints()), nil
		})
	}
	if err != nil {
		m.logger.Info("Failed to move alerts to the real key of their group, the next notification will retry", "group", g.ID, "err", err)
	}
}

// movedFromAPI returns the group that had the ID while only the API told of it, or nil.
func (m *Manager) movedFromAPI(id ID) *AlertGroup {
	for _, name := range m.observed.names() {
		if !m.observed.of(name).isPolled() {
			continue
		}
		for _, g := range m.index.all() {
			if g.Source == name && apiKey(g.Source, g.Receiver, g.GroupLabels).ID() == id {
				return g
			}
		}
	}
	return nil
}

// isPolled reports whether an Alertmanager of the source was polled.
func (s *sourceMemory) isPolled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.polls) > 0
}

// observation returns what is known of an alert as an observation for another group.
func (a *Alert) observation(g *AlertGroup) Observation {
	return Observation{Origin: OriginAPI, At: latest(a.ObservedAt, a.StartsAt), Alert: &ObservedAlert{
		Group:  ObservedGroup{Receiver: g.Receiver, GroupKey: g.GroupKey, GroupLabels: g.GroupLabels},
		Listed: true, Mutes: a.Mutes(), Final: true, Alert: a.notified(),
	}}
}

// reportedStatus returns the last status that a source reported.
func (a *Alert) reportedStatus() Status {
	if a.Status == StatusUnreported {
		return StatusFiring
	}
	return a.Status
}
