// Package check holds the tests of the examples. It is a module of its own, so
// that Muster does not depend on Kubernetes, Compose and Prometheus.
package check
