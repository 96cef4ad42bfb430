// Package query reads what the URL of a page or of the API asks for. Both use
// it, so that a parameter means the same to both.
//
// A restriction that cannot be understood is never dropped, since the answer
// would be wider than what was asked for: it is kept as a problem that names the
// parameter, its value and what is allowed.
package query
