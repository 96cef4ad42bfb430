// Package e2e tests the program as it is deployed: real processes of Muster,
// Alertmanager and redis-server on the loopback interface, and what the API
// tells of them. It holds tests only.
package e2e
