package grouping

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// SilencePreview says what a new silence would mute, as far as Muster knows the alerts of its
// source. An alert counts once, whatever the number of its groups.
type SilencePreview struct {
	// Alerts are those that fire, the most urgent first, each with one of its groups.
	Alerts   []ExpectedAlert
	Critical int
	Groups   int // number of groups with these alerts
	// Suppressed and Unreported are the numbers of the other alerts that match and did not end.
	Suppressed, Unreported int
	// Others is the number of the firing alerts outside of the group that the person looked at.
	// OtherGroups are their groups.
	Others      int
	OtherGroups []*AlertGroup
	// Every is true if every known alert that did not end matches, and there are several names.
	Every bool
	// Hash differs if the matchers differ, or the names of the alerts in their groups.
	Hash string
}

// PreviewSilence returns what a silence with the matchers would mute in a source. of is the group
// that the person looked at, or "".
func PreviewSilence(groups []*AlertGroup, source string, ms labels.Matchers, of ID) SilencePreview {
	// The group that the person looked at is the first, so its alerts are shown there.
	groups = slices.SortedFunc(slices.Values(groups), func(a, b *AlertGroup) int {
		return cmp.Or(-compareBools(a.ID == of, b.ID == of), cmp.Compare(a.ID, b.ID))
	})
	p := SilencePreview{Every: true}
	seen, names := map[Fingerprint]bool{}, map[string]bool{}
	pairs, with, others := map[string]bool{}, map[ID]bool{}, map[ID]*AlertGroup{}
	for _, g := range groups {
		if g.Source != source || g.Counts.Resolved == len(g.Alerts) {
			continue
		}
		for _, a := range g.Alerts {
			if a.Status == StatusResolved {
				continue
			}
			names[a.Name()] = true
			if !AllMatch(ms, a.Labels) {
				p.Every = false
				continue
			}
			first := !seen[a.Fingerprint]
			seen[a.Fingerprint] = true
			if p.count(g, a, first); a.ShownStatus() != StatusFiring {
				continue
			}
			pairs[a.Name()+"\x00"+string(g.ID)], with[g.ID] = true, true
			if first && of != "" && g.ID != of {
				p.Others++
				others[g.ID] = g
			}
		}
	}
	p.Every, p.Groups = p.Every && len(names) > 1, len(with)
	p.OtherGroups = slices.SortedFunc(maps.Values(others), func(a, b *AlertGroup) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortStableFunc(p.Alerts, func(a, b ExpectedAlert) int {
		return cmp.Or(a.Alert.Severity().Compare(b.Alert.Severity()), b.Alert.Began().Compare(a.Alert.Began()),
			cmp.Compare(a.Alert.Fingerprint, b.Alert.Fingerprint))
	})
	p.Hash = previewHash(source, ms, slices.Sorted(maps.Keys(pairs)))
	return p
}

// count counts an alert that matches. first is false if it was counted in another group.
func (p *SilencePreview) count(g *AlertGroup, a *Alert, first bool) {
	if !first {
		return
	}
	switch a.ShownStatus() {
	case StatusFiring:
		p.Alerts = append(p.Alerts, ExpectedAlert{g, a})
		if a.Severity() == SeverityCritical {
			p.Critical++
		}
	case StatusSuppressed:
		p.Suppressed++
	case StatusUnreported:
		p.Unreported++
	case StatusResolved:
	}
}

func previewHash(source string, ms labels.Matchers, pairs []string) string {
	texts := make([]string, 0, len(ms))
	for _, m := range ms {
		texts = append(texts, m.String())
	}
	slices.Sort(texts)
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q", source, texts, pairs)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// MatchesEverything reports whether matchers restrict nothing: whatever the values of an alert's
// labels are, all match. Every alert has a name.
func MatchesEverything(ms labels.Matchers) bool {
	any := []string{"dcqjrvbm", "Xw 7/é"} // nobody means values such as these
	return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool {
		return slices.ContainsFunc(any, func(value string) bool { return !m.Matches(value) })
	})
}
