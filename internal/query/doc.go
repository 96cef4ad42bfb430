// Package query parses the query parameters of the pages and of the API. Both use it,
// so that a parameter means the same to both.
//
// An invalid restriction is never ignored, because the response would then show more
// than the user asked for. It becomes a problem, which names the parameter, its
// value and the allowed values.
package query
