// Package recording reads what real Alertmanagers sent and answered, for tests. The folders
// of testdata/events hold the recordings, and testdata/events/index.md describes them.
package recording
