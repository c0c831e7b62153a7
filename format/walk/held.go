package walk

import (
	"slices"

	"lvmsync/format"
)

// maxHeld is how many whole segments are held: who goes through a large extent of one patch comes
// across some of others meanwhile.
const maxHeld = 3

// held are the segments that were read last, of any patch.
type held struct {
	pool format.Pool
	last []heldSegment // that of the last use behind the others
}

type heldSegment struct {
	file    *format.File
	i       int
	segment *format.Segment
}

// read returns segment i of f, which is not the caller's, until the next call.
func (h *held) read(f *format.File, i int) (*format.Segment, error) {
	for k, one := range h.last {
		if one.file == f && one.i == i {
			h.last = append(slices.Delete(h.last, k, k+1), one)
			return one.segment, nil
		}
	}
	if len(h.last) == maxHeld { // the next one is read into its memory
		h.last[0].segment.Release()
		h.last = slices.Delete(h.last, 0, 1)
	}
	s, err := f.ReadSegmentInto(&h.pool, i)
	if err == nil {
		h.last = append(h.last, heldSegment{f, i, s})
	}
	return s, err
}
