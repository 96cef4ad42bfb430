// Package storage keeps alert groups: in memory, in Redis, and, by the Manager
// that joins the two, in both at once.
package storage
