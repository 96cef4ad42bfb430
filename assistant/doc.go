// Package assistant answers the questions of assistants about alerts. It offers read-only
// tools of the Model Context Protocol, and asks the API of a Muster for each answer.
//
// What an alert says was written by others, maybe by an attacker. Every such text is marked
// as data: between « and » in the text of an answer, and as a value in its JSON. See shaper.
package assistant
