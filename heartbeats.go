package main

import (
	"fmt"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// heartbeatFlag is a repeatable flag. Its first value replaces the default, and further
// values are added.
type heartbeatFlag struct {
	to    *[]labels.Matchers
	given bool
}

// Set is part of kingpin.Value.
func (f *heartbeatFlag) Set(text string) error {
	matchers, err := parse.Matchers(text)
	if err != nil || len(matchers) == 0 {
		return fmt.Errorf("--ui.heartbeat-matcher: %q does not have the form alertname=\"Watchdog\": %w", text, err)
	}
	if !f.given {
		f.given, *f.to = true, nil
	}
	*f.to = append(*f.to, matchers)
	return nil
}

// String is part of kingpin.Value.
func (f *heartbeatFlag) String() string { return "" }

// IsCumulative tells kingpin that the flag is repeatable.
func (f *heartbeatFlag) IsCumulative() bool { return true }
