package grouping

import "strings"

// Severity ranks alerts by the word in their label "severity", the worst
// first. Shops use different words: Prometheus's own rules critical, warning,
// info and none; PagerDuty's and syslog's the others.
type Severity int

// The severities.
const (
	SeverityCritical Severity = iota
	SeverityWarning
	SeverityInfo
	SeverityOther // another word, or no label
	SeverityNone  // "none": a heartbeat, not meant to be looked at
)

// Severity returns the rank of the alert's label "severity".
func (a *Alert) Severity() Severity { return SeverityOf(a.severityWord()) }

func (a *Alert) severityWord() string { return a.Labels["severity"] }

// SeverityOf returns the rank of a word.
func SeverityOf(word string) Severity {
	switch strings.ToLower(word) {
	case "critical", "page", "emergency", "disaster", "fatal":
		return SeverityCritical
	case "warning", "warn", "major", "error", "high":
		return SeverityWarning
	case "info", "minor", "notice", "low":
		return SeverityInfo
	case "none":
		return SeverityNone
	default:
		return SeverityOther
	}
}
