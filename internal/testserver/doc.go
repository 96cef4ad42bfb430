// Package testserver is a whole Muster for tests: the doors and the router, built as
// in the program, over memory and without a listener.
package testserver
