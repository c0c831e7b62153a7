package apply

import (
	"context"
	"sort"

	"golang.org/x/sync/errgroup"

	"lvmsync/format"
)

// spans are what is going to be asked of a destination, which it reads as much of at a
// time as fits in a buffer: one by one, small extents would wait for the device each.
type spans struct {
	dest   *destination
	coming []format.Extent // ascending: extents and the small gaps between them
	read   []inMemory      // parts of them, ascending
	buf    []byte
}

// ofZeros sets the zero extents of a segment.
func (z *spans) ofZeros(s *format.Segment) {
	z.clear()
	for e := range runs(s) {
		if e.Kind == format.Zero {
			z.add(e)
		}
	}
}

func (z *spans) clear() { z.coming, z.read = z.coming[:0], z.read[:0] }

// add adds an extent that begins no earlier than the last one, as much of it as the
// destination has room for.
func (z *spans) add(e format.Extent) {
	if e.Len = z.dest.room(e); e.Len == 0 {
		return
	}
	if n := len(z.coming); n > 0 && e.Off-z.coming[n-1].End() <= smallGap {
		last := &z.coming[n-1]
		last.Len = max(last.End(), e.End()) - last.Off
		return
	}
	z.coming = append(z.coming, e)
}

// ReadAt implements [io.ReaderAt].
func (z *spans) ReadAt(b []byte, off int64) (int, error) {
	if z.copy(b, off) || z.fill(off) == nil && z.copy(b, off) {
		return len(b), nil
	}
	return z.dest.ReadAt(b, off) // what is large, or by a gap that can't be read
}

// view is what the destination holds in [off, off+n), no more than a piece, to be looked at
// until something else is asked for.
func (z *spans) view(ctx context.Context, off, n int64) ([]byte, error) {
	b, i := z.find(off, n), z.from(off)
	if b == nil && i < len(z.coming) && z.coming[i].Off <= off && z.fill(off) == nil {
		b = z.find(off, n)
	}
	if b != nil {
		return b, ctx.Err()
	}
	if z.read = z.read[:0]; z.buf == nil {
		z.buf = alignedBuffer(pieceSize)
	}
	return z.buf[:n], readFull(ctx, z.dest, z.buf[:n], off)
}

// find finds [off, off+n) in what has been read; nil if that doesn't have all of it.
func (z *spans) find(off, n int64) []byte {
	i := sort.Search(len(z.read), func(i int) bool { return z.read[i].off > off }) - 1
	if i < 0 || off+n > z.read[i].end() {
		return nil
	}
	at := off - z.read[i].off
	return z.read[i].data[at : at+n]
}

// from finds the first of what is coming that goes on behind off.
func (z *spans) from(off int64) int {
	return sort.Search(len(z.coming), func(i int) bool { return z.coming[i].End() > off })
}

// copy fills b from what has been read, if that has all of it.
func (z *spans) copy(b []byte, off int64) bool {
	from := z.find(off, int64(len(b)))
	copy(b, from)
	return from != nil
}

// fill reads as much of what is coming as fits, from off on.
func (z *spans) fill(off int64) error {
	if z.buf == nil {
		z.buf = alignedBuffer(pieceSize)
	}
	z.read = z.read[:0]
	var g errgroup.Group
	g.SetLimit(parallelReads)
	rest := z.buf
	for _, e := range z.coming[z.from(off):] {
		from := max(e.Off, off)
		part := rest[:min(e.End()-from, int64(len(rest)))]
		if rest = rest[len(part):]; len(part) == 0 {
			break
		}
		z.read = append(z.read, inMemory{part, from})
		z.dest.readParts(context.Background(), &g, part, from)
	}
	err := g.Wait()
	if err != nil {
		z.read = z.read[:0]
	}
	return err
}
