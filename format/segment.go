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
// The memory of segments is large and is used again: that of one from
// [Writer.NewSegment] goes back with [Writer.Write] or [Segment.Release], that of one
// from a [Reader], a [File] or a [Pool] with Release. A Segment is handed out once and
// then has neither extents nor data any more. It is not safe for concurrent use.
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
	// FrameSum is the xxh64 of the segment's frame. Set by a [File], unless the [Pool] has
	// NoFrameSums set, and by a [Reader] if [ReaderOptions].FrameSums is set.
	FrameSum uint64

	body *body // its memory; nil: it has gone
	pool *Pool // where that goes back to
}

// Add adds an extent, with a copy of its data; nil for a zero extent. It keeps the rules of
// a segment, and changes nothing where it returns an error: [ErrFull] if there is no room
// left, so that the segment is to be written, and the extent added to the next one. An
// extent of more than [MaxSegmentData] bytes of data must be added in parts. Who sees to the
// rules, and reads data to where they shall be, may fill Records and Data instead:
// [Writer.Write] checks all of it.
func (s *Segment) Add(r Record, data []byte) error {
	err := s.checkNext(r, data)
	if err == nil {
		err = checkCounts([]Record{r}, data)
	}
	if err == nil {
		err = r.checkLost()
	}
	if err != nil {
		return fmt.Errorf("add to a segment: %w", err)
	}
	s.Records, s.Data = append(s.Records, r), append(s.Data, data...)
	return nil
}

// checkNext checks whether the extent can come next.
func (s *Segment) checkNext(r Record, data []byte) error {
	switch n := len(s.Records); {
	case s.body == nil:
		return errors.New("it has been handed over or released")
	case r.Off < 0 || r.Len <= 0 || r.End() < 0:
		return fmt.Errorf("%v is empty or out of range", r.Extent)
	case n > 0 && r.Off < s.Records[n-1].End():
		return fmt.Errorf(
			"%v overlaps the extent before it or is out of order: that one ends at %d",
			r.Extent, s.Records[n-1].End())
	case n == MaxSegmentExtents, len(data) <= MaxSegmentData &&
		len(data) > MaxSegmentData-len(s.Data):
		return ErrFull
	}
	return nil
}

// A body is the memory of a segment, and its state on the way between frame and
// extents. Bodies are used again and again, behind one Segment at a time.
type body struct {
	records  []Record
	data     []byte        // a part of buf, but for a Pool
	offset   int64         // of the frame in the patch; set by readers
	frameSum uint64        // of the frame; set by readers that are asked for it
	buf      []byte        // table, then data
	frame    []byte        // the same, compressed
	content  int           // size of the same, as the frame declares it; set by readers
	ready    chan struct{} // told when a worker has done with it
	err      error         // of that worker
}

// dataStart is where Data begins in a buffer for writing: behind the largest
// table, on a page boundary. The table is put right before it, so that the
// content of the frame is in one piece and nothing is copied.
const (
	pageSize  = 4096
	dataStart = (tableHeaderSize + MaxSegmentExtents*extentSize +
		pageSize - 1) / pageSize * pageSize
)

// newWriteBody allocates the memory of a segment for a Writer.
func newWriteBody() *body {
	buf := make([]byte, dataStart+MaxSegmentData+pageSize)
	if odd := int(uintptr(unsafe.Pointer(unsafe.SliceData(buf))) % pageSize); odd != 0 {
		buf = buf[pageSize-odd:]
	}
	buf = buf[: dataStart+MaxSegmentData : dataStart+MaxSegmentData]
	return &body{buf: buf, ready: make(chan struct{}, 1)}
}

// frameBuffer is the memory of the last frame, with room for n bytes. The library
// would let it grow step by step.
func (b *body) frameBuffer(n int) []byte { return slices.Grow(b.frame[:0], n) }

// Release gives the segment's memory back to where it is from, to be used again: that of a
// Writer's unwritten. Once it has gone, Release does nothing: whoever has the memory by
// then has it behind another Segment.
func (s *Segment) Release() {
	if b, pool := s.take(), s.pool; b != nil && pool != nil {
		pool.put(b)
	}
}

// take takes the memory, with what is in it, away from the segment. The second time it
// is nil.
func (s *Segment) take() *body {
	b := s.body
	if b != nil {
		b.records, b.data = s.Records, s.Data
	}
	s.Records, s.Data, s.body = nil, nil, nil
	return b
}

// Memory is how many bytes of memory the segment has: more than is in it, maybe, if a larger
// one had it before.
func (s *Segment) Memory() int64 {
	if s.body == nil {
		return 0
	}
	return int64(cap(s.body.buf) + cap(s.Records)*int(unsafe.Sizeof(Record{})))
}

// All yields each extent with its data, which is nil for a zero extent. The
// data is a part of s.Data.
func (s *Segment) All() iter.Seq2[Record, []byte] { return withData(s.Records, s.Data) }

func withData(records []Record, all []byte) iter.Seq2[Record, []byte] {
	return func(yield func(Record, []byte) bool) {
		at := int64(0)
		for _, r := range records {
			var data []byte
			if r.Kind == Data {
				data = all[at : at+r.Len : at+r.Len]
				at += r.Len
			}
			if !yield(r, data) {
				return
			}
		}
	}
}

// checkCounts checks what the limits say of a segment as a whole.
func checkCounts(records []Record, data []byte) error {
	n := int64(0)
	for _, r := range records {
		switch {
		case r.Kind > Zero:
			return fmt.Errorf("extent at offset %d is of the unknown kind %d",
				uint64(r.Off), r.Kind)
		case r.Kind == Zero: // no bytes, no limit
		case r.Len < 0 || r.Len > MaxSegmentData:
			return fmt.Errorf("%v is larger than a segment", r.Extent)
		default:
			n += r.Len
		}
	}
	switch {
	case len(records) == 0:
		return errors.New("segment without extents")
	case len(records) > MaxSegmentExtents:
		return fmt.Errorf("segment of %d extents, limit %d", len(records), MaxSegmentExtents)
	case n > MaxSegmentData:
		return fmt.Errorf("segment of %d bytes of data, limit %d", n, MaxSegmentData)
	case n != int64(len(data)):
		return fmt.Errorf("segment with %d bytes of data for extents of %d bytes", len(data), n)
	}
	return nil
}

// marshal hashes the data, puts the table in front of it and returns the
// content of the frame. The body must come from a Writer's pool.
func (b *body) marshal() []byte {
	start := dataStart - tableHeaderSize - len(b.records)*extentSize
	table := b.buf[start:start]
	table = le.AppendUint32(table, uint32(len(b.records))) // 0: number of extents
	table = le.AppendUint32(table, 0)                      // 4: reserved
	for r, data := range withData(b.records, b.data) {
		if r.Kind == Data {
			r.Hash = xxhash.Sum64(data)
		}
		table = appendRecord(table, r)
	}
	return b.buf[start : dataStart+len(b.data)]
}

// ParseSegment reads what the frame of a segment holds: the segment keeps content. The data
// has been checked against its hashes; its extents have not, against the volume and those
// before; [Header.CheckExtents] does that.
func ParseSegment(content []byte) (*Segment, error) {
	b := new(body)
	if err := b.unmarshal(content); err != nil {
		return nil, err
	}
	return &Segment{Records: b.records, Data: b.data}, nil
}

// unmarshal reads the content of a frame, which the body keeps. The data
// hashes are checked; the order of extents within the volume is not.
func (b *body) unmarshal(content []byte) error {
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
	b.records = b.records[:0]
	table := content[tableHeaderSize:]
	for range n {
		r, err := parseRecord(table)
		if err != nil {
			return err
		}
		b.records = append(b.records, r)
		table = table[extentSize:]
	}
	b.data = table
	if err := checkCounts(b.records, b.data); err != nil {
		return err
	}
	return checkHashes(b.records, b.data)
}

func checkHashes(records []Record, all []byte) error {
	for r, data := range withData(records, all) {
		if r.Kind == Data && xxhash.Sum64(data) != r.Hash {
			return fmt.Errorf("%v: data does not match its hash", r.Extent)
		}
	}
	return nil
}
