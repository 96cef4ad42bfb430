// Package templates turns groups, alerts and their history into HTML pages:
// pure functions build typed page structs from grouping's values, and a
// Renderer, which parses every template at start, renders them.
package templates
