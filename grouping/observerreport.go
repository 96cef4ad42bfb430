package grouping

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// recorderMemory says what the event recorders of a source sent.
type recorderMemory struct {
	lastAt    time.Time
	instances map[string]*InstanceReport
	events    hourlyCount
	missing   hourlyCount
	missed    uint64 // since the start of this process
	// expected are notifications whose delivered event did not arrive yet, oldest first.
	expected []expectedDelivery
}

type expectedDelivery struct {
	group ID
	at    time.Time
}

// maxClockDifference is the maximum difference between the clocks of an Alertmanager and of
// Muster. Their times are not compared if it is greater.
const maxClockDifference = 2 * time.Minute

// deliveryWait is how long after a notification its event may arrive.
const deliveryWait = maxClockDifference

// recorderIsOn is the time after its last event within which an event recorder is expected to
// report every delivery. Alertmanager reports each alert that is posted, once a minute.
const recorderIsOn = 10 * time.Minute

// Heard is what the event recorder of one Alertmanager sent in one request. Most of it says
// nothing new, but that the Alertmanager lives.
type Heard struct {
	// Instance is the host name of the Alertmanager, which others may have too.
	Instance string
	// Version is set if the Alertmanager has just started.
	Version string
	Events  int
	// At is the newest timestamp of the events, in the clock of the Alertmanager.
	// ReceivedAt is when they arrived, in ours.
	At, ReceivedAt time.Time
}

// RecordHeard notes which Alertmanagers of a source sent events, also if the events say
// nothing new. It does not block.
func (m *Manager) RecordHeard(source string, heard []Heard) {
	if !m.observed.hasRoom(source, m.opts.MaxSources) {
		return
	}
	s := m.observed.of(source)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range heard {
		s.recorder.hear(&heard[i])
	}
}

// skewDecay is by how much the known skew shrinks with each request that does not show it.
const skewDecay = time.Millisecond

func (r *recorderMemory) hear(h *Heard) {
	r.lastAt = latest(r.lastAt, h.ReceivedAt)
	r.events.add(h.ReceivedAt, h.Events)
	skew := h.At.Sub(h.ReceivedAt)
	i := r.instances[h.Instance]
	if i == nil {
		if len(r.instances) >= maxInstances {
			delete(r.instances, r.longestSilent())
		}
		i = &InstanceReport{Instance: h.Instance, Skew: skew}
		r.instances[h.Instance] = i
	}
	i.LastAt, i.Version = latest(i.LastAt, h.ReceivedAt), cmp.Or(h.Version, i.Version)
	// Events are delayed, never early. So the clock is ahead by at least the greatest
	// difference. The value decays, because clocks are corrected.
	i.Skew = max(skew, i.Skew-skewDecay)
}

// longestSilent returns the instance that was not heard for the longest time.
func (r *recorderMemory) longestSilent() string {
	return slices.MinFunc(slices.Collect(maps.Keys(r.instances)), func(a, b string) int {
		return r.instances[a].LastAt.Compare(r.instances[b].LastAt)
	})
}

// expectDelivery notes that a notification arrived. The event recorder, if it is on, tells of
// it too.
func (o *observerMemory) expectDelivery(source string, id ID, at time.Time) {
	s := o.known(source)
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := &s.recorder; !r.lastAt.IsZero() && at.Sub(r.lastAt) < recorderIsOn {
		r.expected = append(r.expected, expectedDelivery{id, at})
	}
	s.countMissing(at)
}

// confirm notes that the event of a notification arrived.
func (s *sourceMemory) confirm(id ID, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.recorder
	for i, e := range r.expected {
		if e.group == id && e.at.Sub(at).Abs() < deliveryWait {
			r.expected = slices.Delete(r.expected, i, i+1)
			return
		}
	}
}

// countMissing counts the deliveries whose events should have arrived. The caller holds mu.
func (s *sourceMemory) countMissing(now time.Time) {
	r := &s.recorder
	n := 0
	for n < len(r.expected) && now.Sub(r.expected[n].at) > deliveryWait {
		n++
	}
	r.expected = r.expected[n:]
	r.missing.add(now, n)
	r.missed += uint64(n)
}

// report returns what the event recorders of the source sent.
func (s *sourceMemory) report(now time.Time) (r RecorderReport, missed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countMissing(now)
	for _, name := range slices.Sorted(maps.Keys(s.recorder.instances)) {
		r.Instances = append(r.Instances, *s.recorder.instances[name])
	}
	r.LastAt, r.LastHour, r.Missing = s.recorder.lastAt, s.recorder.events.sum(now), s.recorder.missing.sum(now)
	return r, s.recorder.missed
}

// hourlyCount counts what happened within the last hour, by minutes.
type hourlyCount struct {
	minutes [60]int
	last    int64 // the minute of the last count
}

func (c *hourlyCount) add(now time.Time, n int) {
	c.forget(now)
	c.minutes[now.Unix()/60%60] += n
}

func (c *hourlyCount) sum(now time.Time) (sum int) {
	c.forget(now)
	for _, n := range c.minutes {
		sum += n
	}
	return sum
}

// forget removes the counts that are older than an hour.
func (c *hourlyCount) forget(now time.Time) {
	minute := now.Unix() / 60
	for m := max(c.last+1, minute-59); m <= minute; m++ {
		c.minutes[m%60] = 0
	}
	c.last = max(c.last, minute)
}

// SourceReports says for each source what Muster receives, in the order of the names.
func (m *Manager) SourceReports(ctx context.Context) ([]SourceReport, error) {
	if err := m.startOperation(ctx, "sources"); err != nil {
		return nil, err
	}
	now, totals := m.clock.Now(), m.index.currentTotals()
	names := map[string]bool{}
	for name := range totals.Sources {
		names[name] = true
	}
	for _, name := range m.observed.names() {
		names[name] = true
	}
	reports := make([]SourceReport, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		t, d := totals.Sources[name], m.sources.get(name)
		r := SourceReport{
			Source: name, Groups: t.Groups, Webhook: WebhookReport{LastAt: t.LastNotification, Alertmanagers: t.Alertmanagers},
			TooManySilences: len(d.Silences) >= MaxSilences,
		}
		if l := d.Leases[pollingLease]; l != nil && l.Holder != m.clock.Writer() {
			r.PolledElsewhereAt = l.RenewedAt
		}
		if s := m.observed.known(name); s != nil {
			r.Recorder, _ = s.report(now)
			r.Pollers = s.pollReports(now)
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// names returns the observed sources, in no particular order.
func (o *observerMemory) names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.sources))
}

// missedDeliveries returns the number of deliveries since the start of this process that the
// webhook brought and the event recorder did not, by source.
func (m *Manager) missedDeliveries() map[string]uint64 {
	missed := map[string]uint64{}
	for _, name := range m.observed.names() {
		r, n := m.observed.of(name).report(m.clock.Now())
		if !r.LastAt.IsZero() {
			missed[name] = n
		}
	}
	return missed
}

// pollReports returns the reports of the polled Alertmanagers, by their URLs.
func (s *sourceMemory) pollReports(now time.Time) []PollReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	var reports []PollReport
	for _, p := range s.polls {
		if p.report.URL != "" {
			r := p.report
			r.FailedLately = p.failedLately(now)
			reports = append(reports, r)
		}
	}
	slices.SortFunc(reports, func(a, b PollReport) int { return cmp.Compare(a.URL, b.URL) })
	return reports
}
