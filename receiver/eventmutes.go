package receiver

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"muster/grouping"
	"muster/internal/wire"
)

const (
	// maxText is the maximum size of a text of a silence in bytes, such as a comment or the
	// value of a matcher. People write them.
	maxText = 32 << 10
	// maxRule is the maximum size of the name of an inhibition rule, or of its matchers as
	// text, in bytes. Each inhibited alert stores it. A longer one is truncated.
	maxRule = 300
	// maxInhibiting is the maximum number of alerts that inhibit one, and of rules, in an
	// event. Alertmanager names one.
	maxInhibiting = 10
)

// silence converts a silence.
func (r eventRules) silence(where string, s *wire.EventSilence) ([]grouping.Observation, *eventError) {
	silence, err := r.silenceOf(where+".silence", s)
	if err != nil {
		return nil, err
	}
	return []grouping.Observation{{Silence: silence}}, nil
}

func (r eventRules) silenceOf(where string, s *wire.EventSilence) (*grouping.Silence, *eventError) {
	silence := &grouping.Silence{
		ID: s.ID, CreatedBy: s.CreatedBy, Comment: s.Comment, Annotations: s.Annotations.Labels,
		StartsAt: s.StartsAt.UTC(), EndsAt: s.EndsAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(),
	}
	if s.ID == "" {
		return nil, refuseEvent(eventRefusedMalformed, where+".id", "is missing")
	}
	for _, t := range []struct{ name, text string }{{"id", s.ID}, {"createdBy", s.CreatedBy}, {"comment", s.Comment}} {
		if len(t.text) > maxText {
			return nil, refuseEvent(eventRefusedSize, where+"."+t.name, "has more than %d bytes", maxText)
		}
	}
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"startsAt", s.StartsAt}, {"endsAt", s.EndsAt}, {"updatedAt", s.UpdatedAt}} {
		if err := checkTime(where+"."+t.name, t.at); err != nil {
			return nil, err
		}
	}
	if err := r.checkLabels(where, wire.EventLabels{}, s.Annotations); err != nil {
		return nil, err
	}
	sets := s.MatcherSets
	if len(sets) == 0 && len(s.Matchers) > 0 {
		sets = []wire.EventMatcherSet{{Matchers: s.Matchers}}
	}
	matchers := 0
	for _, set := range sets {
		if matchers += max(1, len(set.Matchers)); matchers > r.maxLabels {
			return nil, refuseEvent(eventRefusedSize, where, "has more than %d matchers", r.maxLabels)
		}
		list := make([]grouping.SilenceMatcher, len(set.Matchers))
		for i, m := range set.Matchers {
			if len(m.Name) > maxText || len(m.Pattern) > maxText {
				return nil, refuseEvent(eventRefusedSize, where, "has a matcher of more than %d bytes", maxText)
			}
			list[i] = grouping.SilenceMatcher{Name: m.Name, Type: string(m.Type), Value: m.Pattern}
		}
		silence.MatcherSets = append(silence.MatcherSets, list)
	}
	return silence, nil
}

// silenced converts an alert that a silence mutes.
func (r eventRules) silenced(e *wire.SilencedEvent) ([]grouping.Observation, *eventError) {
	const where = "silenceMutedAlert"
	silence, err := r.silenceOf(where+".silence", &e.Silence)
	if err != nil {
		return nil, err
	}
	if err := r.checkLabels(where+".mutedAlert", e.Alert.Labels, wire.EventLabels{}); err != nil {
		return nil, err
	}
	return []grouping.Observation{{Muted: &grouping.ObservedMute{
		Fingerprint: fingerprintOf(e.Alert.Fingerprint, e.Alert.Labels), Labels: e.Alert.Labels.Labels, Silence: silence,
		Mute: grouping.Mute{Kind: grouping.MuteSilence, ID: silence.ID, From: grouping.OriginEvent},
	}}}, nil
}

// inhibited converts an alert that other alerts mute.
func (r eventRules) inhibited(e *wire.InhibitedEvent) ([]grouping.Observation, *eventError) {
	const where = "inhibitionMutedAlert"
	if err := r.checkLabels(where+".mutedAlert", e.Alert.Labels, wire.EventLabels{}); err != nil {
		return nil, err
	}
	if n := max(len(e.InhibitingBy), len(e.Rules)); n > maxInhibiting {
		return nil, refuseEvent(eventRefusedSize, where, "has %d rules or inhibiting alerts, the limit is %d", n, maxInhibiting)
	}
	by := e.InhibitingBy
	if len(by) == 0 {
		by = []wire.EventFingerprint{""}
	}
	fp := fingerprintOf(e.Alert.Fingerprint, e.Alert.Labels)
	said := make([]grouping.Observation, len(by))
	for i, other := range by {
		mute := grouping.Mute{Kind: grouping.MuteInhibition, ID: string(other), From: grouping.OriginEvent}
		if len(e.Rules) > 0 {
			mute.Rule = ruleText(&e.Rules[min(i, len(e.Rules)-1)])
		}
		said[i].Muted = &grouping.ObservedMute{Fingerprint: fp, Labels: e.Alert.Labels.Labels, Mute: mute}
	}
	return said, nil
}

// ruleText returns the name of an inhibition rule. A rule without a name is described by its
// matchers.
func ruleText(rule *wire.InhibitRule) string {
	text := rule.Name
	if text == "" {
		text = matchersText(rule.SourceMatchers) + " inhibits " + matchersText(rule.TargetMatchers)
		if len(rule.EqualLabels) > 0 {
			text += " with equal " + strings.Join(rule.EqualLabels, ", ")
		}
	}
	if len(text) <= maxRule {
		return text
	}
	end := maxRule - len("…")
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

func matchersText(matchers []wire.EventMatcher) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range matchers {
		if b.Len() > maxRule {
			break // it will be truncated
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s%s%q", m.Name, m.Type, m.Pattern)
	}
	b.WriteByte('}')
	return b.String()
}
