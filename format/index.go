package format

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format/internal/frame"
)

// An IndexEntry says where one segment is and what part of the volume its
// extents lie in.
type IndexEntry struct {
	Offset int64 // of the segment's frame, in bytes from the start of the patch
	Start  int64 // first byte of its first extent in the volume
	End    int64 // first byte after its last extent
}

func appendIndexEntry(b []byte, e IndexEntry) []byte {
	b = le.AppendUint64(b, uint64(e.Offset)) // 0: place in the patch
	b = le.AppendUint64(b, uint64(e.Start))  // 8: first byte covered
	return le.AppendUint64(b, uint64(e.End)) // 16: first byte after
}

func parseIndexEntry(b []byte) IndexEntry {
	return IndexEntry{
		Offset: int64(le.Uint64(b)),
		Start:  int64(le.Uint64(b[8:])),
		End:    int64(le.Uint64(b[16:])),
	}
}

// A packedIndex keeps the entries of an index in few bytes each, for a Writer has
// them all in memory until the end: as numbers of variable length, each the
// difference to the one before.
type packedIndex struct {
	count  int
	last   IndexEntry
	pieces [][]byte // none of them ever copied
}

const indexPiece = 64 << 10

func (x *packedIndex) add(e IndexEntry) {
	n := len(x.pieces)
	if n == 0 || len(x.pieces[n-1]) > indexPiece-3*binary.MaxVarintLen64 {
		x.pieces = append(x.pieces, make([]byte, 0, indexPiece))
		n++
	}
	b := binary.AppendUvarint(x.pieces[n-1], uint64(e.Offset-x.last.Offset))
	b = binary.AppendUvarint(b, uint64(e.Start-x.last.End))
	x.pieces[n-1] = binary.AppendUvarint(b, uint64(e.End-e.Start))
	x.last = e
	x.count++
}

// all yields the entries in order.
func (x *packedIndex) all() iter.Seq[IndexEntry] {
	return func(yield func(IndexEntry) bool) {
		var e IndexEntry
		for _, b := range x.pieces {
			for len(b) > 0 {
				offset, n := binary.Uvarint(b)
				start, m := binary.Uvarint(b[n:])
				length, k := binary.Uvarint(b[n+m:])
				b = b[n+m+k:]
				e.Offset += int64(offset)
				e.Start = e.End + int64(start)
				e.End = e.Start + int64(length)
				if !yield(e) {
					return
				}
			}
		}
	}
}

// indexFrameSize is the size of a whole index frame in bytes.
func indexFrameSize(entries int64) int64 {
	return frame.HeaderSize + indexFixedSize + entries*indexEntrySize + frame.SumSize
}

// appendIndexStart appends what comes before the entries of the index.
func appendIndexStart(b []byte, entries int) ([]byte, error) {
	size := indexFrameSize(int64(entries)) - frame.HeaderSize
	if size > maxSkippableSize {
		return nil, fmt.Errorf("patch index: %d segments do not fit", entries)
	}
	b = frame.AppendHeader(b, uint32(size))
	b = append(b, indexMagic...)                    // 8: magic
	return le.AppendUint64(b, uint64(entries)), nil // 16: number of entries
}

// indexCount checks the index frame's fixed part, the first
// frame.HeaderSize+indexFixedSize bytes, and returns the number of entries.
func indexCount(b []byte) (int64, error) {
	size, count := frame.HeaderSize+int64(le.Uint32(b[4:])), le.Uint64(b[frame.HeaderSize+8:])
	switch {
	case le.Uint32(b) != frame.Skippable ||
		string(b[frame.HeaderSize:frame.HeaderSize+8]) != indexMagic:
		return 0, fmt.Errorf("not an index: it begins with %q", b[:frame.HeaderSize+8])
	case count > maxSkippableSize/indexEntrySize || size != indexFrameSize(int64(count)):
		return 0, fmt.Errorf("frame of %d bytes does not fit %d entries", size, count)
	}
	return int64(count), nil
}

// readIndex reads the index frame. It has the number of entries checked before it reads
// them, and hands each of them to add. The frame's checksum is known only at the end.
func readIndex(in io.Reader, check func(count int64) error, add func(IndexEntry) error) error {
	sum := xxhash.New()
	in = io.TeeReader(in, sum)
	var b [frame.HeaderSize + indexFixedSize]byte
	if _, err := io.ReadFull(in, b[:]); err != nil {
		return err
	}
	count, err := indexCount(b[:])
	if err == nil {
		err = check(count)
	}
	if err != nil {
		return err
	}
	for range count {
		if _, err := io.ReadFull(in, b[:indexEntrySize]); err != nil {
			return err
		}
		if err := add(parseIndexEntry(b[:indexEntrySize])); err != nil {
			return err
		}
	}
	want := sum.Sum64()
	if _, err := io.ReadFull(in, b[:frame.SumSize]); err != nil {
		return err
	}
	if le.Uint64(b[:frame.SumSize]) != want {
		return frame.ErrChecksum
	}
	return nil
}

// An indexCheck checks what an index says of the segments, which fill the bytes
// [begin, end) of the patch, and of the volume: one entry after another.
type indexCheck struct {
	begin, end int64
	order      extentOrder
	count      int64 // of the entries so far
	next       int64 // where the next segment can begin at the earliest
}

// checkCount checks how many entries there are, before memory is taken for them.
func (c *indexCheck) checkCount(count int64) error {
	switch {
	case count > (c.end-c.begin)/frame.MinSize:
		return fmt.Errorf("%d entries for the segments in %d bytes", count, c.end-c.begin)
	case count == 0 && c.begin != c.end:
		return fmt.Errorf("no entries for the segments in the bytes [%d, %d)", c.begin, c.end)
	}
	return nil
}

// add checks the next entry.
func (c *indexCheck) add(e IndexEntry) error {
	first := c.count == 0
	if first && e.Offset != c.begin || !first && e.Offset < c.next ||
		e.Offset > c.end-frame.MinSize {
		return fmt.Errorf("entry %d places a segment at byte %d", c.count, uint64(e.Offset))
	}
	if err := c.order.add(Extent{Off: e.Start, Len: e.End - e.Start}); err != nil {
		return fmt.Errorf("entry %d: %w", c.count, err)
	}
	c.next = e.Offset + frame.MinSize
	c.count++
	return nil
}
