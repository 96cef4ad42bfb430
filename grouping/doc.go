// Package grouping is Muster's domain: alert groups, their alerts and
// episodes, the rules by which a notification changes them, and the Manager
// that applies those rules on top of a GroupStorage.
//
// Every value that leaves the package (a *AlertGroup, an *Alert, an Event) is
// immutable: a change makes a new value, so readers need neither lock nor copy.
package grouping
