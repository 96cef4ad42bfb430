// Package namedflag adds the name of a flag to the errors of its value.
package namedflag
