// Package walk goes through the extents of patches that can be read at random: through
// those of one with a [Cursor], through those of several as if they were one with a [Merge].
package walk

import (
	"io"

	"lvmsync/format"
)

// A Cursor walks through the extents of a patch, two segments of which it holds in
// memory. It is for one goroutine, and needs no end. The zero Cursor is behind the last one; if
// Rest and Data are set, it walks through that extent alone.
type Cursor struct {
	// Rest is what is left of the extent at the cursor, whose hash is 0 unless that is
	// all of it. It is empty before Load, and when Skip has dropped all of it.
	Rest format.Record
	// Data is the data of Rest, until Load or Skip goes on to the next extent.
	Data []byte

	file    *format.File // may be nil
	segment int          // the next to be read
	ahead   chan readAhead
	current *format.Segment // may be nil
	record  int             // the next of current
	left    []byte          // the data of current behind Data
	err     error           // of ahead
}

// NewCursor returns a Cursor before the first extent of f.
func NewCursor(f *format.File) *Cursor { return &Cursor{file: f} }

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
		c.Data = nil
		if c.Rest.Kind == format.Data {
			c.Data, c.left = c.left[:c.Rest.Len], c.left[c.Rest.Len:]
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
	if c.ahead == nil {
		c.ahead = make(chan readAhead, 1)
		c.readAhead()
	}
	if c.err != nil {
		return c.err
	}
	r := <-c.ahead
	if c.err = r.err; c.err != nil {
		return c.err
	}
	c.segment++
	c.release() // the next one is read into its memory
	c.current = r.segment
	c.record, c.left = 0, c.current.Data
	if c.more() {
		c.readAhead()
	}
	return nil
}

// more tells whether there are segments behind the current one.
func (c *Cursor) more() bool { return c.file != nil && c.segment < len(c.file.Index()) }

func (c *Cursor) readAhead() {
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

// Skip drops what lies before off.
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
		n := min(c.Rest.Len, off-c.Rest.Off)
		c.Rest.Off, c.Rest.Len, c.Rest.Hash = c.Rest.Off+n, c.Rest.Len-n, 0
		if c.Rest.Kind == format.Data {
			c.Data = c.Data[n:]
		}
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
