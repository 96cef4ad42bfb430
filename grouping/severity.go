package grouping

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// Severity ranks alerts by the word in their severity label. Shops use
// different words: Prometheus' own rules critical, warning, info and none;
// syslog, PagerDuty, Zabbix and others have their own.
type Severity int

// The severities. Their order is that of a page; Compare tells the urgency.
const (
	SeverityCritical Severity = iota
	SeverityWarning
	SeverityInfo
	SeverityOther // another word, or no label
	SeverityNone  // "none": not meant to be looked at
)

// Compare returns a negative number if a is more urgent than b. A word that is
// not known may mean anything, so it ranks beside a warning: it must not sort
// below what is known to be harmless.
func (a Severity) Compare(b Severity) int { return cmp.Compare(a.urgency(), b.urgency()) }

func (a Severity) urgency() int {
	switch a {
	case SeverityCritical:
		return 0
	case SeverityWarning, SeverityOther:
		return 1
	case SeverityInfo:
		return 2
	default:
		return 3
	}
}

// DefaultSeverityLabel is the label that holds the word.
const DefaultSeverityLabel = "severity"

// severityNames are what a setting calls the severities that have words.
var severityNames = map[string]Severity{
	"critical": SeverityCritical, "warning": SeverityWarning, "info": SeverityInfo, "none": SeverityNone,
}

// severityWords are the words that are known without a setting: those of
// Prometheus' rules, syslog, Zabbix, PagerDuty, and numbered scales.
func severityWords() map[string]Severity {
	words := map[string]Severity{}
	for severity, list := range map[Severity][]string{
		SeverityCritical: {"critical", "crit", "page", "emergency", "emerg", "alert", "panic", "disaster", "fatal", "blocker", "urgent", "p0", "p1", "sev0", "sev1"},
		SeverityWarning:  {"warning", "warn", "major", "error", "err", "high", "average", "medium", "moderate", "p2", "p3", "sev2", "sev3"},
		SeverityInfo:     {"info", "information", "informational", "minor", "notice", "low", "debug", "p4", "p5", "sev4", "sev5"},
		SeverityNone:     {"none"},
	} {
		for _, word := range list {
			words[word] = severity
		}
	}
	return words
}

// severityScale is the label and the words in force.
type severityScale struct {
	label string
	words map[string]Severity
}

// scale is one for the whole process: the severity follows from an alert's
// labels wherever an alert is made, also by the storage, which knows no
// settings. main sets it once, before anything else.
var scale atomic.Pointer[severityScale]

func currentScale() *severityScale {
	if s := scale.Load(); s != nil {
		return s
	}
	s := &severityScale{label: DefaultSeverityLabel, words: severityWords()}
	scale.CompareAndSwap(nil, s)
	return scale.Load()
}

// SetSeverities sets the label that holds the severity, and words beside the
// known ones, each as "critical=word,word". It must be called before any group
// is made or read.
func SetSeverities(label string, settings []string) error {
	s := &severityScale{label: label, words: severityWords()}
	if label == "" {
		return errors.New("the label of the severity is empty")
	}
	for _, setting := range settings {
		name, list, _ := strings.Cut(setting, "=")
		severity, ok := severityNames[name]
		if !ok || list == "" {
			return fmt.Errorf("%q is not of the form critical=word,word with one of %v", setting, severityNamesSorted())
		}
		for word := range strings.SplitSeq(list, ",") {
			s.words[strings.ToLower(strings.TrimSpace(word))] = severity
		}
	}
	scale.Store(s)
	return nil
}

func severityNamesSorted() []string {
	names := make([]string, 0, len(severityNames))
	for name := range severityNames {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(severityNames[a], severityNames[b]) })
	return names
}

// SeverityLabel returns the name of the label that holds the severity.
func SeverityLabel() string { return currentScale().label }

// Severity returns the rank of the alert's severity label.
func (a *Alert) Severity() Severity { return SeverityOf(a.SeverityWord()) }

// SeverityWord returns the word in the alert's severity label.
func (a *Alert) SeverityWord() string { return a.Labels[currentScale().label] }

// SeverityOf returns the rank of a word.
func SeverityOf(word string) Severity {
	if severity, ok := currentScale().words[strings.ToLower(word)]; ok {
		return severity
	}
	return SeverityOther
}
