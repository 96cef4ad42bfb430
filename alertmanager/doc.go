// Package alertmanager reads what the Alertmanagers that the operator named say: their
// alerts, silences and status. It changes nothing there.
package alertmanager
