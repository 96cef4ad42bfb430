package grouping

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// Severity ranks alerts by the value of their severity label. Prometheus' own rules
// use critical, warning, info and none. Syslog, PagerDuty, Zabbix and others use
// other values.
type Severity int

// The severities, in the order in which a page shows them. Use Compare to order by
// urgency.
const (
	SeverityCritical Severity = iota
	SeverityWarning
	SeverityInfo
	SeverityOther // an unknown value, or no label
	SeverityNone  // "none": nobody needs to look at it
)

// Compare returns a negative number if a is more urgent than b, 0 if both are equally
// urgent, otherwise a positive number. An unknown value may mean anything, so it must
// not rank below values that are known to be harmless. It ranks like a warning.
func (a Severity) Compare(b Severity) int { return cmp.Compare(a.urgency(), b.urgency()) }

// String returns the name of the severity. That of an unknown value is "other".
func (a Severity) String() string {
	switch a {
	case SeverityCritical:
		return "critical"
	case SeverityWarning:
		return "warning"
	case SeverityInfo:
		return "info"
	case SeverityNone:
		return "none"
	default:
		return "other"
	}
}

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

// DefaultSeverityLabel is the default name of the label that holds the severity.
const DefaultSeverityLabel = "severity"

// severityNames maps the names that a setting may use to severities.
var severityNames = map[string]Severity{
	"critical": SeverityCritical, "warning": SeverityWarning, "info": SeverityInfo, "none": SeverityNone,
}

// defaultSeverityValues returns the label values that are known without a setting:
// those of Prometheus' rules, syslog, Zabbix, PagerDuty and numbered scales.
func defaultSeverityValues() map[string]Severity {
	values := map[string]Severity{}
	for severity, list := range map[Severity][]string{
		SeverityCritical: {
			"critical", "crit", "page", "emergency", "emerg", "alert", "panic", "disaster", "fatal", "blocker", "urgent",
			"p0", "p1", "sev0", "sev1",
		},
		SeverityWarning: {"warning", "warn", "major", "error", "err", "high", "average", "medium", "moderate", "p2", "p3", "sev2", "sev3"},
		SeverityInfo:    {"info", "information", "informational", "minor", "notice", "low", "debug", "p4", "p5", "sev4", "sev5"},
		SeverityNone:    {"none"},
	} {
		for _, value := range list {
			values[value] = severity
		}
	}
	return values
}

// severityScale holds the name of the severity label and the severities of its
// values, in lower case.
type severityScale struct {
	label  string
	values map[string]Severity
}

// scale is global to the process. The severity is derived from an alert's labels
// wherever an alert is made, and the storage, which has no such settings, makes
// alerts too. main sets scale once, before anything else.
var scale atomic.Pointer[severityScale]

func currentScale() *severityScale {
	if s := scale.Load(); s != nil {
		return s
	}
	s := &severityScale{label: DefaultSeverityLabel, values: defaultSeverityValues()}
	scale.CompareAndSwap(nil, s)
	return scale.Load()
}

// SetSeverities sets the name of the label that holds the severity, and adds label
// values to the default ones. Each setting has the form "critical=word,word". Call
// SetSeverities before any group is made or read.
func SetSeverities(label string, settings []string) error {
	s := &severityScale{label: label, values: defaultSeverityValues()}
	if label == "" {
		return errors.New("name of the severity label is empty")
	}
	for _, setting := range settings {
		name, list, _ := strings.Cut(setting, "=")
		severity, ok := severityNames[name]
		if !ok || list == "" {
			return fmt.Errorf("%q is not of the form critical=word,word with one of %v", setting, severityNamesSorted())
		}
		for value := range strings.SplitSeq(list, ",") {
			s.values[strings.ToLower(strings.TrimSpace(value))] = severity
		}
	}
	scale.Store(s)
	return nil
}

// severityNamesSorted returns the names that a setting may use, the most urgent first.
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

// Severity returns the severity of the alert.
func (a *Alert) Severity() Severity { return SeverityOf(a.SeverityWord()) }

// SeverityWord returns the value of the alert's severity label, or "".
func (a *Alert) SeverityWord() string { return a.Labels.Get(currentScale().label) }

// SeverityOf returns the severity of a label value. It ignores case.
func SeverityOf(value string) Severity {
	if severity, ok := currentScale().values[strings.ToLower(value)]; ok {
		return severity
	}
	return SeverityOther
}
