// Package web is the edge of the HTTP server: it listens, speaks TLS and
// authenticates clients. It reads the web config file of the Prometheus
// exporter-toolkit and reloads it when it changes. If the file becomes broken,
// empty or missing, the last valid one stays in force: access neither opens nor
// closes.
package web
