// Package grouping is Muster's domain: alert groups, their alerts and episodes, and
// the rules by which a notification changes them. The Manager applies these rules to
// the groups in a GroupStorage.
//
// Every value that the package returns (a *AlertGroup, an *Alert, an Event) is
// immutable. A change makes a new value, so readers need neither a lock nor a copy.
package grouping
