package dump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/cespare/xxhash/v2"

	"lvmsync/dump/blockdev"
	"lvmsync/format"
	"lvmsync/format/refine"
	"lvmsync/format/sigfile"
)

// A comparison finds which blocks of the volume differ from the base: from what that
// holds, or from its sums.
type comparison struct {
	base      Base // or nil
	sums      Sums // or nil
	blockSize int64
	known     int64 // length of what can be compared, in bytes
}

// newComparison prepares to compare; nil if that is not wanted.
func newComparison(src Source, o Options) (*comparison, error) {
	switch {
	case src.Sums != nil:
		return &comparison{sums: src.Sums, blockSize: src.Sums.BlockSize(), known: src.Shared()}, nil
	case !o.ExactBase:
		return nil, nil
	case src.Base == nil:
		return nil, ErrNoBase
	}
	return &comparison{base: src.Base, blockSize: cmp.Or(o.BlockSize, refine.BlockSize), known: src.Shared()}, nil
}

// piece is how much is compared at a time, in bytes: whole blocks, and little enough
// to stay in a processor's cache.
func (c *comparison) piece() int64 { return max(readSize, c.blockSize) }

// nextPiece is the first part of an extent that is compared in one.
func (c *comparison) nextPiece(e format.Extent) format.Extent {
	e.Len = min(e.Len, c.piece()-e.Off%c.piece())
	if e.Off < c.known {
		e.Len = min(e.Len, c.known-e.Off)
	}
	return e
}

// sumsIn is how many sums there are for an extent.
func (c *comparison) sumsIn(e format.Extent) int {
	if c.sums == nil || e.Off >= c.known {
		return 0
	}
	return int((e.Len + c.blockSize - 1) / c.blockSize)
}

// takeSums appends to list the sums for an extent.
func (c *comparison) takeSums(list []BlockSum, e format.Extent) ([]BlockSum, error) {
	for i := range int64(c.sumsIn(e)) {
		s, err := c.sums.Sum(e.Off + i*c.blockSize)
		if err != nil {
			return list, err
		}
		list = append(list, s)
	}
	return list, nil
}

// planHole plans what differs in a hole of the volume without reading that: what the
// sums say is not zeros in the base.
func (p *pipeline) planHole(ctx context.Context, e format.Extent) error {
	c := p.compare
	for e.Len > 0 && ctx.Err() == nil {
		b := p.fill()
		x := format.Record{Extent: e}
		if e.Off < c.known {
			x.Len = min(e.Len, c.blockSize)
			s, err := c.sums.Sum(e.Off)
			if err != nil {
				return err
			}
			x.HasBase, x.BaseHash = !s.Zero, s.Hash
		}
		if x.HasBase || e.Off >= c.known {
			b.seg.Records = append(b.seg.Records, x)
		}
		b.bytes += x.Len
		e.Off, e.Len = x.End(), e.End()-x.End()
		if b.full() || b.bytes > maxBatchBytes {
			p.dispatch()
		}
	}
	return nil
}

// maxBatchBytes is how much of the volume a batch without data is about, in bytes, so
// that the progress goes on.
const maxBatchBytes = 256 << 20

// differences are what a read has found to differ.
type differences struct {
	planned int // records that were read
	records []format.Record
	data    []byte // of them, in the place of what was planned to be read
}

// scratch is where a reader compares.
type scratch struct{ now, old []byte }

func (p *pipeline) newScratch() any {
	size := int(p.compare.piece())
	s := &scratch{now: blockdev.AlignedBuffer(size)}
	if p.compare.base != nil {
		s.old = blockdev.AlignedBuffer(size)
	}
	return s
}

// compareRecords reads records and leaves in the batch what differs of them.
func (p *pipeline) compareRecords(r read) error {
	s := p.scratch.Get().(*scratch)
	defer p.scratch.Put(s)
	d := &r.differs[r.number]
	d.data = r.data[:0]
	sums := r.sums
	for _, x := range r.records {
		now := s.now[:x.Len]
		if err := readExtent(p.src.Data, now, x.Extent); err != nil {
			return err
		}
		var old []byte
		if p.compare.base != nil && x.Off < p.compare.known {
			old = s.old[:x.Len]
			if err := readExtent(p.compare.base, old, x.Extent); err != nil {
				var u unreadableError // which speaks of the source
				if errors.As(err, &u) {
					err = u.error
				}
				return fmt.Errorf("compare with the base: %w", err)
			}
		}
		n := p.compare.sumsIn(x.Extent)
		for part := range cut(x.Extent, p.src.losses.in(x.Off, x.End())) {
			from, to := part.Off-x.Off, part.End()-x.Off
			switch {
			case part.Lost:
				d.records = append(d.records, part)
			case old != nil:
				d.addByBase(part.Off, now[from:to], old[from:to], p.compare.blockSize)
			case n > 0 && part.Len == x.Len:
				d.addBySums(p.compare, x.Off, now, sums[:n])
			default: // no base, or that of a part of a block, of which no sum tells
				d.add(refine.Runs(part.Off, now[from:to], nil))
			}
		}
		sums = sums[n:]
	}
	return nil
}

// readExtent reads all of an extent.
func readExtent(in io.ReaderAt, data []byte, e format.Extent) error {
	n, err := in.ReadAt(data, e.Off)
	if int64(n) < e.Len || err != nil && err != io.EOF {
		return readError(e, err)
	}
	return nil
}

// add adds what has no base.
func (d *differences) add(found iter.Seq2[format.Extent, []byte]) {
	for e, data := range found {
		d.records = append(d.records, format.Record{Extent: e})
		d.data = append(d.data, data...)
	}
}

// addByBase adds the blocks of now, which the volume holds from off on, that differ
// from old, each with its base hash.
func (d *differences) addByBase(off int64, now, old []byte, blockSize int64) {
	for e, data := range refine.Blocks(off, now, old, blockSize) {
		d.records = append(d.records, format.Record{Extent: e, HasBase: true,
			BaseHash: xxhash.Sum64(old[e.Off-off : e.End()-off])})
		d.data = append(d.data, data...)
	}
}

// addBySums adds the blocks that differ from the sums, each with its base hash.
func (d *differences) addBySums(c *comparison, off int64, now []byte, sums []BlockSum) {
	for _, sum := range sums {
		block := now[:min(c.blockSize, int64(len(now)))]
		x := format.Record{Extent: format.Extent{Off: off, Len: int64(len(block))}, HasBase: true, BaseHash: sum.Hash}
		off, now = x.End(), now[len(block):]
		if refine.IsZero(block) {
			x.Kind = format.Zero
		}
		if c.holds(sum, block, x.Kind == format.Zero) {
			continue
		}
		if sum.Zero {
			x.BaseHash = c.zeroHash(len(block))
		}
		d.records = append(d.records, x)
		if x.Kind == format.Data {
			d.data = append(d.data, block...)
		}
	}
}

// holds tells whether a block has the sum.
func (c *comparison) holds(sum BlockSum, block []byte, zero bool) bool {
	if zero || sum.Zero {
		return zero == sum.Zero
	}
	return sigfile.Sum(c.sums.Seed(), block) == sum.Hash
}

// zeroHash is the hash of a block of n zeros.
func (c *comparison) zeroHash(n int) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(c.sums.Seed())
	for n > 0 {
		part := min(n, len(zeroSample))
		d.Write(zeroSample[:part])
		n -= part
	}
	return d.Sum64()
}
