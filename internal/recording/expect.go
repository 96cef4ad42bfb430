package recording

import (
	"encoding/json"
	"fmt"
	"time"
)

// Expect is what can be known at the end of a recording, from the requests that were
// accepted.
type Expect struct {
	Alerts        map[string]ExpectedAlert   // by fingerprint
	Silences      map[string]ExpectedSilence // by ID
	Notifications []ExpectedNotifications
	// DistinctEvents is the number of events, without their repetitions.
	DistinctEvents int
}

// ExpectedAlert is what can be known of an alert.
type ExpectedAlert struct {
	Labels   map[string]string
	Episodes []ExpectedEpisode // in the order of their start
	// SilencedBy are the IDs of silences that muted it. InhibitedBy are the fingerprints
	// of alerts that did.
	SilencedBy, InhibitedBy []string
	Groups                  []ExpectedGroup
	// WebhookOnly is true if only notifications and the API told of the alert.
	WebhookOnly bool
}

// ExpectedEpisode is one episode of an alert. EndsAt is zero if it did not end.
type ExpectedEpisode struct {
	StartsAt, EndsAt time.Time
	// AlertResolved is the number of alertResolved events about it.
	AlertResolved int
	// WebhookLastSaid is "firing" or "resolved". It is "" if no notification listed the
	// episode.
	WebhookLastSaid string
}

// ExpectedGroup is a group of an alert. Receiver is the name as in the configuration.
type ExpectedGroup struct{ Receiver, GroupKey string }

// UnmarshalJSON implements json.Unmarshaler.
func (g *ExpectedGroup) UnmarshalJSON(text []byte) error {
	var pair []string
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a group has %d parts instead of a receiver and a group key", len(pair))
	}
	*g = ExpectedGroup{pair[0], pair[1]}
	return nil
}

// ExpectedSilence is what can be known of a silence.
type ExpectedSilence struct {
	CreatedBy, Comment string
	// StartsAt and EndsAt are as the last event said. They are zero if no event told of
	// the silence.
	StartsAt, EndsAt time.Time
	Matchers         []string // as in name="value"
	Updates          int      // number of silenceUpdated events
	Muted            []string // fingerprints of the alerts that it muted
	// End says how it ended: EndByTime, EndByHand or "" if it did not.
	End string
	// APIAtTheEnd is what the API last said, or nil.
	APIAtTheEnd *APISilence
}

// How a silence ended.
const (
	EndByTime = "by time"
	EndByHand = "by hand or replaced"
)

// APISilence is a silence in an answer of the API.
type APISilence struct {
	State                       string
	StartsAt, EndsAt, UpdatedAt time.Time
}

// ExpectedNotifications counts the notification events of an integration.
type ExpectedNotifications struct {
	Receiver, Integration string
	Index                 uint64
	Count                 int
}
