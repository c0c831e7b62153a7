package metadata

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt means that the metadata break a rule of their layout. It always comes as a
	// [*CorruptError].
	ErrCorrupt = errors.New("thin pool metadata are corrupt")
	// ErrNoVolume means that the pool has no volume of that id.
	ErrNoVolume = errors.New("the pool has no thin volume with the id")
)

// CorruptError says where metadata are corrupt. It wraps [ErrCorrupt] and Err.
type CorruptError struct {
	Block uint64 // number of the block of 4096 bytes
	Err   error  // the rule that is broken
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%v: block %d: %v", ErrCorrupt, e.Block, e.Err)
}

// Unwrap makes errors.Is find ErrCorrupt as well as the cause.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }

func corrupt(block uint64, format string, args ...any) error {
	return &CorruptError{Block: block, Err: fmt.Errorf(format, args...)}
}
