package grouping

import (
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// SilenceState is the state of a silence at a time. It follows from its start and its end.
type SilenceState string

// The states of a silence.
const (
	SilenceActive  SilenceState = "active"
	SilencePending SilenceState = "pending" // its start is in the future
	SilenceExpired SilenceState = "expired"
)

// SilenceStates lists every state of a silence.
func SilenceStates() []SilenceState {
	return []SilenceState{SilenceActive, SilencePending, SilenceExpired}
}

// SilenceEnd says how a silence ended.
type SilenceEnd string

// The ends of a silence. Alertmanager does not tell who ended it.
const (
	EndNone  SilenceEnd = ""           // it did not end
	EndTime  SilenceEnd = "expired"    // at its planned end
	EndEarly SilenceEnd = "endedEarly" // somebody ended it, or replaced it by another one
)

// SilenceInfo is a silence of a source with what it mutes.
type SilenceInfo struct {
	*Silence

	Source string
	State  SilenceState
	End    SilenceEnd
	// Muted are the alerts that it was seen to mute, those that it mutes now first.
	// Expected are the others that it matches, while it is active or pending, and that did
	// not end.
	Muted    []SilencedAlert
	Expected []ExpectedAlert
}

// ExpectedAlert is an alert of a group that a silence matches.
type ExpectedAlert struct {
	Group *AlertGroup
	Alert *Alert
}

// SilencedAlert is an alert of a group with the mute by a silence.
type SilencedAlert struct {
	ExpectedAlert

	Mute Mute
	// LastSeen is when the mute was last seen, in the clock of the source. It is zero if it
	// was not seen since the start of this process.
	LastSeen time.Time
}

// SilenceQuery selects silences. The zero value selects all.
type SilenceQuery struct {
	Source string
	States []SilenceState // empty: all
	// Matchers select the silences with an equality matcher whose value all of them match.
	Matchers labels.Matchers
	// Words selects the silences that contain every word, ignoring case: in their matchers,
	// their creator or their comment.
	Words  []string
	Cursor string // SilencePage.Next of the previous page; "": the first page
	Limit  int    // 0: DefaultLimit
}

// SilencePage is a page of silences: active ones by their end, pending ones by their start,
// and expired ones by their end, the newest first. Total and States count all that the query
// selects, States without its states.
type SilencePage struct {
	Silences []SilenceInfo
	Total    int
	States   map[SilenceState]int
	Next     string
}

// SourceReport says what Muster receives from a source.
type SourceReport struct {
	Source   string
	Groups   int
	Webhook  WebhookReport
	Recorder RecorderReport
	Pollers  []PollReport // by URL; empty: this Muster polls no Alertmanager of the source
	// PolledElsewhereAt is when another Muster last said that it polls the Alertmanagers of the
	// source, or zero.
	PolledElsewhereAt time.Time
	// TooManySilences is true if the oldest expired silences were removed, because there
	// were too many.
	TooManySilences bool
}

// WebhookReport says when notifications of a source arrived last, by the external URLs of its
// Alertmanagers too.
type WebhookReport struct {
	LastAt        time.Time
	Alertmanagers map[string]time.Time
}

// RecorderReport says what the event recorders of a source sent. The times are those of the
// arrival.
type RecorderReport struct {
	LastAt    time.Time // zero: nothing since the start of this process
	LastHour  int       // the number of events within the last hour
	Missing   int       // the number of deliveries within the last hour that only the webhook brought
	Instances []InstanceReport
}

// InstanceReport is about the event recorder of one Alertmanager, by its host name.
type InstanceReport struct {
	Instance string
	Version  string // "" if its start was not seen
	LastAt   time.Time
	// Skew is how far its clock is ahead, as far as that can be told. It is negative if its
	// clock is behind.
	Skew time.Duration
}
