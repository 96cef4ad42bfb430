package main

import (
	"fmt"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// heartbeatFlag is a repeatable flag whose first value takes the place of the
// default.
type heartbeatFlag struct {
	to    *[]labels.Matchers
	given bool
}

// Set is part of kingpin.Value.
func (f *heartbeatFlag) Set(text string) error {
	matchers, err := parse.Matchers(text)
	if err != nil || len(matchers) == 0 {
		return fmt.Errorf("--ui.heartbeat-matcher: %q is not of the form alertname=\"Watchdog\": %w", text, err)
	}
	if !f.given {
		f.given, *f.to = true, nil
	}
	*f.to = append(*f.to, matchers)
	return nil
}

// String is part of kingpin.Value.
func (f *heartbeatFlag) String() string { return "" }

// IsCumulative lets the flag be repeated.
func (f *heartbeatFlag) IsCumulative() bool { return true }
