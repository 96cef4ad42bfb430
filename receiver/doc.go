// Package receiver is Muster's HTTP side: Alertmanager's notifications in,
// groups and history out, as JSON and as live updates. It is the only package
// that knows gin.
package receiver
