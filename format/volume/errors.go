package volume

import (
	"errors"
	"fmt"

	"lvmsync/format"
)

// ErrLost means that nobody knows what the volume holds there: it could not be read when the
// patch was made.
var ErrLost = errors.New("could not be read when the patch was made")

// A LostError says what has been lost, of what was asked for.
type LostError struct {
	Patch  string        // its name
	Extent format.Extent // the first that is lost
}

// Error names the patch and the bytes.
func (e *LostError) Error() string {
	return fmt.Sprintf("%s: bytes [%d, %d) of the volume %v",
		e.Patch, e.Extent.Off, e.Extent.End(), ErrLost)
}

// Unwrap makes the error match ErrLost.
func (e *LostError) Unwrap() error { return ErrLost }

// A SegmentError says which segment can't be read. Err is a [format.CorruptError] if that is
// damaged, or else what the reading of its file has met.
type SegmentError struct {
	Patch   string // its name
	Segment int    // in the order of the index, from 0
	Err     error
}

// Error names the patch and the segment.
func (e *SegmentError) Error() string {
	return fmt.Sprintf("%s: segment %d: %v", e.Patch, e.Segment, e.Err)
}

// Unwrap gives what is wrong with it.
func (e *SegmentError) Unwrap() error { return e.Err }
