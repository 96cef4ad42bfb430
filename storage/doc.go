// Package storage keeps alert groups and their history: in memory, in one file or
// in Redis. Tiered joins memory with one of the other two.
//
// The interface grouping.GroupStorage is the contract of all of them. One test
// suite checks it for every backend.
package storage
