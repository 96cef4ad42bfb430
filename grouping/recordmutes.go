package grouping

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// muteRecords are the mutes of the alerts of a group. The key of a record is the
// fingerprint of its alert. They are records of their own, because notifications and
// observations come in different ways, and neither may undo the other. The removal of an
// alert removes its mutes too.
type muteRecords struct{}

// AlertMutes says what mutes one alert of a group, and what did. It is immutable.
type AlertMutes struct {
	Fingerprint Fingerprint `json:"-"`
	// Mutes are the active ones and the last ones that ended, oldest first. There is one
	// for each cause.
	Mutes []Mute `json:"mutes"`

	// Stamp is the stamp of the write that last changed the mutes.
	Stamp Stamp `json:"-"`
	// Unknown holds unknown stored fields, as in an Alert.
	Unknown string `json:"-"`
}

// maxActiveMutes and maxEndedMutes are the maximum numbers of mutes that are kept for an
// alert. The history has the first one that began, and the last one that ended.
const (
	maxActiveMutes = 32
	maxEndedMutes  = 8
)

// muted reports whether a mute is active.
func (m *AlertMutes) muted() bool { return m != nil && slices.ContainsFunc(m.Mutes, Mute.Active) }

// find returns the mute with the same cause, or nil.
func (m *AlertMutes) find(o Mute) *Mute {
	if m == nil {
		return nil
	}
	if i := slices.IndexFunc(m.Mutes, o.same); i >= 0 {
		return &m.Mutes[i]
	}
	return nil
}

// Mutes returns what mutes the alert now, the first cause first.
func (a *Alert) Mutes() []Mute { return a.mutesThat(Mute.Active) }

// EndedMutes returns the last mutes of the alert that ended.
func (a *Alert) EndedMutes() []Mute { return a.mutesThat(func(m Mute) bool { return !m.Active() }) }

func (a *Alert) mutesThat(ok func(Mute) bool) (mutes []Mute) {
	if a.muted == nil {
		return nil
	}
	for _, m := range a.muted.Mutes {
		if ok(m) {
			mutes = append(mutes, m)
		}
	}
	return mutes
}

// ShownStatus returns the status of the alert as everybody sees it: an alert that did not
// end and is muted is suppressed. This status is never stored.
func (a *Alert) ShownStatus() Status {
	if a.Status != StatusResolved && a.muted.muted() {
		return StatusSuppressed
	}
	return a.Status
}

// compareMutes orders two records of the mutes of one alert: the newer write is greater.
// Replicas agree on damaged or foreign data too, so equal stamps are ordered by content.
func compareMutes(x, y *AlertMutes) int {
	if c := cmp.Compare(x.Stamp, y.Stamp); c != 0 || x.equal(y) {
		return c
	}
	return cmp.Or(compareContent(x, y), cmp.Compare(x.Unknown, y.Unknown))
}

func (m *AlertMutes) equal(o *AlertMutes) bool {
	return m == o || m != nil && o != nil && m.Fingerprint == o.Fingerprint && m.Stamp == o.Stamp && m.Unknown == o.Unknown &&
		slices.EqualFunc(m.Mutes, o.Mutes, equalMute)
}

func equalMute(x, y Mute) bool {
	return x.same(y) && x.Rule == y.Rule && x.From == y.From && x.Since.Equal(y.Since) && x.Ended.Equal(y.Ended)
}

func compareMutesTo(m *AlertMutes, fp Fingerprint) int { return cmp.Compare(m.Fingerprint, fp) }

// findMutes returns the mutes of an alert in a sorted list, or nil.
func findMutes(sorted []*AlertMutes, fp Fingerprint) *AlertMutes {
	if i, ok := slices.BinarySearchFunc(sorted, fp, compareMutesTo); ok {
		return sorted[i]
	}
	return nil
}

// withMutes returns the sorted list with the mutes of one alert. It changes the list.
func withMutes(sorted []*AlertMutes, m *AlertMutes) []*AlertMutes {
	i, ok := slices.BinarySearchFunc(sorted, m.Fingerprint, compareMutesTo)
	if ok {
		sorted[i] = m
		return sorted
	}
	return slices.Insert(sorted, i, m)
}

// mutesPair has the mutes of one alert in two states of a group. They are nil in a state that
// has none.
type mutesPair struct{ before, after *AlertMutes }

// replacedMutes returns the mutes that are not the same value in both sorted lists.
func replacedMutes(before, after []*AlertMutes) (replaced []mutesPair) {
	for len(before) > 0 || len(after) > 0 {
		var p mutesPair
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].Fingerprint < after[0].Fingerprint:
			p.before, before = before[0], before[1:]
		case len(before) == 0 || after[0].Fingerprint < before[0].Fingerprint:
			p.after, after = after[0], after[1:]
		default:
			p, before, after = mutesPair{before[0], after[0]}, before[1:], after[1:]
		}
		if p.before != p.after {
			replaced = append(replaced, p)
		}
	}
	return replaced
}

// linkMutes gives each alert its mutes. The alerts are in the order of the list, which it
// changes. Those that had others are replaced by copies.
func linkMutes(alerts []*Alert, mutes []*AlertMutes) {
	for i, a := range alerts {
		for len(mutes) > 0 && mutes[0].Fingerprint < a.Fingerprint {
			mutes = mutes[1:]
		}
		var own *AlertMutes
		if len(mutes) > 0 && mutes[0].Fingerprint == a.Fingerprint {
			own = mutes[0]
		}
		alerts[i] = a.withMutes(own)
	}
}

// withMutes returns the alert with the mutes, which may be nil.
func (a *Alert) withMutes(m *AlertMutes) *Alert {
	if a.muted == m {
		return a
	}
	next := *a
	next.muted = m
	return &next
}

// storedMutes is the stored form of an AlertMutes.
type storedMutes struct {
	*AlertMutes

	Unknown jsontext.Value `json:",embed"`
}

func (muteRecords) prefix() string { return "mu:" }

func (r muteRecords) name(fp Fingerprint) string { return r.prefix() + string(fp) }

func (muteRecords) decode(g *AlertGroup, key string, text []byte) (err error) {
	fp := Fingerprint(key)
	switch {
	case len(text) == 0 || len(text) == StampLen:
		return nil
	case !fp.Valid():
		return fmt.Errorf("%q is not a fingerprint", key)
	}
	m := &AlertMutes{Fingerprint: fp}
	s := storedMutes{AlertMutes: m}
	if m.Stamp, err = decodeText(text, &s); err != nil {
		return err
	}
	m.Unknown = string(s.Unknown)
	g.Mutes = withMutes(g.Mutes, m)
	return nil
}

func (muteRecords) dropDeleted(g *AlertGroup) {
	g.Mutes = slices.DeleteFunc(g.Mutes, func(m *AlertMutes) bool { return m.Stamp <= g.Deleted })
}

func (r muteRecords) writes(base, next *AlertGroup, to *RecordWrites) (failed error) {
	if next == nil {
		next = &AlertGroup{}
	}
	for _, p := range replacedMutes(base.Mutes, next.Mutes) {
		if p.before.equal(p.after) {
			continue
		}
		from, expected := len(to.Memory), Stamp("")
		if p.before != nil {
			expected = p.before.Stamp
		}
		if p.after != nil {
			var err error
			to.Memory, err = appendRecord(to.Memory, p.after.Stamp, storedMutes{p.after, jsontext.Value(p.after.Unknown)})
			if err != nil {
				failed = fmt.Errorf("mutes of alert %s: %w", p.after.Fingerprint, err)
			}
		}
		to.add(r.name(cmp.Or(p.before, p.after).Fingerprint), expected, from)
	}
	return failed
}

func (muteRecords) conflicts(base, next, stored *AlertGroup) bool {
	if next == nil {
		next = &AlertGroup{}
	}
	lastWrite := func(g *AlertGroup, fp Fingerprint) Stamp {
		if m := findMutes(g.Mutes, fp); m != nil && m.Stamp > base.Deleted {
			return m.Stamp
		}
		return ""
	}
	return slices.ContainsFunc(replacedMutes(base.Mutes, next.Mutes), func(p mutesPair) bool {
		fp := cmp.Or(p.before, p.after).Fingerprint
		return !p.before.equal(p.after) && lastWrite(stored, fp) != lastWrite(base, fp)
	})
}

func (muteRecords) sameStamps(a, b *AlertGroup) bool {
	return slices.EqualFunc(a.Mutes, b.Mutes, func(x, y *AlertMutes) bool {
		return x == y || x.Fingerprint == y.Fingerprint && x.Stamp == y.Stamp
	})
}

// merge relies on the alerts of merged: they have been merged before.
func (muteRecords) merge(merged, a, b *AlertGroup) {
	merged.Mutes = nil
	x, y := a.Mutes, b.Mutes
	for len(x) > 0 || len(y) > 0 {
		var m *AlertMutes
		switch {
		case len(y) == 0 || len(x) > 0 && x[0].Fingerprint < y[0].Fingerprint:
			m, x = x[0], x[1:]
		case len(x) == 0 || y[0].Fingerprint < x[0].Fingerprint:
			m, y = y[0], y[1:]
		default:
			m = x[0]
			if compareMutes(x[0], y[0]) < 0 {
				m = y[0]
			}
			x, y = x[1:], y[1:]
		}
		removal := max(a.lastRemoval(m.Fingerprint, a.Alert(m.Fingerprint)), b.lastRemoval(m.Fingerprint, b.Alert(m.Fingerprint)))
		if m.Stamp > max(merged.Deleted, removal) {
			merged.Mutes = append(merged.Mutes, m)
		}
	}
}

func (muteRecords) equal(a, b *AlertGroup) bool {
	return slices.EqualFunc(a.Mutes, b.Mutes, (*AlertMutes).equal)
}

// EndedUnder returns a mute under which the alert ended, so that no notification reported
// its end.
func (a *Alert) EndedUnder() (m Mute, ok bool) {
	if a.Status != StatusResolved || a.ObservedAt.IsZero() || a.muted == nil {
		return Mute{}, false
	}
	i := slices.IndexFunc(a.muted.Mutes, func(m Mute) bool {
		return !m.Since.After(a.EndsAt) && (m.Active() || !m.Ended.Before(a.EndsAt))
	})
	if i < 0 {
		return Mute{}, false
	}
	return a.muted.Mutes[i], true
}

// LastMute returns the mute that ended last.
func (a *Alert) LastMute() (m Mute, ok bool) {
	ended := a.EndedMutes()
	if len(ended) == 0 {
		return Mute{}, false
	}
	return slices.MaxFunc(ended, func(x, y Mute) int { return x.Ended.Compare(y.Ended) }), true
}
