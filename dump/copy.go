package dump

import (
	"fmt"

	"lvmsync/dump/blockdev"
	"lvmsync/format"
)

// A Copy is a base that can be read as a whole: a device, a file, or a state of an archive.
type Copy interface {
	Base
	// Zeros begins to tell where the copy has nothing but zeros. Close must be called at the end.
	Zeros() Zeros
	// Check is called when all has been read: an error means that it may not have been what it
	// should.
	Check() error
}

// Zeros tell, for one goroutine, where a copy is known to have zeros without reading it.
type Zeros interface {
	// Cover tells whether all of the n bytes from off on are zeros. From one call to the next, off
	// must not decrease. What lies beyond the end counts as zeros.
	Cover(off, n int64) (bool, error)
	Close()
}

// CopyOf is a device or file as a copy.
func CopyOf(f *blockdev.File) Copy { return copied{f} }

type copied struct{ *blockdev.File }

func (c copied) Zeros() Zeros { return c.Holes() }

// Check makes sure that it has not become smaller: the end of such a file looks like a hole.
func (c copied) Check() error { return c.CheckSize() }

// An UnknownError says that nobody knows what a base held there. All of it is sent.
type UnknownError struct {
	format.Extent
	Err error // why
}

// Error says where, and why.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("what the base held in the bytes [%d, %d) isn't known: %v", e.Off, e.End(),
		e.Err)
}

// Unwrap gives the reason.
func (e *UnknownError) Unwrap() error { return e.Err }
