// Package reply has what all HTTP answers have in common: the status code of an
// error, the content encoding, the ID of the request, and the limits on readers.
package reply
