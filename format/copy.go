package format

import (
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format/internal/frame"
)

// A Brief is what is known of a segment that was read and checked, and is to be copied to
// another patch as it is.
type Brief struct {
	FrameSum  uint64 // as in [Segment]
	ZeroBytes int64  // length of the zero extents
	DataBytes uint32 // length of the data extents
	Extents   uint16 // how many there are
	HasBase   bool   // of one there is a base hash
	Lost      bool   // one is lost
}

// BriefOf is that of a segment of a [Reader] that sums up frames.
func BriefOf(s *Segment) Brief {
	var t Totals
	t.Add(s.Records)
	b := Brief{FrameSum: s.FrameSum, ZeroBytes: t.ZeroBytes, DataBytes: uint32(t.DataBytes),
		Extents: uint16(t.Extents)}
	for _, r := range s.Records {
		b.HasBase = b.HasBase || r.HasBase
		b.Lost = b.Lost || r.Lost
	}
	return b
}

// Copy writes segment i of another patch as it stands there, compressed as it is, once it is
// found to be the one that was read before, of which brief tells. What its extents are, the
// caller sees to: that they are of this volume, and have base hashes only if the header allows for
// that. The order is checked, and that what is lost may be. Errors are like those of
// [Writer.Write].
func (w *Writer) Copy(from *File, i int, brief Brief) error {
	err := w.firstError()
	if err == nil && w.closed {
		err = ErrState
	}
	if err != nil {
		return err
	}
	<-w.pool.free
	b := w.pool.take()
	if b == nil {
		b = newWriteBody()
	}
	e := from.index[i]
	extent := Extent{Off: e.Start, Len: e.End - e.Start}
	b.frame, err = from.frame(i, b.frame)
	if err == nil && xxhash.Sum64(b.frame) != brief.FrameSum {
		err = corrupt("segment", e.Offset, "the patch has changed while it was read")
	}
	if err == nil {
		if err = w.order.addRecord(Record{Extent: extent, Lost: brief.Lost}); err != nil {
			err = fmt.Errorf("write a patch: %w", err)
		}
	}
	if err != nil {
		w.pool.put(b)
		w.fail(err)
		return err
	}
	b.records, b.data = append(b.records[:0], Record{Extent: extent}), nil // for the index
	w.totals.Segments++
	w.totals.Extents += int64(brief.Extents)
	w.totals.DataBytes += int64(brief.DataBytes)
	w.totals.ZeroBytes += brief.ZeroBytes
	w.queue <- queued{body: b}
	b.ready <- struct{}{}
	return nil
}

// frame reads the frame of segment i into buf, which grows if it must.
func (f *File) frame(i int, buf []byte) ([]byte, error) {
	at := f.index[i].Offset
	size := f.frameEnd(i) - at
	if size > frame.MaxSize {
		return buf, corrupt("segment", at, "a place of %d bytes, limit %d", size, frame.MaxSize)
	}
	b := &body{frame: buf}
	buf = b.frameBuffer(int(size))[:size]
	if n, err := f.r.ReadAt(buf, at); n < len(buf) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return buf, partError("segment", at, n, err)
	}
	return buf, nil
}

// frameEnd is where the place of segment i ends.
func (f *File) frameEnd(i int) int64 {
	if i+1 < len(f.index) {
		return f.index[i+1].Offset
	}
	return f.trailer.index
}
