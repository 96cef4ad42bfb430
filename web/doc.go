// Package web is the edge of the HTTP server: listeners, TLS, and who may come
// in. It reads the web config file of the Prometheus exporter-toolkit, and keeps
// the last valid one: a file that is broken, gone or emptied while Muster runs
// opens nothing and closes nothing.
package web
