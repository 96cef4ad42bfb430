// Package wire has the JSON shapes of Alertmanager: the body that it posts to a
// webhook, and a fast parser for its usual form. It does not use Alertmanager's own
// types, because their package links the clients of every other receiver.
package wire
