// Bench measures Muster from outside. It starts real programs and sends them requests over
// loopback connections. `make bench` compares Muster with its goals, and with floors that
// run beside it (bench/floors). `make bench-compare` compares two builds. Programs are
// measured by turns in several rounds, so that other load of the machine affects all.
package main
