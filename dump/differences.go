package dump

import (
	"iter"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format"
	"lvmsync/format/refine"
)

// differences are what a read has found to differ.
type differences struct {
	planned int        // records that are read
	sums    []BlockSum // of the base, for those that are still to be read and what follows them
	records []format.Record
	data    []byte // of them, in the place of what was planned to be read
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
func (d *differences) addBySums(by *differing, off int64, now []byte, sums []BlockSum) {
	for _, sum := range sums {
		block := now[:min(by.blockSize, int64(len(now)))]
		e := format.Extent{Off: off, Len: int64(len(block))}
		x := format.Record{Extent: e, HasBase: true, BaseHash: sum.Hash}
		off, now = x.End(), now[len(block):]
		if refine.IsZero(block) {
			x.Kind = format.Zero
		}
		if by.holds(sum, block, x.Kind == format.Zero) {
			continue
		}
		if sum.Zero {
			x.BaseHash = by.zeroHash(len(block))
		}
		d.records = append(d.records, x)
		if x.Kind == format.Data {
			d.data = append(d.data, block...)
		}
	}
}

// gather puts what the reads have found to differ in the place of what was planned.
// Extents of the kind Zero are sure to differ.
func gather(s *format.Segment, found []differences) {
	planned, kept := len(s.Records), 0
	for i := 0; i < planned; {
		if s.Records[i].Kind == format.Zero {
			s.Records = append(s.Records, s.Records[i])
			i++
			continue
		}
		d := found[0]
		found = found[1:]
		s.Records = append(s.Records, d.records...)
		kept += copy(s.Data[kept:], d.data)
		i += d.planned
	}
	s.Records = s.Records[:copy(s.Records, s.Records[planned:])]
	s.Data = s.Data[:kept]
}
