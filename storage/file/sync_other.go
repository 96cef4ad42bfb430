//go:build !linux

package file

import "os"

// syncData writes the file to the disk.
func syncData(file *os.File) error { return file.Sync() }
