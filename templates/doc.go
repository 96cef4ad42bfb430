// Package templates turns groups, alerts and their history into HTML pages. Pure
// functions make page structs from the values of package grouping. A Renderer
// parses all templates at the start and renders the page structs.
package templates
