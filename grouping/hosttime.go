package grouping

import "time"

// hostTime returns the host's time of day. It steps if somebody sets the host's
// clock. A test of the whole program replaces this file.
func hostTime() time.Time { return time.Now() }

// started is when this process began, on the monotonic clock.
var started = time.Now()

// uptime returns how long the process has run. It never steps.
func uptime() time.Duration { return time.Since(started) }
