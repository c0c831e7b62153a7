package dump

import (
	"bytes"
	"context"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format"
)

// A sumComparison compares the volume with the sums of its base.
type sumComparison struct {
	sums      Sums
	blockSize int64
	known     int64 // length of what the sums are comparable with, in bytes
}

// compareSums prepares to compare a volume of size bytes. A last block that is not
// whole has the sum of what there is: where the base ends elsewhere, that says
// nothing.
func compareSums(sums Sums, size int64) *sumComparison {
	if sums == nil {
		return nil
	}
	c := &sumComparison{sums: sums, blockSize: sums.BlockSize(), known: size}
	if sums.Size() != size {
		c.known = min(sums.Size(), size) / c.blockSize * c.blockSize
	}
	return c
}

// take notes the sums for an extent that has just gone into the batch.
func (c *sumComparison) take(b *batch, e format.Extent) error {
	for off := e.Off; off < min(e.End(), c.known); off += c.blockSize {
		s, err := c.sums.Sum(off)
		if err != nil {
			return err
		}
		b.sums = append(b.sums, s)
	}
	return nil
}

// planHole plans what differs in a hole of the volume, without reading it: what is
// not zeros in the base.
func (p *pipeline) planHole(ctx context.Context, e format.Extent) error {
	c := p.compare
	for e.Len > 0 {
		b := p.fill()
		part := e
		if e.Off < c.known {
			part.Len = min(c.blockSize, e.Len)
			s, err := c.sums.Sum(e.Off)
			if err != nil {
				return err
			}
			if !s.Zero {
				b.seg.Records = append(b.seg.Records, format.Record{Extent: part, HasBase: true, BaseHash: s.Hash})
			}
		} else {
			b.seg.Records = append(b.seg.Records, format.Record{Extent: part})
		}
		b.bytes += part.Len
		e.Off, e.Len = part.End(), e.Len-part.Len
		if b.full() || b.bytes > maxBatchBytes {
			if ctx.Err() != nil {
				return nil // run knows why
			}
			p.dispatch()
		}
	}
	return nil
}

// maxBatchBytes is how much of the volume a batch without data is about, so that
// the progress goes on.
const maxBatchBytes = 256 << 20

// drop leaves in the segment the blocks that differ from the sums, each with its
// base hash. What has none stays whole.
func (c *sumComparison) drop(s *format.Segment, sums []BlockSum) {
	planned := len(s.Records)
	kept := 0
	for r, data := range s.All() {
		if r.Kind == format.Zero {
			s.Records = append(s.Records, r)
			continue
		}
		for len(data) > 0 && r.Off < c.known {
			block := data[:min(c.blockSize, int64(len(data)))]
			x := format.Record{Extent: format.Extent{Off: r.Off, Len: int64(len(block))}, HasBase: true}
			data, r.Off = data[len(block):], x.End()
			sum := sums[0]
			sums = sums[1:]
			if isZero(block) {
				x.Kind = format.Zero
			}
			if c.holds(sum, block, x.Kind == format.Zero) {
				continue
			}
			if x.BaseHash = sum.Hash; sum.Zero {
				x.BaseHash = c.zeroHash(len(block))
			}
			if x.Kind == format.Data {
				kept += copy(s.Data[kept:], block)
			}
			s.Records = append(s.Records, x)
		}
		for e, d := range format.Refine(r.Off, data, nil) {
			kept += copy(s.Data[kept:], d)
			s.Records = append(s.Records, format.Record{Extent: e})
		}
	}
	s.Records = s.Records[:copy(s.Records, s.Records[planned:])]
	s.Data = s.Data[:kept]
}

// holds tells whether a block has the sum.
func (c *sumComparison) holds(sum BlockSum, block []byte, zero bool) bool {
	if zero || sum.Zero {
		return zero == sum.Zero
	}
	return format.SeededSum(c.sums.Seed(), block) == sum.Hash
}

// zeroHash is the hash of a block of n zeros, of which a base has many.
func (c *sumComparison) zeroHash(n int) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(c.sums.Seed())
	for n > 0 {
		part := min(n, len(zeroSample))
		d.Write(zeroSample[:part])
		n -= part
	}
	return d.Sum64()
}

func isZero(block []byte) bool {
	return block[0] == 0 && bytes.Equal(block[1:], block[:len(block)-1])
}
