// Package alertmanager reads what the Alertmanagers that the operator named say: their
// alerts, silences and status. It changes nothing there.
//
// A [Poller] asks each of them again and again, through a [Client] with limits.
package alertmanager
