// Package file keeps groups and history in one file, a bbolt database.
package file
