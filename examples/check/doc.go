// Package check tests the examples. It is a separate module, so that Muster does not
// depend on Kubernetes, Compose and Prometheus.
package check
