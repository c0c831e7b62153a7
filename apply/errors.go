package apply

import (
	"errors"
	"fmt"
)

var (
	// ErrWrongBase means that the destination doesn't hold what the patch is
	// relative to. Nothing was written.
	ErrWrongBase = errors.New("the destination does not hold the base of the patch")
	// ErrNeedsFull means the same of a destination that doesn't exist yet.
	ErrNeedsFull = fmt.Errorf("%w", ErrWrongBase)
	// ErrUndoExists means that the file for the undo patch is there already. Nothing
	// was written.
	ErrUndoExists = errors.New("the undo patch exists and is not overwritten")
	// ErrMissing means that the destination doesn't exist.
	ErrMissing = errors.New("the destination does not exist")
	// ErrNotCreated means the same of one that Options.Create could have made.
	ErrNotCreated = fmt.Errorf("%w", ErrMissing)
	// ErrInUse means that somebody else uses the destination. Nothing was
	// written.
	ErrInUse = errors.New("the destination is in use")
	// ErrOwnSource means that the destination is where the patch came from.
	// Nothing was written.
	ErrOwnSource = errors.New("the destination is the source of the patch")
	// ErrRestore means the same of a full patch, which may go back to where it came from if
	// that is forced.
	ErrRestore = fmt.Errorf("%w", ErrOwnSource)
	// ErrIsPatch means that the destination is a patch or a signature. Nothing was
	// written.
	ErrIsPatch = errors.New("not a volume: was the destination forgotten?")
	// ErrNotRaw means that the destination holds a volume in a form of its own. Nothing
	// was written.
	ErrNotRaw = errors.New("not a raw image")
	// ErrTooSmall means that the destination can't hold the volume. Nothing was
	// written.
	ErrTooSmall = errors.New("the destination is too small")
)

// A TooSmallError means that the destination can't hold the volume. Nothing was written.
type TooSmallError struct {
	Destination string
	IsDevice    bool
	Size        int64 // of the destination, in bytes
	Volume      int64 // size of the volume, in bytes
}

// Error tells both sizes.
func (e *TooSmallError) Error() string {
	return fmt.Sprintf("%v: %s has %d bytes, the volume %d", ErrTooSmall,
		e.Destination, e.Size, e.Volume)
}

// Unwrap makes the error match ErrTooSmall.
func (e *TooSmallError) Unwrap() error { return ErrTooSmall }

// A PartialError means that the destination has been written to, but not to the
// end: it is neither as it was nor as it shall be.
type PartialError struct {
	Destination string
	Through     int64  // extents before this offset in the volume were written
	Durable     bool   // and have reached the device
	Undo        string // file with an undo patch of them; empty: there is none
	// the rest is what the same dump gives from Through on: it was one patch, no undo patch, and
	// there is a rest
	Resumable bool
	Err       error // why it went no further
}

// Error says what happened and how far the destination got.
func (e *PartialError) Error() string {
	state := "written"
	if !e.Durable {
		state = "written, but perhaps not all of them are on the device"
	}
	return fmt.Sprintf("%v; %s is part-way: the changes before byte %d of the volume are %s",
		e.Err, e.Destination, e.Through, state)
}

// Unwrap gives the cause.
func (e *PartialError) Unwrap() error { return e.Err }
