package file

import (
	"errors"
	"syscall"

	"muster/storage/durable"
)

// reasonFull is the reason of a failure that only a file has: the disk is full.
const reasonFull = "full"

// faultReason returns the reason of an error of the file.
func faultReason(err error) string {
	var (
		damaged *damagedFileError
		moved   *movedFileError
	)
	switch {
	case errors.As(err, &moved):
		return durable.ReasonMoved
	case errors.As(err, &damaged):
		return durable.ReasonDamaged
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, errNoGrowth):
		return reasonFull
	}
	return durable.FaultReason(err)
}
