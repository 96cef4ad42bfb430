package api

import (
	"time"

	"muster/grouping"
)

// muteView is one active mute of an alert.
type muteView struct {
	Kind     grouping.MuteKind `json:"kind"`
	ID       string            `json:"id"`
	Rule     string            `json:"rule"`
	By       string            `json:"by"`
	Comment  string            `json:"comment"`
	Since    time.Time         `json:"since,omitzero"`
	LastSeen time.Time         `json:"lastSeen,omitzero"`
	Until    time.Time         `json:"until,omitzero"`
	From     grouping.Origin   `json:"from"`
}

// eventMuteView is the mute of an event.
type eventMuteView struct {
	Kind grouping.MuteKind `json:"kind"`
	ID   string            `json:"id"`
	Rule string            `json:"rule,omitempty"`
}

func viewEventMute(m *grouping.Mute) *eventMuteView { return &eventMuteView{m.Kind, m.ID, m.Rule} }

// silenceChangeView is the silence of an event.
type silenceChangeView struct {
	ID        string    `json:"id"`
	CreatedBy string    `json:"createdBy"`
	Comment   string    `json:"comment"`
	Matchers  []string  `json:"matchers"`
	StartsAt  time.Time `json:"startsAt,omitzero"`
	EndsAt    time.Time `json:"endsAt,omitzero"`
	OldEndsAt time.Time `json:"oldEndsAt,omitzero"`
	Early     bool      `json:"early,omitempty"`
	By        string    `json:"by,omitempty"` // who made the change through Muster
	Verified  bool      `json:"verified,omitempty"`
}

// muteDetails has details of what mutes alerts.
type muteDetails interface {
	SilenceOf(source, id string) *grouping.Silence
	MuteSeen(source string, fp grouping.Fingerprint, mute grouping.Mute) time.Time
}

// viewMutes returns the active mutes of an alert.
func viewMutes(source string, a *grouping.Alert, of muteDetails) []muteView {
	mutes := a.Mutes()
	views := make([]muteView, 0, len(mutes))
	for _, m := range mutes {
		v := muteView{
			Kind: m.Kind, ID: m.ID, Rule: m.Rule, Since: m.Since.UTC(), From: m.From,
			LastSeen: of.MuteSeen(source, a.Fingerprint, m).UTC(),
		}
		if m.Kind == grouping.MuteSilence {
			if s := of.SilenceOf(source, m.ID); s != nil {
				v.By, v.Comment, v.Until = s.CreatedBy, s.Comment, s.EndsAt.UTC()
			}
		}
		views = append(views, v)
	}
	return views
}

// endsBetween returns the two times between which an alert ended that nobody reported as
// resolved. It is nil if they are not known.
func endsBetween(a *grouping.Alert) []time.Time {
	if a.GoneBy.IsZero() {
		return nil
	}
	return []time.Time{a.GoneFrom.UTC(), a.GoneBy.UTC()}
}

func matcherTexts(matchers []grouping.SilenceMatcher) []string {
	texts := make([]string, 0, len(matchers))
	for _, m := range matchers {
		texts = append(texts, m.String())
	}
	return texts
}
