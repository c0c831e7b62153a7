package store

import (
	"errors"
	"fmt"
)

var (
	// ErrNotStore means that the magic number is wrong.
	ErrNotStore = errors.New("not a snapshot's COW device (no persistent exception store)")
	// ErrUninitialised means that the magic number is 0: space set aside for a snapshot which the
	// kernel has never activated.
	ErrUninitialised = errors.New(
		"exception store is not initialised yet: the snapshot was never active")
	// ErrInvalid means that the kernel has given the snapshot up, nearly always because the store
	// was full. Changes made since then are not in the list.
	ErrInvalid = errors.New(
		"snapshot is invalid (its COW store overflowed): the list of changes is incomplete")
	// ErrCorrupt means that the store breaks a rule of its layout. It always comes as a
	// [*CorruptError].
	ErrCorrupt = errors.New("exception store is corrupt")
)

// CorruptError says where a store is corrupt. It wraps [ErrCorrupt] and Err.
type CorruptError struct {
	Area   int64 // number of the exception area, -1 for the header
	Entry  int64 // index of the entry within its area, -1 for the area as a whole or the header
	Offset int64 // bytes from the start of the device
	Err    error // the rule that is broken
}

func (e *CorruptError) Error() string {
	where := "header"
	if e.Area >= 0 {
		where = fmt.Sprintf("area %d", e.Area)
	}
	if e.Entry >= 0 {
		where += fmt.Sprintf(", entry %d", e.Entry)
	}
	return fmt.Sprintf("%v: %s at byte %d: %v", ErrCorrupt, where, e.Offset, e.Err)
}

// Unwrap makes errors.Is find ErrCorrupt as well as the cause.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }

func corruptHeader(format string, args ...any) error {
	return &CorruptError{Area: -1, Entry: -1, Err: fmt.Errorf(format, args...)}
}
