// Package salvage finds what is whole of a damaged patch.
package salvage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"lvmsync/format"
	"lvmsync/format/internal/frame"
)

// A Reader finds the whole segments behind a place where a patch is damaged. Nothing but
// their own checksums says that they belong to the patch, and nothing says what is missing
// between them. It is for one goroutine, and needs no end. An error ends it.
type Reader struct {
	r      io.ReaderAt
	size   int64
	at     int64 // what lies before has been looked at
	header format.Header
	end    int64 // of the extents before, in the volume
	missed int64
	effort int64 // spent on what was no segment, in bytes
	in     *bufio.Reader
	dec    *zstd.Decoder
	window []byte // for find
	buf    []byte // for frame
}

// maxEffort bounds the bytes that are decompressed of what turns out to be no
// segment: a file can be made so that every byte of it looks like the start of one.
const maxEffort = 1 << 30

// ErrTooMuch means that too much looks like a segment and is none.
var ErrTooMuch = errors.New("too much in it looks like segments and is none")

// NewReader looks for segments of the patch with that header in r, which is size bytes
// long, behind the damaged one that begins at byte damage. The extents before that end
// at byte end of the volume.
func NewReader(r io.ReaderAt, size int64, h format.Header, damage, end int64) (*Reader, error) {
	dec, err := frame.NewDecoder(1)
	if err != nil {
		return nil, err
	}
	h.Kind = format.Undo // whatever it is, there are gaps now
	s := &Reader{r: frame.InputAt(r), size: size, at: min(damage+1, size), header: h, end: end,
		in: bufio.NewReader(nil), dec: dec}
	s.missed = s.at - damage
	// Where only its content is damaged, the next one begins where it ends, and not at
	// what may look like one within it.
	if f, err := s.frame(damage); err == nil {
		next := damage + int64(len(f.Bytes))
		if seg, _, err := s.segment(next); err == nil && seg != nil {
			s.missed += next - s.at
			s.at = next
		}
	}
	return s, nil
}

// Next returns the next whole segment, io.EOF if there are no more, ErrTooMuch, or an
// error of reading.
func (s *Reader) Next() (*format.Segment, error) {
	for {
		place, err := s.find()
		if err != nil {
			return nil, err
		}
		s.missed += place - s.at
		s.at = place
		seg, n, err := s.segment(place)
		if err != nil {
			return nil, err
		}
		if seg != nil {
			s.end = seg.Records[len(seg.Records)-1].End()
			s.at += n
			return seg, nil
		}
		s.at++
		s.missed++
	}
}

// Missed is how many of the bytes that were looked at, from the damage on, are in no
// whole segment.
func (s *Reader) Missed() int64 { return s.missed }

// At is where the last segment ends, in bytes from the start of the patch.
func (s *Reader) At() int64 { return s.at }

// find returns the next place where a frame may begin.
func (s *Reader) find() (int64, error) {
	magic := binary.LittleEndian.AppendUint32(nil, frame.Zstd)
	if s.window == nil {
		s.window = make([]byte, 256<<10)
	}
	for at := s.at; s.size-at >= int64(len(magic)); {
		b := s.window[:min(int64(len(s.window)), s.size-at)]
		if _, err := s.r.ReadAt(b, at); err != nil {
			return 0, fmt.Errorf("read the patch at byte %d: %w", at, err)
		}
		if i := bytes.Index(b, magic); i >= 0 {
			return at + int64(i), nil
		}
		at += int64(len(b) - len(magic) + 1)
	}
	s.missed += s.size - s.at
	s.at = s.size
	return 0, io.EOF
}

// segment reads the segment at a place, and tells how long it is there. It's nil if
// there is none that is whole.
func (s *Reader) segment(place int64) (seg *format.Segment, n int64, err error) {
	f, err := s.frame(place)
	if frame.IsInputError(err) {
		return nil, 0, fmt.Errorf("read the patch at byte %d: %w", place, err)
	}
	effort := int64(len(f.Bytes))
	if err == nil {
		effort += int64(f.Content)
		seg, err = s.parse(f)
	}
	if err == nil {
		seg.Offset = place
		return seg, int64(len(f.Bytes)), nil
	}
	if s.effort += effort; s.effort > maxEffort {
		return nil, 0, ErrTooMuch
	}
	return nil, 0, nil
}

// parse makes a segment of a frame, if it can be the next one.
func (s *Reader) parse(f frame.Frame) (*format.Segment, error) {
	content, err := s.dec.DecodeAll(f.Bytes, make([]byte, 0, f.Content))
	if err != nil {
		return nil, err
	}
	if len(content) != f.Content {
		return nil, fmt.Errorf("zstd: %d bytes instead of %d", len(content), f.Content)
	}
	seg, err := format.ParseSegment(content)
	if err != nil {
		return nil, err
	}
	return seg, s.header.CheckExtents(seg.Records, s.end)
}

// frame reads the frame at a place.
func (s *Reader) frame(place int64) (frame.Frame, error) {
	s.in.Reset(io.NewSectionReader(s.r, place, s.size-place))
	f, err := frame.Read(s.in, s.buf)
	s.buf = f.Bytes
	return f, err
}
