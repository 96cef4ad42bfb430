package grouping

import "regexp"

// DefaultSource is the source of what names no source.
const DefaultSource = "default"

var sourceName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

const maxSourceName = 64

// ValidSource reports whether the text can be the name of a source: 1 to 64 letters, digits
// and the characters _, . and -.
func ValidSource(name string) bool { return len(name) <= maxSourceName && sourceName.MatchString(name) }
