package grouping

import (
	"slices"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// silenceRecords are the silences of a source. The key of a record is the ID of its
// silence.
var silenceRecords = sourceRecords[Silence, *Silence]{
	"s:", func(d *SourceDocument) *map[string]*Silence { return &d.Silences },
}

// Silence is a silence of Alertmanager, as its API or its event recorder reported it. It
// is immutable.
type Silence struct {
	ID string `json:"id"`
	// MatcherSets select the alerts that the silence mutes. An alert must match all
	// matchers of one of the sets.
	MatcherSets [][]SilenceMatcher `json:"matcherSets,omitempty"`

	// StartsAt, EndsAt and UpdatedAt are in the clock of the source. EndsAt is the
	// planned end, or the real end if somebody ended the silence.
	StartsAt  time.Time `json:"startsAt,omitzero"`
	EndsAt    time.Time `json:"endsAt,omitzero"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`

	// CreatedBy is what a client of Alertmanager sent. Nobody verified it.
	CreatedBy   string `json:"createdBy,omitempty"`
	Comment     string `json:"comment,omitempty"`
	Annotations Labels `json:"annotations,omitzero"`

	// FromAPI is true if the API reported it. Otherwise an earlier end than EndsAt cannot be
	// known: the event recorder does not tell it.
	FromAPI bool `json:"fromAPI,omitzero"`
	// EndedAt is set, with End, when the end was written into the history.
	EndedAt time.Time  `json:"endedAt,omitzero"`
	End     SilenceEnd `json:"end,omitempty"`

	// Write is the last change through Muster, or nil.
	Write *SilenceWrite `json:"write,omitempty"`

	// Stamp is the stamp of the write that last changed the silence.
	Stamp Stamp `json:"-"`
	// Unknown holds unknown stored fields, as in an Alert.
	Unknown string `json:"-"`
}

// SilenceMatcher is one matcher of a silence.
type SilenceMatcher struct {
	Name  string `json:"name"`
	Type  string `json:"type"` // "=", "!=", "=~" or "!~"
	Value string `json:"value"`
}

// StateAt returns the state of the silence at a time.
func (s *Silence) StateAt(now time.Time) SilenceState {
	switch {
	case !now.Before(s.EndsAt):
		return SilenceExpired
	case now.Before(s.StartsAt):
		return SilencePending
	}
	return SilenceActive
}

// endedEarly reports whether somebody ended the silence: then its last change is its end.
func (s *Silence) endedEarly() bool { return !s.UpdatedAt.Before(s.EndsAt) }

// String returns the matcher as Alertmanager writes it: name=~"value".
func (m SilenceMatcher) String() string {
	of := labels.Matcher{Name: m.Name, Value: m.Value}
	switch m.Type {
	case "!=":
		of.Type = labels.MatchNotEqual
	case "=~":
		of.Type = labels.MatchRegexp
	case "!~":
		of.Type = labels.MatchNotRegexp
	default:
		of.Type = labels.MatchEqual
	}
	return of.String()
}

func (s *Silence) stampedFields() stampedFields { return stampedFields{&s.ID, &s.Stamp, &s.Unknown} }

// Equal reports whether both silences are equal in every field, including stamps.
func (s *Silence) Equal(o *Silence) bool {
	return s.ID == o.ID && s.Stamp == o.Stamp && s.Unknown == o.Unknown && s.CreatedBy == o.CreatedBy && s.Comment == o.Comment &&
		s.StartsAt.Equal(o.StartsAt) && s.EndsAt.Equal(o.EndsAt) && s.UpdatedAt.Equal(o.UpdatedAt) &&
		s.Annotations.Equal(o.Annotations) && s.FromAPI == o.FromAPI && s.EndedAt.Equal(o.EndedAt) && s.End == o.End &&
		s.Write.equal(o.Write) &&
		slices.EqualFunc(s.MatcherSets, o.MatcherSets, slices.Equal[[]SilenceMatcher])
}
