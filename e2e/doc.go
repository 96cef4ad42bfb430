// Package e2e tests the whole program. It runs real processes of Muster, Alertmanager
// and redis-server on the loopback interface, and checks the responses of the API. It
// contains only tests.
package e2e
