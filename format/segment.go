package format

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// A Segment is a batch of extents and their data, compressed on its own
// (docs/format.md, "Segment").
//
// Segments are large and come from a pool: one from [Writer.NewSegment] goes
// back with [Writer.Write] or [Segment.Release], one from a [Reader] with
// Release. It must not be used afterwards. A Segment is not safe for
// concurrent use.
type Segment struct {
	// Records are the extents in ascending order.
	Records []Record
	// Data holds the bytes of the data extents, one after another. In a segment
	// from a Writer it begins at an address that is a multiple of 4096, for
	// direct I/O, and has a capacity of MaxSegmentData.
	Data []byte
	// Offset is where the segment's frame begins, in bytes from the start of
	// the patch. Set by readers.
	Offset int64

	buf     []byte        // table, then data
	frame   []byte        // the same, compressed
	content int           // size of the same, as the frame declares it; set by readers
	ready   chan struct{} // told when a worker has done with it
	err     error         // of that worker
	pool    *segmentPool  // where it goes back to; nil: nowhere, or it has gone
}

// dataStart is where Data begins in a buffer for writing: behind the largest
// table, on a page boundary. The table is put right before it, so that the
// content of the frame is in one piece and nothing is copied.
const (
	pageSize  = 4096
	dataStart = (tableHeaderSize + MaxSegmentExtents*extentSize + pageSize - 1) / pageSize * pageSize
)

// newWriteSegment allocates a segment for a Writer.
func newWriteSegment() *Segment {
	buf := make([]byte, dataStart+MaxSegmentData+pageSize)
	if odd := int(uintptr(unsafe.Pointer(unsafe.SliceData(buf))) % pageSize); odd != 0 {
		buf = buf[pageSize-odd:]
	}
	buf = buf[: dataStart+MaxSegmentData : dataStart+MaxSegmentData]
	return &Segment{buf: buf, Data: buf[dataStart:dataStart], ready: make(chan struct{}, 1)}
}

// frameBuffer is the memory of the last frame, with room for n bytes. The library
// would let it grow step by step.
func (s *Segment) frameBuffer(n int) []byte { return slices.Grow(s.frame[:0], n) }

// Release gives the segment back to its Writer, unwritten, or to its Reader.
// Once it has gone back, Release does nothing.
func (s *Segment) Release() {
	if pool := s.pool; pool != nil {
		s.pool = nil
		pool.put(s)
	}
}

// All yields each extent with its data, which is nil for a zero extent. The
// data is a part of s.Data.
func (s *Segment) All() iter.Seq2[Record, []byte] {
	return func(yield func(Record, []byte) bool) {
		at := int64(0)
		for _, r := range s.Records {
			var data []byte
			if r.Kind == Data {
				data = s.Data[at : at+r.Len : at+r.Len]
				at += r.Len
			}
			if !yield(r, data) {
				return
			}
		}
	}
}

// checkCounts checks what the limits say of the segment as a whole.
func (s *Segment) checkCounts() error {
	n := int64(0)
	for _, r := range s.Records {
		switch {
		case r.Kind > Zero:
			return fmt.Errorf("extent at offset %d is of the unknown kind %d", r.Off, r.Kind)
		case r.Kind == Zero: // no bytes, no limit
		case r.Len < 0 || r.Len > MaxSegmentData:
			return fmt.Errorf("%v is larger than a segment", r.Extent)
		default:
			n += r.Len
		}
	}
	switch {
	case len(s.Records) == 0:
		return errors.New("segment without extents")
	case len(s.Records) > MaxSegmentExtents:
		return fmt.Errorf("segment of %d extents, limit %d", len(s.Records), MaxSegmentExtents)
	case n > MaxSegmentData:
		return fmt.Errorf("segment of %d bytes of data, limit %d", n, MaxSegmentData)
	case n != int64(len(s.Data)):
		return fmt.Errorf("segment with %d bytes of data for extents of %d bytes", len(s.Data), n)
	}
	return nil
}

// marshal hashes the data, puts the table in front of it and returns the
// content of the frame. The segment must come from a Writer's pool.
func (s *Segment) marshal() []byte {
	start := dataStart - tableHeaderSize - len(s.Records)*extentSize
	b := s.buf[start:start]
	b = le.AppendUint32(b, uint32(len(s.Records))) // 0: number of extents
	b = le.AppendUint32(b, 0)                      // 4: reserved
	for r, data := range s.All() {
		if r.Kind == Data {
			r.Hash = xxhash.Sum64(data)
		}
		b = appendRecord(b, r)
	}
	return s.buf[start : dataStart+len(s.Data)]
}

// unmarshal reads the content of a frame, which the segment keeps. The data
// hashes are checked; the order of extents within the volume is not.
func (s *Segment) unmarshal(content []byte) error {
	if len(content) < tableHeaderSize {
		return fmt.Errorf("%d bytes are too few for a table of extents", len(content))
	}
	n := le.Uint32(content)
	switch {
	case le.Uint32(content[4:]) != 0:
		return errors.New("reserved field of the table is not 0")
	case n > MaxSegmentExtents:
		return fmt.Errorf("segment of %d extents, limit %d", n, MaxSegmentExtents)
	case tableHeaderSize+int(n)*extentSize > len(content):
		return fmt.Errorf("%d bytes are too few for a table of %d extents", len(content), n)
	}
	s.Records = s.Records[:0]
	table := content[tableHeaderSize:]
	for range n {
		r, err := parseRecord(table)
		if err != nil {
			return err
		}
		s.Records = append(s.Records, r)
		table = table[extentSize:]
	}
	s.Data = table
	if err := s.checkCounts(); err != nil {
		return err
	}
	return s.checkHashes()
}

func (s *Segment) checkHashes() error {
	for r, data := range s.All() {
		if r.Kind == Data && xxhash.Sum64(data) != r.Hash {
			return fmt.Errorf("%v: data does not match its hash", r.Extent)
		}
	}
	return nil
}
