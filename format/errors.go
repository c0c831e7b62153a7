package format

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"lvmsync/format/internal/frame"
)

// What a caller may have to tell apart, with errors.Is.
var (
	// ErrNotPatch: the input does not begin like a patch.
	ErrNotPatch = errors.New("not an lvmsync patch")
	// ErrVersion: the patch or signature is of a newer format version.
	ErrVersion = errors.New("unsupported format version")
	// ErrFeature: the patch requires a feature that this package lacks.
	ErrFeature = errors.New("unsupported required feature")
	// ErrCorrupt: the patch breaks a rule of the format or a checksum.
	ErrCorrupt = errors.New("patch is corrupt")
	// ErrTruncated: the patch ends before its trailer. It is also ErrCorrupt.
	ErrTruncated = errors.New("patch is truncated")
	// ErrState: the caller used a Writer after Close or Abort.
	ErrState = errors.New("patch writer is closed")
	// ErrFull: a segment has no room for one more extent.
	ErrFull = errors.New("segment is full")
)

// A CorruptError says where a patch or signature is broken, and how.
type CorruptError struct {
	What   string // what is broken; empty: a patch
	Part   string // header, segment, table, index, trailer, or end: what follows it
	Offset int64  // where the part begins, in bytes from the start of the patch
	Err    error  // the rule that was broken
}

// Error names the part, its place and the broken rule.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is corrupt: %s at byte %d: %v",
		cmp.Or(e.What, "patch"), e.Part, e.Offset, e.Err)
}

// Unwrap makes the error match ErrCorrupt and the rule's own error.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }

// A TruncatedError says where a patch or signature ends too early.
type TruncatedError struct {
	What   string // what ends; empty: a patch
	Part   string // the part that is cut or missing: header, segment, index, trailer
	Offset int64  // length of what there is, in bytes
	Start  int64  // where that part begins, in bytes from the start of the patch
}

// Error says how long the input is and what is missing.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("%s is truncated: it ends after %d bytes, %s missing or incomplete",
		cmp.Or(e.What, "patch"), e.Offset, e.Part)
}

// Unwrap makes the error match ErrTruncated, ErrCorrupt and io.ErrUnexpectedEOF.
func (e *TruncatedError) Unwrap() []error {
	return []error{ErrTruncated, ErrCorrupt, io.ErrUnexpectedEOF}
}

func corrupt(part string, offset int64, format string, args ...any) error {
	return &CorruptError{Part: part, Offset: offset, Err: fmt.Errorf(format, args...)}
}

// partError turns an error met in reading the part that begins at offset, when
// n bytes of it had been read, into the one to report. An end of input means
// that the patch is truncated: only the trailer ends a patch.
func partError(part string, offset int64, n int, err error) error {
	switch {
	case frame.IsInputError(err):
		return fmt.Errorf("read the patch at byte %d: %w", offset+int64(n), err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &TruncatedError{Part: part, Offset: offset + int64(n), Start: offset}
	}
	return corrupt(part, offset, "%w", err)
}

var errPlace = errors.New("it is longer than its place")

// placeError is the error to report for a part that has its place in a File. What is too
// long for it is corrupt.
func placeError(part string, offset int64, err error) error {
	if !frame.IsInputError(err) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		err = errPlace
	}
	return partError(part, offset, 0, err)
}
