package apply

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"lvmsync/format"
	"lvmsync/format/durable"
)

const (
	// pieceSize is how much of a long extent is looked at at a time, in bytes.
	pieceSize = 1 << 20
	// parallelReads is how many reads of the destination are in flight.
	parallelReads = 16
)

// pieces cuts an extent into pieces on a grid of pieceSize.
func pieces(e format.Extent, do func(off, n int64) error) error {
	for off := e.Off; off < e.End(); {
		n := min(e.End()-off, pieceSize-off%pieceSize)
		if err := do(off, n); err != nil {
			return err
		}
		off += n
	}
	return nil
}

// ReadAt implements [io.ReaderAt]. Past its end a destination that doesn't exist
// yet reads as zeros, as it will. What is read comes from the device, not from the
// page cache.
func (d *destination) ReadAt(b []byte, off int64) (int, error) {
	if d.base != nil {
		return d.base.ReadAt(b, off)
	}
	if d.f == nil {
		clear(b)
		return len(b), nil
	}
	n, err := d.in.ReadAt(b, off)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read %s at byte %d: %w", d.path, off+int64(n), durable.Cause(err))
	}
	return n, err
}

// smallGap is what is read along between two extents, in bytes: a request of its own
// for each would cost more.
const smallGap = 16 << 10

// readData reads what the destination holds in the data extents of a segment, one
// after another, into buf, which is as long as the segment's data. Where the
// destination has ended, it stays as it is.
func (d *destination) readData(ctx context.Context, s *format.Segment, buf []byte) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	var near []inMemory // extents that one request reads
	rest := buf
	for e, data := range runs(s) {
		if e.Kind == format.Zero {
			continue
		}
		b := rest[:max(0, min(e.Len, d.size-e.Off))]
		rest = rest[len(data):]
		if len(b) == 0 {
			break
		}
		if n := len(near); n > 0 &&
			(e.Off-near[n-1].end() > smallGap || e.Off+int64(len(b))-near[0].off > directSize) {
			d.readNear(ctx, g, near)
			near = nil
		}
		near = append(near, inMemory{b, e.Off})
	}
	d.readNear(ctx, g, near)
	return g.Wait()
}

// readNear has extents read. Several are no more than directSize with the gaps between
// them.
func (d *destination) readNear(ctx context.Context, g *errgroup.Group, near []inMemory) {
	if len(near) == 1 {
		d.readParts(ctx, g, near[0].data, near[0].off)
	}
	if len(near) <= 1 {
		return
	}
	g.Go(func() error {
		buf := directBuffers.Get().(*[]byte)
		defer directBuffers.Put(buf)
		first := near[0].off
		all := (*buf)[:near[len(near)-1].end()-first]
		err := readFull(ctx, d, all, first)
		for _, m := range near {
			if err == nil {
				copy(m.data, all[m.off-first:])
			} else if err := readFull(ctx, d, m.data, m.off); err != nil {
				// or it's a gap that can't be read
				return err
			}
		}
		return nil
	})
}

// readParts has b filled with what the destination holds from off on.
func (d *destination) readParts(ctx context.Context, g *errgroup.Group, b []byte, off int64) {
	for at := off; len(b) > 0; at += directSize {
		part := b[:min(directSize, len(b))]
		b = b[len(part):]
		g.Go(func() error { return readFull(ctx, d, part, at) })
	}
}

// readFull fills b.
func readFull(ctx context.Context, r io.ReaderAt, b []byte, off int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = fmt.Errorf("read the destination at byte %d: %w", off+int64(n), io.ErrUnexpectedEOF)
	}
	return err
}

// inMemory is a part of the volume that has been read, and where it begins.
type inMemory struct {
	data []byte
	off  int64
}

func (m inMemory) end() int64 { return m.off + int64(len(m.data)) }

func (m inMemory) ReadAt(b []byte, off int64) (int, error) {
	if n := copy(b, m.data[min(off-m.off, int64(len(m.data))):]); n < len(b) {
		return n, io.EOF
	}
	return len(b), nil
}

// part is what m has of an extent; nil if that isn't all.
func (m inMemory) part(e format.Extent) []byte {
	if e.Off < m.off || e.End() > m.end() {
		return nil
	}
	return m.data[e.Off-m.off : e.End()-m.off]
}
