// Package web is the HTTP server around the doors: it listens, speaks TLS,
// authenticates clients, and sends each request to the handler of its path. It also
// answers the probes and the scrapes. It reads the web config file of the Prometheus
// exporter-toolkit and reloads it when it changes. If the file becomes broken,
// empty or missing, the last valid one stays in force: access neither opens nor
// closes.
package web
