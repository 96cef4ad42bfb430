// Package storage keeps alert groups and their history: in memory, in one file,
// in Redis, and, by the Tiered that joins memory with one of the others, in
// both at once. What each owes its callers is the contract of
// grouping.GroupStorage, which one suite of tests checks over all of them.
package storage
