// Package pages answers with HTML: one file for each page. It caches pages that are
// rendered, redirects old and short addresses, and serves the static files.
package pages
