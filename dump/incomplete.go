package dump

import "fmt"

// Why a list of changes is incomplete, as far as that can be told. Each of them is an
// [ErrIncomplete].
var (
	// ErrOverflow means that there was no room for another exception.
	ErrOverflow = fmt.Errorf("%w: the snapshot has overflowed and is invalid", ErrIncomplete)
	// ErrStoreFailed means that the kernel could not write to the snapshot's COW store, though
	// there was room.
	ErrStoreFailed = fmt.Errorf(
		"%w: the snapshot's COW store has failed and the snapshot is invalid", ErrIncomplete)
	// ErrMiscount means that what was read can't be all of the list, or is more than that. The
	// snapshot itself may be sound.
	ErrMiscount = fmt.Errorf("%w: it was not read as the kernel has it", ErrIncomplete)
	// ErrGone means that the snapshot was removed or deactivated while it was being read.
	ErrGone = fmt.Errorf("%w: the snapshot is no longer there", ErrIncomplete)
)
