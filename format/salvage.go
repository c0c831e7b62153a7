package format

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"lvmsync/format/internal/frame"
)

// A Salvage finds the whole segments behind a place where a patch is damaged. Nothing
// but their own checksums says that they belong to the patch, and nothing says what is
// missing between them. It is for one goroutine, and needs no end. An error ends it.
type Salvage struct {
	r      io.ReaderAt
	size   int64
	at     int64 // what lies before has been looked at
	order  extentOrder
	missed int64
	effort int64 // spent on what was no segment, in bytes
	in     *bufio.Reader
	dec    *zstd.Decoder
	window []byte // for find
	buf    []byte // for frame
}

// maxSalvageEffort bounds the bytes that are decompressed of what turns out to be no
// segment: a file can be made so that every byte of it looks like the start of one.
const maxSalvageEffort = 1 << 30

// ErrSalvage means that too much looks like a segment and is none.
var ErrSalvage = errors.New("too much in it looks like segments and is none")

// NewSalvage looks for segments of the patch with that header in r, which is size bytes
// long, behind the damaged one that begins at byte damage. The extents before that end
// at byte end of the volume.
func NewSalvage(r io.ReaderAt, size int64, h Header, damage, end int64) (*Salvage, error) {
	dec, err := frame.NewDecoder(1)
	if err != nil {
		return nil, err
	}
	s := &Salvage{r: frame.InputAt(r), size: size, at: min(damage+1, size), order: newExtentOrder(&h), in: bufio.NewReader(nil), dec: dec}
	s.order.whole, s.order.end = false, end
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

// Next returns the next whole segment, io.EOF if there are no more, ErrSalvage, or an
// error of reading.
func (s *Salvage) Next() (*Segment, error) {
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
			for _, r := range seg.Records { // checked by segment
				s.order.end = r.End()
			}
			s.at += n
			return seg, nil
		}
		s.at++
		s.missed++
	}
}

// Missed is how many of the bytes that were looked at, from the damage on, are in no
// whole segment.
func (s *Salvage) Missed() int64 { return s.missed }

// At is where the last segment ends, in bytes from the start of the patch.
func (s *Salvage) At() int64 { return s.at }

// find returns the next place where a frame may begin.
func (s *Salvage) find() (int64, error) {
	magic := le.AppendUint32(nil, frame.Zstd)
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
func (s *Salvage) segment(place int64) (seg *Segment, n int64, err error) {
	f, err := s.frame(place)
	if frame.IsInputError(err) {
		return nil, 0, fmt.Errorf("read the patch at byte %d: %w", place, err)
	}
	effort := int64(len(f.Bytes))
	if err == nil {
		b := &body{offset: place, frame: f.Bytes, content: f.Content}
		effort += int64(f.Content)
		err = b.decode(s.dec)
		seg = &Segment{Records: b.records, Data: b.data, Offset: place}
		order := s.order
		for i := 0; err == nil && i < len(seg.Records); i++ {
			err = order.addRecord(seg.Records[i])
		}
	}
	if err == nil {
		return seg, int64(len(f.Bytes)), nil
	}
	if s.effort += effort; s.effort > maxSalvageEffort {
		return nil, 0, ErrSalvage
	}
	return nil, 0, nil
}

// frame reads the frame at a place.
func (s *Salvage) frame(place int64) (frame.Frame, error) {
	s.in.Reset(io.NewSectionReader(s.r, place, s.size-place))
	f, err := frame.Read(s.in, s.buf)
	s.buf = f.Bytes
	return f, err
}
