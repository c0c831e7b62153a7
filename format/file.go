package format

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"lvmsync/format/internal/frame"
)

// A File is a patch that can be read at random. Header, trailer and index are
// checked when it is opened, each segment when it is read; the checksum over
// the whole patch isn't: that is [Verify]'s work. A File is safe for concurrent
// use if its io.ReaderAt is, which the caller still owns; it needs no end. A segment that
// can't be read says nothing of the others.
type File struct {
	r       io.ReaderAt
	header  Header
	trailer trailer
	index   []IndexEntry
	dec     *zstd.Decoder
	pool    Pool
}

// frames are *[]byte that frames are read into.
var frames sync.Pool

// decoder is that of all Files: what it holds is per core, and there may be a hundred of them.
var decoder = sync.OnceValues(func() (*zstd.Decoder, error) { return frame.NewDecoder(0) })

// OpenFile reads header, trailer and index of the patch in r, which is size bytes
// long, zeros behind it included. The index takes 24 bytes of memory a segment.
func OpenFile(r io.ReaderAt, size int64) (*File, error) {
	f := &File{r: frame.InputAt(r)}
	h, head, err := readHeader(io.NewSectionReader(f.r, 0, size), nil)
	if err != nil {
		return nil, err
	}
	f.header = *h
	if end, ok := End(f.r, size); ok {
		size = end
	}
	at := size - frame.PatchEndSize
	if at < int64(len(head)) {
		return nil, &TruncatedError{Part: "trailer", Offset: size}
	}
	if err := f.readTrailer(at); err != nil {
		return nil, err
	}
	if err := f.readIndex(int64(len(head)), at); err != nil {
		return nil, err
	}
	if f.dec, err = decoder(); err != nil {
		return nil, err
	}
	return f, nil
}

// readTrailer reads and checks the trailer, which ends the file.
func (f *File) readTrailer(at int64) error {
	b := make([]byte, frame.PatchEndSize)
	if n, err := f.r.ReadAt(b, at); err != nil {
		return partError("trailer", at, n, err)
	}
	if !frame.Is(b, frame.PatchEndMagic) {
		return &TruncatedError{Part: "trailer", Offset: at + frame.PatchEndSize}
	}
	var err error
	if f.trailer, err = parseTrailer(b); err == nil {
		err = f.trailer.check(&f.header)
	}
	if err != nil {
		return corrupt("trailer", at, "%w", err)
	}
	return nil
}

// readIndex reads and checks the index, which must end at byte end; the
// segments begin at byte begin.
func (f *File) readIndex(begin, end int64) error {
	at := f.trailer.index
	if at < begin || at > end {
		return corrupt("trailer", end, "it places the index at byte %d", at)
	}
	check := &indexCheck{begin: begin, end: at, order: newExtentOrder(&f.header)}
	in := bufio.NewReader(io.NewSectionReader(f.r, at, end-at))
	err := readIndex(in, func(count int64) error {
		switch size := indexFrameSize(count); {
		case size != end-at:
			return fmt.Errorf("frame of %d bytes in a place of %d", size, end-at)
		case count != f.trailer.Segments:
			return fmt.Errorf("%d entries for %d segments", count, f.trailer.Segments)
		}
		return check.checkCount(count)
	}, func(e IndexEntry) error {
		f.index = append(f.index, e)
		return check.add(e)
	})
	if err != nil {
		return placeError("index", at, err)
	}
	if end := check.order.end; f.header.Kind == Full && end != f.header.VolumeSize {
		return corrupt("index", at, "it ends at byte %d of a full patch of %d", end,
			f.header.VolumeSize)
	}
	return nil
}

// Is tells whether this is the patch that r has read to its end, by its header, index and totals.
func (f *File) Is(r *Reader) bool {
	if f.trailer.Totals != r.totals || !reflect.DeepEqual(f.header, r.header) {
		return false
	}
	sum, b := xxhash.New(), []byte(nil)
	for _, e := range f.index {
		b = appendIndexEntry(b[:0], e)
		sum.Write(b)
	}
	return sum.Sum64() == r.entries.Sum64()
}

// Header is the patch's header.
func (f *File) Header() Header { return f.header }

// Totals is what the trailer says of the whole patch.
func (f *File) Totals() Totals { return f.trailer.Totals }

// Index returns the entries of the index, one a segment, in order. The caller
// must not change it.
func (f *File) Index() []IndexEntry { return f.index }

// ReadSegment reads and checks segment i of the index. Who reads many releases each when
// done with it.
func (f *File) ReadSegment(i int) (*Segment, error) { return f.ReadSegmentInto(&f.pool, i) }

// ReadSegmentInto does the same with memory from p, which several Files can share.
func (f *File) ReadSegmentInto(p *Pool, i int) (*Segment, error) {
	b := p.take()
	if b == nil {
		b = new(body)
	}
	if err := f.readSegment(i, b, !p.NoFrameSums); err != nil {
		p.put(b)
		return nil, err
	}
	return p.lend(b), nil
}

// readSegment reads it into b, whose memory is used again, with the sum of its frame if asked for.
func (f *File) readSegment(i int, b *body, sum bool) error {
	e := f.index[i]
	place := f.frameEnd(i) - e.Offset
	buf, ok := frames.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer frames.Put(buf)
	fr, err := frame.Read(bufio.NewReader(io.NewSectionReader(f.r, e.Offset, place)), *buf)
	*buf = fr.Bytes
	if err != nil {
		return placeError("segment", e.Offset, err)
	}
	if int64(len(fr.Bytes)) != place {
		return corrupt("segment", e.Offset, "frame of %d bytes in a place of %d",
			len(fr.Bytes), place)
	}
	b.offset, b.frame, b.content = e.Offset, fr.Bytes, fr.Content
	if b.frameSum = 0; sum {
		b.frameSum = xxhash.Sum64(fr.Bytes)
	}
	err = b.decode(f.dec)
	b.frame = nil
	if err == nil {
		err = f.checkSegment(b, e)
	}
	if err != nil {
		return corrupt("segment", e.Offset, "%w", err)
	}
	return nil
}

// checkSegment checks the segment's extents, and that the index tells the truth
// about it.
func (f *File) checkSegment(b *body, e IndexEntry) error {
	if err := f.header.CheckExtents(b.records, e.Start); err != nil {
		return err
	}
	start, end := b.records[0].Off, b.records[len(b.records)-1].End()
	if start != e.Start || end != e.End {
		return fmt.Errorf("its extents fill [%d, %d), not [%d, %d) as the index says",
			start, end, e.Start, e.End)
	}
	return nil
}
