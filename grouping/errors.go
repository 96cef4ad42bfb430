package grouping

import (
	"errors"
	"fmt"
)

// The three things that can be wrong with a stored group, for errors.Is. The
// types below say more, for errors.As.
var (
	ErrGroupNotFound   = errors.New("group not found")
	ErrVersionMismatch = errors.New("group changed meanwhile")
	ErrStorage         = errors.New("storage failed")
)

// GroupNotFoundError says that no group, or no alert of a group, is held under
// an identity. It is an answer, not a fault.
type GroupNotFoundError struct {
	ID          ID
	Fingerprint Fingerprint // set where an alert was asked for
}

func (e *GroupNotFoundError) Error() string {
	switch {
	case e.Fingerprint == "":
		return fmt.Sprintf("group %s not found", e.ID)
	case e.ID == "":
		return fmt.Sprintf("no group holds alert %s", e.Fingerprint)
	default:
		return fmt.Sprintf("group %s holds no alert %s", e.ID, e.Fingerprint)
	}
}

// Is makes errors.Is(err, ErrGroupNotFound) true.
func (*GroupNotFoundError) Is(target error) bool { return target == ErrGroupNotFound }

// VersionMismatchError says that a compare-and-set found something newer. It
// is an answer, not a fault.
type VersionMismatchError struct {
	ID ID
	// Stored is what the storage holds of the records that differ, or more.
	// Merging it into the writer's copy gives a base that can be stored against.
	Stored *AlertGroup
}

func (e *VersionMismatchError) Error() string {
	return fmt.Sprintf("group %s changed meanwhile", e.ID)
}

// Is makes errors.Is(err, ErrVersionMismatch) true.
func (*VersionMismatchError) Is(target error) bool { return target == ErrVersionMismatch }

// StorageError wraps every fault of a storage backend: it was unreachable, too
// slow, or refused the operation.
type StorageError struct {
	Backend string // "redis", "file", "memory"
	Op      string // "store", "load", …
	Err     error
}

func (e *StorageError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Backend, e.Op, e.Err) }

// Unwrap returns the cause.
func (e *StorageError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrStorage) true.
func (*StorageError) Is(target error) bool { return target == ErrStorage }

// FullError says that a group or an alert is not taken since as many are held
// as a limit allows, and all of them fire.
type FullError struct {
	What  string // "groups", "alerts", "sources"
	Limit int
}

func (e *FullError) Error() string {
	return fmt.Sprintf("as many as %d %s are held, the limit, and none of them can go", e.Limit, e.What)
}

// DamagedGroupError says that what is stored of one group cannot be read.
type DamagedGroupError struct {
	ID  ID
	Err error
}

func (e *DamagedGroupError) Error() string { return fmt.Sprintf("group %s: %v", e.ID, e.Err) }

// Unwrap returns the cause.
func (e *DamagedGroupError) Unwrap() error { return e.Err }
