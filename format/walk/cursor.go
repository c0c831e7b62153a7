// Package walk goes through the extents of patches that can be read at random: through
// those of one with a [Cursor], through those of several as if they were one with a [Merge].
package walk

import (
	"errors"
	"fmt"
	"io"

	"lvmsync/format"
)

var errChanged = errors.New("the patch has changed while it was read")

// A Cursor walks through the extents of a patch, two segments of which it holds in
// memory at most. It is for one goroutine, and needs no end. The zero Cursor is behind the last one; if
// Rest and Data are set, it walks through that extent alone.
type Cursor struct {
	// Rest is what is left of the extent at the cursor, whose hash is 0 unless that is
	// all of it. It is empty before Load, and when Skip has dropped all of it.
	Rest format.Record
	// Data is the data of Rest, until Load or Skip goes on to the next extent. Of many patches it
	// may be no more than the first part of that, or nothing: see Fill and First.
	Data []byte
	// Check, if set, is asked about each segment, with its number, before anything of it is used.
	Check func(i int, s *format.Segment) error

	file    *format.File // may be nil
	lean    *lean        // if set, no segment is read ahead, and a part of one is kept
	rest    rest         // of the segment that is the next to be read
	cut     cut          // Rest, if not all of its data was kept
	segment int          // the next to be read
	last    int          // the one read before; -1: none was
	ahead   chan readAhead
	reading int             // the segment that is read ahead; -1: none is
	part    bool            // a part of the extent has been dropped
	current *format.Segment // may be nil
	record  int             // the next of current
	left    []byte          // the data of current behind Data
	err     error           // of ahead
}

// NewCursor returns a Cursor before the first extent of f.
func NewCursor(f *format.File) *Cursor { return &Cursor{file: f, last: -1, reading: -1} }

// Load makes sure that there is an extent at the cursor; io.EOF if there are no more.
// Another error is returned ever after.
func (c *Cursor) Load() error {
	for c.Rest.Len == 0 {
		if c.current == nil || c.record == len(c.current.Records) {
			if !c.more() {
				c.release()
				return io.EOF
			}
			if err := c.next(); err != nil {
				return err
			}
		}
		c.Rest = c.current.Records[c.record]
		c.record++
		c.Data, c.part = nil, false
		if c.Rest.Kind == format.Data {
			n := min(c.Rest.Len, int64(len(c.left)))
			c.Data, c.left = c.left[:n], c.left[n:]
		}
	}
	return nil
}

// A readAhead is a segment that was read before it was asked for.
type readAhead struct {
	segment *format.Segment
	err     error
}

// next goes to the next segment, and has the one behind it read meanwhile.
func (c *Cursor) next() error {
	if c.err != nil {
		return c.err
	}
	follows := c.segment == c.last+1 // who has jumped may do so again
	if c.lean != nil {
		c.release()
	}
	r := c.read()
	if c.err = r.err; c.err == nil && c.Check != nil {
		c.err = c.Check(c.segment, r.segment)
	}
	if c.err == nil && c.rest.from > 0 && c.rest.sum != r.segment.FrameSum {
		c.err = fmt.Errorf("segment %d: %w", c.segment, errChanged)
	}
	if c.err != nil {
		return c.err
	}
	c.last = c.segment
	c.release() // the next one is read into its memory
	if c.lean != nil {
		c.keep(r.segment)
	} else {
		c.current = r.segment
		c.segment++
	}
	c.record, c.left = 0, c.current.Data
	if c.more() && follows && c.lean == nil {
		c.readAhead()
	}
	return nil
}

// read reads the next segment, or waits for it.
func (c *Cursor) read() (r readAhead) {
	wanted := c.reading == c.segment
	if c.reading >= 0 {
		r = <-c.ahead
		c.reading = -1
	}
	if wanted {
		return r
	}
	if r.segment != nil {
		r.segment.Release()
	}
	if c.lean != nil {
		s, err := c.lean.held.read(c.file, c.segment)
		return readAhead{s, err}
	}
	s, err := c.file.ReadSegment(c.segment)
	return readAhead{s, err}
}

// more tells whether there are segments behind the current one.
func (c *Cursor) more() bool { return c.file != nil && c.segment < len(c.file.Index()) }

func (c *Cursor) readAhead() {
	if c.ahead == nil {
		c.ahead = make(chan readAhead, 1)
	}
	c.reading = c.segment
	go func(i int) {
		s, err := c.file.ReadSegment(i)
		c.ahead <- readAhead{s, err}
	}(c.segment)
}

func (c *Cursor) release() {
	if c.current != nil {
		c.current.Release()
		c.current = nil
	}
}

// Off is where the next extent begins, which needs not be read for that; false if there are no
// more.
func (c *Cursor) Off() (int64, bool) {
	switch {
	case c.Rest.Len > 0:
		return c.Rest.Off, true
	case c.current != nil && c.record < len(c.current.Records):
		return c.current.Records[c.record].Off, true
	case c.rest.from > 0:
		return c.rest.off, true
	case c.more():
		return c.file.Index()[c.segment].Start, true
	}
	return 0, false
}

// IsWhole tells whether Rest is an extent of the patch, of which nothing was dropped.
func (c *Cursor) IsWhole() bool { return c.Rest.Len > 0 && !c.part }

// Segment is the next segment, if nothing of it was dropped or read yet.
func (c *Cursor) Segment() (i int, e format.IndexEntry, ok bool) {
	if c.Rest.Len > 0 || c.current != nil && c.record < len(c.current.Records) ||
		c.rest.from > 0 || !c.more() {
		return 0, format.IndexEntry{}, false
	}
	return c.segment, c.file.Index()[c.segment], true
}

// ends tells whether what comes next is a segment, or the rest of one, that ends before off.
func (c *Cursor) ends(off int64) bool {
	inMemory := c.Rest.Len > 0 || c.current != nil && c.record < len(c.current.Records)
	return !inMemory && c.more() && c.file.Index()[c.segment].End <= off
}

// SkipTo drops what lies before off. Segments that end before are not read.
func (c *Cursor) SkipTo(off int64) error {
	for {
		if next, ok := c.Off(); !ok || next >= off {
			return nil
		}
		if c.ends(off) {
			c.segment++
			c.rest = rest{}
			continue
		}
		if err := c.Load(); err != nil {
			return err
		}
		c.drop(off)
	}
}

// Skip drops what lies before off, and reads on to what comes then.
func (c *Cursor) Skip(off int64) error {
	for {
		if err := c.Load(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if c.Rest.Off >= off {
			return nil
		}
		c.drop(off)
	}
}

// drop drops what lies before off of Rest, which there is.
func (c *Cursor) drop(off int64) {
	n := min(c.Rest.Len, off-c.Rest.Off)
	c.part = true
	c.Rest.Off, c.Rest.Len, c.Rest.Hash = c.Rest.Off+n, c.Rest.Len-n, 0
	if c.Rest.Kind == format.Data {
		c.Data = c.Data[min(n, int64(len(c.Data))):]
	}
	if c.lean != nil && c.Rest.Len == 0 && c.current != nil && c.record == len(c.current.Records) {
		c.Data = nil
		c.release()
	}
}

// Loaded returns the extents behind Rest that are in memory already, and whether there
// are others.
func (c *Cursor) Loaded() (next []format.Record, more bool) {
	if c.current == nil {
		return nil, c.more()
	}
	return c.current.Records[c.record:], c.more()
}
