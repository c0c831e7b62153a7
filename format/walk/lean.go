package walk

import (
	"fmt"
	"unsafe"

	"lvmsync/format"
)

// manyFiles is how many patches are too many to hold two segments of each: that takes memory.
const manyFiles = 16

// Of many patches each Cursor keeps a part of the segment that it is within, and that no longer
// than it is. The rest is read once more when it is wanted: the parts are as large as leanMemory
// allows for all of them together, in bytes. Of an extent that is larger a part has a part.
const (
	leanMemory = 64 << 20
	leanLeast  = 64 << 10
)

// lean is what the Cursors of many patches share.
type lean struct {
	held  held        // whole segments
	parts format.Pool // of segments
	room  int         // for each part
}

// A rest is what was not kept of the segment that was read last.
type rest struct {
	from int    // its extents begin with this; 0: there is none
	off  int64  // where that one begins
	sum  uint64 // of the segment's frame
}

// A cut says where the data of an extent is of which only a part was kept.
type cut struct {
	segment int
	sum     uint64 // of the segment's frame
	from    int64  // where the extent begins, in the volume
	data    int    // and in the data of the segment
}

// NewCursors returns a Cursor for each of files.
func NewCursors(files ...*format.File) []*Cursor {
	var l *lean
	if len(files) > manyFiles {
		l = &lean{room: max(leanLeast, leanMemory/len(files)/leanLeast*leanLeast)}
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

// keep makes a part of the segment that was just read, which begins where the last one ended, the
// current segment.
func (c *Cursor) keep(whole *format.Segment) {
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
	if n > c.lean.room { // it's one extent
		c.cut = cut{c.segment, whole.FrameSum, whole.Records[from].Off, data}
		n = c.lean.room
	}
	part := c.lean.parts.Segment()
	if cap(part.Data) < n {
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
	c.current = part
}

// Fill makes sure that Data has something if Rest is data, in memory of this Cursor's own.
func (c *Cursor) Fill() error {
	if len(c.Data) > 0 || dataLen(c.Rest) == 0 {
		return nil
	}
	data, err := c.again()
	if err == nil {
		data = data[:min(len(data), c.lean.room)]
		c.current.Data = append(c.current.Data[:0], data...)
		c.Data = c.current.Data
	}
	return err
}

// First returns the first n bytes of the data of Rest, which has them. They may be in memory that
// all Cursors share: until the next call of any of them.
func (c *Cursor) First(n int64) ([]byte, error) {
	if n <= int64(len(c.Data)) {
		return c.Data[:n], nil
	}
	data, err := c.again()
	if err != nil {
		return nil, err
	}
	return data[:n], nil
}

// again reads the data of Rest once more, unless it is held.
func (c *Cursor) again() ([]byte, error) {
	if c.err != nil {
		return nil, c.err
	}
	s, err := c.lean.held.read(c.file, c.cut.segment)
	if err == nil && s.FrameSum != c.cut.sum {
		err = fmt.Errorf("segment %d: %w", c.cut.segment, errChanged)
	}
	if c.err = err; err != nil {
		return nil, err
	}
	from := c.cut.data + int(c.Rest.Off-c.cut.from)
	return s.Data[from : from+int(c.Rest.Len)], nil
}

func dataLen(r format.Record) int {
	if r.Kind == format.Zero {
		return 0
	}
	return int(r.Len)
}
