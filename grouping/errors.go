package grouping

import (
	"errors"
	"fmt"
)

// These errors are for errors.Is. The types below have the details, for errors.As.
var (
	ErrGroupNotFound   = errors.New("group not found")
	ErrAckNotFound     = errors.New("acknowledgement not found")
	ErrInvalid         = errors.New("invalid input")
	ErrEpisodeOver     = errors.New("episode is over")
	ErrSilenceNotFound = errors.New("silence not found")
	ErrVersionMismatch = errors.New("group was changed by another writer")
	ErrStorage         = errors.New("storage failed")
	ErrBusy            = errors.New("too many concurrent requests, try again")
)

// GroupNotFoundError means that a group, or an alert of a group, does not exist. It
// is an answer, not a fault.
type GroupNotFoundError struct {
	ID          ID          // "": any group
	Fingerprint Fingerprint // set if an alert was requested
}

func (e *GroupNotFoundError) Error() string {
	switch {
	case e.Fingerprint == "":
		return fmt.Sprintf("group %s not found", e.ID)
	case e.ID == "":
		return fmt.Sprintf("alert %s not found in any group", e.Fingerprint)
	default:
		return fmt.Sprintf("alert %s not found in group %s", e.Fingerprint, e.ID)
	}
}

// Is makes errors.Is(err, ErrGroupNotFound) true.
func (*GroupNotFoundError) Is(target error) bool { return target == ErrGroupNotFound }

// SilenceNotFoundError means that a silence is not known. It is an answer, not a fault.
type SilenceNotFoundError struct {
	Source string // "": any source
	ID     string
}

func (e *SilenceNotFoundError) Error() string { return fmt.Sprintf("silence %s not found", e.ID) }

// Is makes errors.Is(err, ErrSilenceNotFound) true.
func (*SilenceNotFoundError) Is(target error) bool { return target == ErrSilenceNotFound }

// AckNotFoundError means that a group does not have an acknowledgement. It is an answer, not a
// fault.
type AckNotFoundError struct {
	Group ID
	Ack   string
}

func (e *AckNotFoundError) Error() string {
	return fmt.Sprintf("acknowledgement %q not found in group %s", e.Ack, e.Group)
}

// Is makes errors.Is(err, ErrAckNotFound) true.
func (*AckNotFoundError) Is(target error) bool { return target == ErrAckNotFound }

// InvalidError means that what a person wrote cannot be taken. The sentence says why.
type InvalidError struct{ Field, Sentence string }

func (e *InvalidError) Error() string { return e.Field + ": " + e.Sentence }

// Is makes errors.Is(err, ErrInvalid) true.
func (*InvalidError) Is(target error) bool { return target == ErrInvalid }

// EpisodeOverError means that the episode of a group that a person meant is over. It is an
// answer, not a fault.
type EpisodeOverError struct {
	Group *AlertGroup // as it is now
}

func (e *EpisodeOverError) Error() string {
	text := fmt.Sprintf("group %s: the episode is over", e.Group.ID)
	if e.Group.IsOpen() {
		text += ", another runs"
	}
	return text
}

// Is makes errors.Is(err, ErrEpisodeOver) true.
func (*EpisodeOverError) Is(target error) bool { return target == ErrEpisodeOver }

// VersionMismatchError means that a compare-and-set found records that another
// writer changed. It is an answer, not a fault.
type VersionMismatchError struct {
	ID ID
	// Stored holds at least the stored records that differ. The writer merges it
	// into its own copy and uses the result as Change.Base of the next attempt.
	Stored Document
}

func (e *VersionMismatchError) Error() string {
	return fmt.Sprintf("%s was changed by another writer", e.ID.describe())
}

// Is makes errors.Is(err, ErrVersionMismatch) true.
func (*VersionMismatchError) Is(target error) bool { return target == ErrVersionMismatch }

// StorageError wraps every fault of a storage backend: the backend was unreachable,
// was too slow or rejected the operation.
type StorageError struct {
	Backend string // "redis", "file", "memory"
	Op      string // "store", "load", …
	Reason  string // why, as one of a fixed set of words; "": follows from Err
	Err     error
}

func (e *StorageError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Backend, e.Op, e.Err) }

// Unwrap returns the cause.
func (e *StorageError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrStorage) true.
func (*StorageError) Is(target error) bool { return target == ErrStorage }

// FullError means that a new group, alert or source was rejected because its limit
// is reached and nothing can be evicted.
type FullError struct {
	What  string // "group", "alert" or "source"
	Limit int
}

func (e *FullError) Error() string {
	switch e.What {
	case "group":
		return fmt.Sprintf("group limit of %d reached and all groups are firing", e.Limit)
	case "alert":
		return fmt.Sprintf("limit of %d alerts in a group reached and no alert can be evicted", e.Limit)
	default:
		return fmt.Sprintf("%s limit of %d reached", e.What, e.Limit)
	}
}

// DamagedGroupError means that a stored group, or the document of a source, cannot be
// read.
type DamagedGroupError struct {
	ID  ID
	Err error
}

func (e *DamagedGroupError) Error() string { return fmt.Sprintf("%s: %v", e.ID.describe(), e.Err) }

// Unwrap returns the cause.
func (e *DamagedGroupError) Unwrap() error { return e.Err }
