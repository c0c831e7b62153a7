package apply

import (
	"context"
	"sort"

	"golang.org/x/sync/errgroup"

	"lvmsync/format"
)

// zeroExtents is what the destination holds in the zero extents of a segment. Of
// those it reads as many at a time as fit in a buffer: one by one, small extents
// would wait for the device each.
type zeroExtents struct {
	dest  *destination
	spans []format.Extent // ascending: extents and the small gaps between them
	read  []inMemory      // parts of them, ascending
	buf   []byte
}

// of begins a segment.
func (z *zeroExtents) of(s *format.Segment) {
	z.spans, z.read = z.spans[:0], z.read[:0]
	for e := range runs(s) {
		if e.Len = min(e.Len, z.dest.size-e.Off); e.Kind == format.Data || e.Len <= 0 {
			continue
		}
		if n := len(z.spans); n > 0 && e.Off-z.spans[n-1].End() <= smallGap {
			z.spans[n-1].Len = e.End() - z.spans[n-1].Off
			continue
		}
		z.spans = append(z.spans, e)
	}
}

// ReadAt implements [io.ReaderAt] for parts of the extents.
func (z *zeroExtents) ReadAt(b []byte, off int64) (int, error) {
	if z.copy(b, off) || z.fill(off) == nil && z.copy(b, off) {
		return len(b), nil
	}
	return z.dest.ReadAt(b, off) // what is large, or by a gap that can't be read
}

// copy fills b from what has been read, if that has all of it.
func (z *zeroExtents) copy(b []byte, off int64) bool {
	i := sort.Search(len(z.read), func(i int) bool { return z.read[i].off > off }) - 1
	if i < 0 || off+int64(len(b)) > z.read[i].end() {
		return false
	}
	copy(b, z.read[i].data[off-z.read[i].off:])
	return true
}

// fill reads as much of the spans as fits, from off on.
func (z *zeroExtents) fill(off int64) error {
	if z.buf == nil {
		z.buf = alignedBuffer(pieceSize)
	}
	z.read = z.read[:0]
	var g errgroup.Group
	g.SetLimit(parallelReads)
	rest := z.buf
	first := sort.Search(len(z.spans), func(i int) bool { return z.spans[i].End() > off })
	for _, e := range z.spans[first:] {
		e.Off, e.Len = max(e.Off, off), e.End()-max(e.Off, off)
		part := rest[:min(e.Len, int64(len(rest)))]
		if rest = rest[len(part):]; len(part) == 0 {
			break
		}
		z.read = append(z.read, inMemory{part, e.Off})
		z.dest.readParts(context.Background(), &g, part, e.Off)
	}
	err := g.Wait()
	if err != nil {
		z.read = z.read[:0]
	}
	return err
}
