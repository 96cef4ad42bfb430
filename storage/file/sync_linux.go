package file

import (
	"os"
	"syscall"
)

// syncData writes the data of the file to the disk, but not the time of its last change.
func syncData(file *os.File) error { return syscall.Fdatasync(int(file.Fd())) }
