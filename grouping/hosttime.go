package grouping

import "time"

// hostTime returns the host's time of day. It steps if somebody sets the host's
// clock. A test that runs the whole program replaces this file.
func hostTime() time.Time { return time.Now() }

// started is the time at which this process started, with a monotonic reading.
var started = time.Now()

// uptime returns the time since the process started. It never steps.
func uptime() time.Duration { return time.Since(started) }
