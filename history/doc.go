// Package history answers questions about the past from the events of the history. Its
// functions are pure: they read events and groups, and know neither storage nor network.
package history
