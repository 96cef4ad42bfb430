package grouping

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// alertRecords are the alerts of a group. The key of a record is the fingerprint of
// its alert. The tombstone of a record is the removal stamp of a removed alert.
type alertRecords struct{}

// storedAlert is the stored form of an Alert. It leaves out what the rest says, which is
// a fifth of a new alert: the fingerprint is in the name of the record, and the fields
// below mostly have the values that are in their comments. Earlier versions wrote all of
// them. Unknown holds the fields that a later version added. They are written back
// unchanged.
type storedAlert struct {
	*Alert

	Fingerprint Fingerprint `json:"fingerprint,omitzero"`
	LastSeenAt  *time.Time  `json:"lastSeenAt,omitempty"` // nil: FirstSeenAt
	ChangedAt   *time.Time  `json:"changedAt,omitempty"`  // nil: FirstSeenAt
	Episodes    *[]Episode  `json:"episodes,omitzero"`    // nil: only the alert's current episode

	Unknown jsontext.Value `json:",embed"`
}

// stored returns the stored form of the alert.
func (a *Alert) stored() storedAlert {
	s := storedAlert{Alert: a, Unknown: jsontext.Value(a.Unknown)}
	if !a.LastSeenAt.Equal(a.FirstSeenAt) {
		s.LastSeenAt = &a.LastSeenAt
	}
	if !a.ChangedAt.Equal(a.FirstSeenAt) {
		s.ChangedAt = &a.ChangedAt
	}
	if !a.recordsCurrent() {
		s.Episodes = &a.Recorded
	}
	return s
}

// recordsCurrent reports whether the current episode, as of the last write, is the only
// one that is recorded.
func (a *Alert) recordsCurrent() bool {
	return len(a.Recorded) == 1 && equalEpisode(a.Recorded[0], a.currentEpisode())
}

func (a *Alert) currentEpisode() Episode { return Episode{a.StartsAt, a.EndsAt, a.Stamp} }

// complete sets what the stored form leaves out.
func (s *storedAlert) complete() {
	a := s.Alert
	a.LastSeenAt, a.ChangedAt = *cmp.Or(s.LastSeenAt, &a.FirstSeenAt), *cmp.Or(s.ChangedAt, &a.FirstSeenAt)
	switch {
	case s.Episodes == nil:
		a.Recorded = []Episode{a.currentEpisode()}
	case len(*s.Episodes) > 0:
		a.Recorded = *s.Episodes
	}
}

func (alertRecords) prefix() string { return "a:" }

func (r alertRecords) name(fp Fingerprint) string { return r.prefix() + string(fp) }

func (alertRecords) decode(g *AlertGroup, key string, text []byte) (err error) {
	fp := Fingerprint(key)
	switch {
	case len(text) == 0:
		return nil
	case !fp.Valid():
		return fmt.Errorf("%q is not a fingerprint", key)
	case len(text) == StampLen:
		g.Removed[fp], err = ParseStamp(string(text))
		return err
	}
	a := &Alert{}
	s := storedAlert{Alert: a}
	if a.Stamp, err = decodeUsual(text, s.decode, func() any {
		*a = Alert{}
		s = storedAlert{Alert: a}
		return &s
	}); err != nil {
		return err
	}
	s.complete()
	a.Fingerprint, a.Unknown = fp, string(s.Unknown)
	g.Alerts = append(g.Alerts, a)
	return nil
}

func (alertRecords) dropDeleted(g *AlertGroup) {
	g.Alerts = slices.DeleteFunc(g.Alerts, func(a *Alert) bool { return a.Stamp <= g.Deleted })
	maps.DeleteFunc(g.Removed, func(_ Fingerprint, s Stamp) bool { return s <= g.Deleted })
}

func (r alertRecords) writes(base, next *AlertGroup, to *RecordWrites) (failed error) {
	deletion := next == nil
	if deletion {
		next = &AlertGroup{}
	}
	replaced := replacedAlerts(base.Alerts, next.Alerts)
	to.List = slices.Grow(to.List, len(replaced))
	for _, p := range replaced {
		before, after := p.before, p.after
		switch {
		case after == nil:
			to.addTombstone(r.name(before.Fingerprint), before.Stamp, next.Removed[before.Fingerprint])
			continue
		case before != nil && before.Equal(after):
			continue
		}
		from, expected := len(to.Memory), base.Removed[after.Fingerprint]
		if before != nil {
			expected = before.Stamp
		}
		var err error
		if to.Memory, err = appendAlert(to.Memory, after); err != nil {
			failed = err
		}
		to.add(r.name(after.Fingerprint), expected, from)
	}
	for fp, stamp := range next.Removed {
		if base.Alert(fp) == nil && base.Removed[fp] != stamp {
			to.addTombstone(r.name(fp), base.Removed[fp], stamp)
		}
	}
	if deletion {
		return failed
	}
	for fp, stamp := range base.Removed {
		if _, remains := next.Removed[fp]; !remains && next.Alert(fp) == nil {
			to.addTombstone(r.name(fp), stamp, "")
		}
	}
	return failed
}

// appendAlert adds the stored text of an alert to a buffer.
func appendAlert(buffer []byte, a *Alert) ([]byte, error) {
	if !a.Fingerprint.Valid() {
		return buffer, fmt.Errorf("%q is not a fingerprint", a.Fingerprint)
	}
	buffer, err := appendUsual(buffer, a.Stamp, a, a.stored)
	if err != nil {
		return buffer, fmt.Errorf("alert %s: %w", a.Fingerprint, err)
	}
	return buffer, nil
}

func (alertRecords) conflicts(base, next, stored *AlertGroup) bool {
	if next == nil {
		next = &AlertGroup{}
	}
	return slices.ContainsFunc(replacedAlerts(base.Alerts, next.Alerts), func(p alertPair) bool {
		if p.before != nil && p.after != nil && p.before.Equal(p.after) {
			return false
		}
		fp := cmp.Or(p.before, p.after).Fingerprint
		return stored.lastWrite(fp, base.Deleted) != base.lastWrite(fp, base.Deleted)
	})
}

// lastWrite returns the stamp of the last write or removal of an alert. It returns
// "" if that was not after the deletion.
func (g *AlertGroup) lastWrite(fp Fingerprint, deletion Stamp) Stamp {
	last := g.Removed[fp]
	if a := g.Alert(fp); a != nil {
		last = a.Stamp
	}
	if last <= deletion {
		return ""
	}
	return last
}

func (alertRecords) sameStamps(a, b *AlertGroup) bool {
	return slices.EqualFunc(a.Alerts, b.Alerts, func(x, y *Alert) bool {
		return x == y || x.Fingerprint == y.Fingerprint && x.Stamp == y.Stamp
	})
}

func (alertRecords) merge(merged, a, b *AlertGroup) {
	if few := len(b.Alerts) + len(b.Removed); few <= len(a.Alerts)/fewAlerts && merged.Deleted == a.Deleted {
		mergeFew(merged, a, b)
	} else {
		mergeAll(merged, a, b)
	}
}

// mergeAll is merge for two states of any size.
func mergeAll(merged, a, b *AlertGroup) {
	merged.Removed = make(map[Fingerprint]Stamp, max(len(a.Removed), len(b.Removed)))
	merged.Alerts = make([]*Alert, 0, max(len(a.Alerts), len(b.Alerts)))
	mergeOne := func(fp Fingerprint, x, y *Alert) {
		if x != nil && x == y {
			// One of the two groups has the deletion of the merged one, so it holds no
			// alert that this deletion discards.
			merged.Alerts = append(merged.Alerts, x)
			return
		}
		if alert, removal := mergeRecord(merged.Deleted, fp, a, b, x, y); alert != nil {
			merged.Alerts = append(merged.Alerts, alert)
		} else if removal != "" {
			merged.Removed[fp] = removal
		}
	}
	walkAlertPairs(a.Alerts, b.Alerts, func(x, y *Alert) {
		if x != nil {
			mergeOne(x.Fingerprint, x, y)
		} else {
			mergeOne(y.Fingerprint, x, y)
		}
	})
	for fp := range a.Removed {
		if a.Alert(fp) == nil && b.Alert(fp) == nil {
			mergeOne(fp, nil, nil)
		}
	}
	for fp := range b.Removed {
		if _, done := a.Removed[fp]; !done && a.Alert(fp) == nil && b.Alert(fp) == nil {
			mergeOne(fp, nil, nil)
		}
	}
}

// fewAlerts is the part of a group that counts as a few alerts: one of so many.
const fewAlerts = 8

// mergeFew is merge for a state b that has only a few of the records, for example those
// that one write changed. a has the deletion of the merged group, so its other records
// stay as they are.
func mergeFew(merged, a, b *AlertGroup) {
	fps := make([]Fingerprint, 0, len(b.Alerts)+len(b.Removed))
	for _, y := range b.Alerts {
		fps = append(fps, y.Fingerprint)
	}
	for fp := range b.Removed {
		fps = append(fps, fp)
	}
	slices.Sort(fps)
	merged.Removed = a.Removed
	merged.Alerts = make([]*Alert, 0, len(a.Alerts)+len(fps))
	rest := a.Alerts
	for _, fp := range slices.Compact(fps) {
		i, known := slices.BinarySearchFunc(rest, fp, func(x *Alert, fp Fingerprint) int { return cmp.Compare(x.Fingerprint, fp) })
		merged.Alerts = append(merged.Alerts, rest[:i]...)
		rest = rest[i:]
		var x *Alert
		if known {
			x, rest = rest[0], rest[1:]
		}
		alert, removal := mergeRecord(merged.Deleted, fp, a, b, x, b.Alert(fp))
		if alert != nil {
			merged.Alerts, removal = append(merged.Alerts, alert), ""
		}
		if merged.Removed[fp] != removal {
			merged.Removed = withRemoval(merged.Removed, fp, removal)
		}
	}
	merged.Alerts = append(merged.Alerts, rest...)
}

// withRemoval returns a copy of the removal stamps with the one of an alert. "" means that
// the alert has none.
func withRemoval(removed map[Fingerprint]Stamp, fp Fingerprint, removal Stamp) map[Fingerprint]Stamp {
	next := make(map[Fingerprint]Stamp, len(removed)+1)
	maps.Copy(next, removed)
	if delete(next, fp); removal != "" {
		next[fp] = removal
	}
	return next
}

// mergeRecord merges the records of one alert in the groups a and b, in which it is x and
// y, or nil. It returns nil if the alert was removed, and the stamp of its last removal
// after the deletion.
func mergeRecord(deleted Stamp, fp Fingerprint, a, b *AlertGroup, x, y *Alert) (merged *Alert, removal Stamp) {
	removal = max(a.lastRemoval(fp, x), b.lastRemoval(fp, y))
	if removal <= deleted {
		removal = ""
	}
	return mergeAlerts(x, y, removal, deleted), removal
}

func (alertRecords) equal(a, b *AlertGroup) bool {
	return maps.Equal(a.Removed, b.Removed) && slices.EqualFunc(a.Alerts, b.Alerts, (*Alert).Equal)
}
