// Package receiver is the HTTP side of Muster. It receives Alertmanager's
// notifications and serves groups and history as pages, JSON and live updates.
package receiver
