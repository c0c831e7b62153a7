package walk

import (
	"unsafe"

	"lvmsync/format"
)

// manyFiles is how many patches are too many to hold two segments of each: that takes memory.
const manyFiles = 16

// Of many patches each Cursor keeps a part of the segment that it is within, and that no longer than
// it is. The rest is read once more when it is wanted: the parts are as large as leanMemory allows
// for all of them together, in bytes, but have one extent at least, whose size is bounded by that of
// a segment.
const (
	leanMemory = 64 << 20
	leanLeast  = 64 << 10
)

// lean is what the Cursors of many patches share.
type lean struct {
	whole format.Pool // of one segment, which is in use while it is read
	parts format.Pool
	room  int // for each part
}

// A rest is what was not kept of the segment that was read last.
type rest struct {
	from int    // its extents begin with this; 0: there is none
	off  int64  // where that one begins
	sum  uint64 // of the segment's frame
}

// NewCursors returns a Cursor for each of files.
func NewCursors(files ...*format.File) []*Cursor {
	var l *lean
	if len(files) > manyFiles {
		l = &lean{room: max(leanLeast, leanMemory/len(files))}
	}
	return newCursors(l, files)
}

func newCursors(l *lean, files []*format.File) (cursors []*Cursor) {
	for _, f := range files {
		c := NewCursor(f)
		c.lean = l
		cursors = append(cursors, c)
	}
	return cursors
}

// keep replaces the segment that was just read, all of it, by a part that begins where the last one
// ended.
func (c *Cursor) keep() {
	whole := c.current
	from, data := c.rest.from, 0
	for _, r := range whole.Records[:from] {
		data += dataLen(r)
	}
	to, n, size := from, 0, 0
	for _, r := range whole.Records[from:] {
		size += dataLen(r) + int(unsafe.Sizeof(r))
		if to > from && size > c.lean.room {
			break
		}
		to, n = to+1, n+dataLen(r)
	}
	part := c.lean.parts.Segment()
	if cap(part.Data) < n || cap(part.Data) > max(n, c.lean.room) { // it was for a large extent
		part.Data = make([]byte, 0, n)
	}
	part.Records = append(part.Records, whole.Records[from:to]...)
	part.Data = append(part.Data, whole.Data[data:data+n]...)
	c.rest = rest{}
	if to < len(whole.Records) {
		c.rest = rest{to, whole.Records[to].Off, whole.FrameSum}
	} else {
		c.segment++
	}
	whole.Release()
	c.current = part
}

func dataLen(r format.Record) int {
	if r.Kind == format.Zero {
		return 0
	}
	return int(r.Len)
}
