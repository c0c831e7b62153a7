package format

import "io"

// A Cursor walks through the extents of a patch, two segments of which it holds in
// memory. It is for one goroutine.
type Cursor struct {
	// Rest is what is left of the extent at the cursor, whose hash is 0 unless that is
	// all of it. Empty: see Load.
	Rest Record
	// Data is the data of Rest, until Skip.
	Data []byte

	file    *File
	segment int // the next to be read
	ahead   chan readAhead
	current *body  // may be nil
	spare   *body  // the one before, to be used again; may be nil
	record  int    // the next of current
	left    []byte // the data of current behind Data
	err     error  // of ahead
}

// Walk returns a Cursor at the first extent.
func (f *File) Walk() *Cursor { return &Cursor{file: f} }

// Load makes sure that there is an extent at the cursor; io.EOF if there are no more.
// Another error is returned ever after.
func (c *Cursor) Load() error {
	for c.Rest.Len == 0 {
		if c.current == nil || c.record == len(c.current.records) {
			if c.segment == len(c.file.Index()) {
				c.file.keep(c.current, c.spare)
				c.current, c.spare = nil, nil
				return io.EOF
			}
			if err := c.next(); err != nil {
				return err
			}
		}
		c.Rest = c.current.records[c.record]
		c.record++
		c.Data = nil
		if c.Rest.Kind == Data {
			c.Data, c.left = c.left[:c.Rest.Len], c.left[c.Rest.Len:]
		}
	}
	return nil
}

// A readAhead is a segment that was read before it was asked for.
type readAhead struct {
	segment *body
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
	c.current, c.spare = r.segment, c.current
	c.record, c.left = 0, c.current.data
	if c.segment < len(c.file.Index()) {
		c.readAhead()
	}
	return nil
}

func (c *Cursor) readAhead() {
	s := c.spare
	if s == nil {
		s = c.file.kept()
	}
	go func(i int) {
		err := c.file.readSegment(i, s)
		c.ahead <- readAhead{s, err}
	}(c.segment)
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
		if c.Rest.Kind == Data {
			c.Data = c.Data[n:]
		}
	}
}

// Loaded returns the extents behind Rest that are in memory already, and whether there
// are others.
func (c *Cursor) Loaded() (next []Record, more bool) {
	if c.current == nil {
		return nil, c.segment < len(c.file.Index())
	}
	return c.current.records[c.record:], c.segment < len(c.file.Index())
}
