package grouping

import "time"

// Poll is what one Alertmanager's API said about its alerts.
type Poll struct {
	// At is when Muster asked, in Muster's clock.
	At time.Time
	// StartedAt is the time of the last start of the Alertmanager, and Version its version.
	StartedAt time.Time
	Version   string
	// Alerts are all alerts that did not end, once for each of their groups. They have no
	// group key.
	Alerts []ObservedAlert
	// Complete is false if the Alertmanager listed alerts that are not in Alerts. Then an
	// alert that is not there may still exist.
	Complete bool
}

// PollReport says how well the API of one Alertmanager can be read.
type PollReport struct {
	// URL is the URL of the Alertmanager without credentials.
	URL     string
	Version string // "" if it never answered
	// LastAt is the time of the last success, or zero.
	LastAt time.Time
	// Err says in a sentence why the last poll failed, at least in part. It is "" if
	// everything was read. FailingSince is the time of the first failure since LastAt, or
	// zero.
	Err          string
	FailingSince time.Time
	// Failed is the number of failed notifications since the start of the Alertmanager, by
	// integration. It is nil if it is not known.
	Failed map[string]uint64
	// FailedLately is the number of those within about the last ten minutes. The manager
	// sets it.
	FailedLately map[string]uint64
}

// SourceReceiver names a receiver of one source.
type SourceReceiver struct{ Source, Receiver string }
