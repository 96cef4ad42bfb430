package alertmanager

import (
	"slices"
	"time"

	"muster/grouping"
	"muster/internal/wire"
)

// alertList makes observations of the groups of an answer. Alerts share their memory: an
// alert is in several groups if several receivers get it.
type alertList struct {
	maxLabels int
	alerts    []grouping.ObservedAlert
	index     map[grouping.Fingerprint]int // of the first observation of an alert
	leftOut   int                          // number of alerts that Muster cannot keep
}

// add adds the alerts of a group.
func (l *alertList) add(g *wire.APIGroup) {
	if l.index == nil {
		l.index = map[grouping.Fingerprint]int{}
	}
	group := grouping.ObservedGroup{Receiver: grouping.Intern([]byte(g.Receiver.Name)), GroupLabels: g.Labels}
	for i := range g.Alerts {
		a := &g.Alerts[i]
		if !validTime(a.StartsAt) || a.StartsAt.IsZero() || a.Labels.Len() > l.maxLabels || a.Annotations.Len() > l.maxLabels {
			l.leftOut++
			continue
		}
		o := grouping.ObservedAlert{
			Group: group, Alert: l.share(notifiedAlert(a)),
			// An alert that Alertmanager has not processed has no mutes yet.
			Listed: a.Status.State != "unprocessed", Mutes: mutesOf(&a.Status), Until: a.EndsAt,
		}
		if n := len(l.alerts); n > 0 {
			shareWithLast(&o, &l.alerts[n-1])
		}
		l.alerts = append(l.alerts, o)
	}
}

// shareWithLast gives an alert the memory of the last one for what is usually equal: one
// rule made both, and the same mutes them.
func shareWithLast(o, last *grouping.ObservedAlert) {
	if o.Alert.GeneratorURL == last.Alert.GeneratorURL {
		o.Alert.GeneratorURL = last.Alert.GeneratorURL
	}
	if slices.Equal(o.Mutes, last.Mutes) {
		o.Mutes = last.Mutes
	}
}

// share returns the alert, or an earlier equal one from another group.
func (l *alertList) share(a grouping.NotifiedAlert) grouping.NotifiedAlert {
	first, ok := l.index[a.Fingerprint]
	if !ok {
		l.index[a.Fingerprint] = len(l.alerts)
		return a
	}
	known := &l.alerts[first].Alert
	if known.StartsAt.Equal(a.StartsAt) && known.GeneratorURL == a.GeneratorURL &&
		known.Labels.Equal(a.Labels) && known.Annotations.Equal(a.Annotations) {
		return *known
	}
	return a
}

// notifiedAlert converts an alert. The API lists only alerts that fire. Their end is when
// they end if nobody posts them again, so it is not an end.
func notifiedAlert(a *wire.APIAlert) grouping.NotifiedAlert {
	fp := grouping.Fingerprint(a.Fingerprint)
	if !fp.Valid() {
		fp = a.Labels.Fingerprint()
	}
	return grouping.NotifiedAlert{
		Fingerprint: fp, Status: grouping.StatusFiring, Labels: a.Labels, Annotations: a.Annotations,
		GeneratorURL: a.GeneratorURL, StartsAt: a.StartsAt.UTC(),
	}
}

// mutesOf returns what mutes an alert.
func mutesOf(s *wire.APIAlertStatus) []grouping.Mute {
	n := len(s.SilencedBy) + len(s.InhibitedBy) + len(s.MutedBy)
	if n == 0 {
		return nil
	}
	mutes := make([]grouping.Mute, 0, n)
	add := func(kind grouping.MuteKind, ids []string) {
		for _, id := range ids {
			mutes = append(mutes, grouping.Mute{Kind: kind, ID: grouping.Intern([]byte(id)), From: grouping.OriginAPI})
		}
	}
	add(grouping.MuteSilence, s.SilencedBy)
	add(grouping.MuteInhibition, s.InhibitedBy)
	add(grouping.MuteInterval, s.MutedBy)
	return mutes
}

// silence converts a silence. Its state is not kept, because it follows from the times. It
// returns false if Muster cannot keep the silence.
func silence(s *wire.APISilence) (grouping.Silence, bool) {
	if s.ID == "" || !validTime(s.StartsAt) || !validTime(s.EndsAt) || !validTime(s.UpdatedAt) {
		return grouping.Silence{}, false
	}
	matchers := make([]grouping.SilenceMatcher, len(s.Matchers))
	for i, m := range s.Matchers {
		matchers[i] = grouping.SilenceMatcher{Name: m.Name, Type: string(m.Type()), Value: m.Value}
	}
	return grouping.Silence{
		ID: s.ID, MatcherSets: [][]grouping.SilenceMatcher{matchers},
		StartsAt: s.StartsAt.UTC(), EndsAt: s.EndsAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(),
		CreatedBy: s.CreatedBy, Comment: s.Comment, Annotations: s.Annotations,
	}, true
}

// validTime reports whether the time can be stored as text in UTC.
func validTime(t time.Time) bool {
	y := t.UTC().Year()
	return y >= 0 && y <= 9999
}
