package volume

import (
	"errors"
	"fmt"
	"io"

	"lvmsync/format"
)

var (
	errNegative = errors.New("read a volume: negative offset")
	errChanged  = errors.New("it is not what it was when it was read before")
)

// ReadAt implements [io.ReaderAt]. Its errors, but for io.EOF at the end, are of the types
// [SegmentError] and [LostError], or of reading what is beneath. They are about bytes that were
// asked for: those before them are in b, and what lies beside them can be read.
func (v *Volume) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errNegative
	}
	if off >= v.size {
		return 0, io.EOF
	}
	want := b[:min(int64(len(b)), v.size-off)]
	n := 0
	for n < len(want) {
		at := off + int64(n)
		v.readAhead(at, min(int64(len(want)-n), tileSize-at%tileSize))
		m, err := v.readTile(v.tile(at/tileSize), want[n:], at)
		n += m
		if err != nil {
			return n, err
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// readTile reads as much of b as the tile has, from off on.
func (v *Volume) readTile(t *tile, b []byte, off int64) (n int, err error) {
	in := input{volume: v}
	defer in.close()
	begin := int32(off - t.off)
	for i := t.find(begin); i < len(t.pieces) && n < len(b); i++ {
		p, at := t.pieces[i], begin+int32(n)
		part := b[n:min(len(b), n+int(p.end-at))]
		m, err := in.read(t, p, part, t.off+int64(at), at-t.start(i))
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// An input reads pieces. It keeps the segment that it has read last.
type input struct {
	volume *Volume
	place  place
	held   *segment // may be nil
}

func (in *input) close() {
	if in.held != nil {
		in.volume.cache.release(in.held)
		in.held = nil
	}
}

// read reads a part of a piece, which is at off in the volume and skip bytes from where the
// piece begins.
func (in *input) read(t *tile, p piece, b []byte, off int64, skip int32) (int, error) {
	switch {
	case p.layer == damaged:
		return 0, t.errs[p.segment]
	case p.data == lost && !in.volume.acceptLost:
		e := format.Extent{Off: off, Len: int64(len(b)), Kind: format.Zero}
		return 0, &LostError{Patch: in.volume.layers[p.layer].name, Extent: e}
	case p.data < 0:
		clear(b)
		return len(b), nil
	case p.layer == beneath:
		return in.volume.readBase(b, off)
	}
	s, err := in.segment(p)
	if err != nil {
		return 0, err
	}
	from := int(p.data + skip)
	if from+len(b) > len(s.Data) {
		l := &in.volume.layers[p.layer]
		return 0, &SegmentError{Patch: l.name, Segment: int(p.segment), Err: errChanged}
	}
	return copy(b, s.Data[from:]), nil
}

// segment returns the segment of a piece, which stays until the next is asked for.
func (in *input) segment(p piece) (*segment, error) {
	l := &in.volume.layers[p.layer]
	at := place{l.file, p.segment}
	if in.held != nil && in.place == at {
		return in.held, nil
	}
	in.close()
	s, err := in.volume.cache.get(at)
	if err != nil {
		return nil, &SegmentError{Patch: l.name, Segment: int(p.segment), Err: err}
	}
	in.held, in.place = s, at
	return s, nil
}

// readBase reads what is beneath the patches.
func (v *Volume) readBase(b []byte, off int64) (int, error) {
	n, err := v.base.ReadAt(b, off)
	if n == len(b) {
		return n, nil // at the end, an io.ReaderAt may add io.EOF
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, fmt.Errorf("read what is beneath the patches at byte %d: %w", off+int64(n), err)
}
