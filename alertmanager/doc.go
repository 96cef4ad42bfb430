// Package alertmanager reads what the Alertmanagers that the operator named say: their
// alerts, silences and status. If people may, it also changes silences there.
//
// A [Poller] asks each of them again and again, through a [Client] with limits. A [Silencer]
// changes silences.
package alertmanager
