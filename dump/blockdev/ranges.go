package blockdev

import (
	"errors"
	"fmt"
	"iter"

	"golang.org/x/sys/unix"
)

// Range is a run of bytes that is either all hole, and reads as zeros, or may hold data.
type Range struct {
	Off, Len int64 // bytes
	Hole     bool
}

// DataRanges tells the allocated parts of an image file from its holes. The ranges ascend and cover the file from 0
// to Size with no gap. On a file system that does not report holes, and for a block device, everything is data. An
// error ends the sequence and comes with an empty Range.
//
// Data written into a hole while the sequence is read may or may not be seen, as with any read of a file in use.
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
		return Range{}, cause(err)
	case data > off:
		return Range{Off: off, Len: min(data, b.size) - off, Hole: true}, nil
	}
	hole, err := b.f.Seek(off, unix.SEEK_HOLE)
	if err != nil {
		return Range{}, cause(err)
	}
	if hole <= off || hole > b.size { // punched just now, or the file grew
		return rest, nil
	}
	return Range{Off: off, Len: hole - off}, nil
}
