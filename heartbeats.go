package main

import (
	"fmt"
	"strings"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// heartbeatFlag is a repeatable flag. Its first value replaces the default, and further
// values are added.
type heartbeatFlag struct {
	to    *[]labels.Matchers
	given []string
}

// Set is part of kingpin.Value.
func (f *heartbeatFlag) Set(text string) error {
	matchers, err := parse.Matchers(text)
	if err != nil || len(matchers) == 0 {
		return fmt.Errorf("--ui.heartbeat-matcher: %q does not have the form alertname=\"Watchdog\": %w", text, err)
	}
	if f.given == nil {
		*f.to = nil
	}
	f.given = append(f.given, text)
	*f.to = append(*f.to, matchers)
	return nil
}

// String is part of kingpin.Value.
func (f *heartbeatFlag) String() string { return "" }

// setting returns the texts that were given.
func (f *heartbeatFlag) setting() string { return strings.Join(f.given, " or ") }

// IsCumulative tells kingpin that the flag is repeatable.
func (f *heartbeatFlag) IsCumulative() bool { return true }
