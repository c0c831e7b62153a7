package blockdev

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"golang.org/x/sys/unix"

	"lvmsync/format/durable"
)

// Range is a run of bytes that is either all hole, and reads as zeros, or may hold data.
type Range struct {
	Off, Len int64 // bytes
	Hole     bool
}

// DataRanges tells the allocated parts of an image file from its holes. The ranges ascend and cover
// the file from 0 to Size with no gap. On a file system that does not report holes, and for a block
// device, everything is data. An error ends the sequence and comes with an empty Range.
//
// Data written into a hole while the sequence is read may or may not be seen, as with any read of a
// file in use.
func (b *File) DataRanges() iter.Seq2[Range, error] {
	return func(yield func(Range, error) bool) {
		for off := int64(0); off < b.size; {
			r, err := b.rangeAt(off)
			if err != nil {
				yield(Range{}, fmt.Errorf("find the holes of %s at byte %d: %w", b.name, off, err))
				return
			}
			if !yield(r, nil) {
				return
			}
			off += r.Len
		}
	}
}

// Holes tells where a file has holes, in ascending order. It's for one goroutine.
type Holes struct {
	next func() (Range, error, bool)
	stop func()
	now  Range
	err  error
}

// Holes begins to tell. Close must be called at the end.
func (b *File) Holes() *Holes {
	h := new(Holes)
	h.next, h.stop = iter.Pull2(b.DataRanges())
	return h
}

// Cover tells whether all of the n bytes from off on are a hole. From one call to the next, off
// must not decrease. What lies beyond the end counts as a hole.
func (h *Holes) Cover(off, n int64) (bool, error) {
	for h.err == nil && h.now.Off+h.now.Len <= off {
		var more bool
		if h.now, h.err, more = h.next(); !more {
			h.now = Range{Off: off, Len: math.MaxInt64 - off, Hole: true}
		}
	}
	return h.err == nil && h.now.Hole && off >= h.now.Off && off+n <= h.now.Off+h.now.Len, h.err
}

// Close ends it.
func (h *Holes) Close() { h.stop() }

// rangeAt finds the range that begins at off, which is before the end.
func (b *File) rangeAt(off int64) (Range, error) {
	rest := Range{Off: off, Len: b.size - off}
	if b.id.Device {
		return rest, nil
	}
	data, err := b.f.Seek(off, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // no data from here on
		rest.Hole = true
		return rest, nil
	case errors.Is(err, unix.EINVAL): // the file system knows nothing of holes
		return rest, nil
	case err != nil:
		return Range{}, durable.Cause(err)
	case data > off:
		return Range{Off: off, Len: min(data, b.size) - off, Hole: true}, nil
	}
	hole, err := b.f.Seek(off, unix.SEEK_HOLE)
	if err != nil {
		return Range{}, durable.Cause(err)
	}
	if hole <= off || hole > b.size { // punched just now, or the file grew
		return rest, nil
	}
	return Range{Off: off, Len: hole - off}, nil
}
