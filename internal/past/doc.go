// Package past answers questions about the past. It reads the history through the manager,
// and asks package history what the events say.
package past
