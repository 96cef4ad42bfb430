// Package person says who sends a request, and whether this person may write. A person is
// verified if a password or a trusted proxy names the person. Otherwise the person types a
// name.
package person
