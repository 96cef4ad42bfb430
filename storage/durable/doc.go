// Package durable defines what a durable backend of the storage must do, and has
// what all backends share: the schema, the fields of a stored document, and the reasons
// for failures.
package durable
