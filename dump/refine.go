package dump

import (
	"sync"

	"github.com/cespare/xxhash/v2"

	"lvmsync/dump/blockdev"
	"lvmsync/format"
)

var basePool = sync.Pool{New: func() any {
	b := blockdev.AlignedBuffer(batchData)
	return &b
}}

// refine leaves in the batch what is worth sending, once all of it has been read.
func (b *batch) refine(p *pipeline) {
	switch {
	case p.compare != nil:
		p.compare.drop(b.seg, b.sums)
	case b.base == nil:
		splitZeros(b.seg)
	default:
		dropEqual(b.seg, b.baseData(), p.base.Size(), p.blockSize)
		basePool.Put(b.base)
		b.base = nil
	}
}

// dropEqual leaves of the segment's data extents, with which base lies in step,
// the blocks that differ from the base, records the base's hash for each extent
// that is left, and splits zeros like splitZeros. All extents are of the kind
// Data. Those at baseSize and beyond replace nothing and stay whole.
func dropEqual(s *format.Segment, base []byte, baseSize, blockSize int64) {
	planned := len(s.Records)
	kept := 0
	for r, data := range s.All() {
		old := base[:r.Len]
		base = base[r.Len:]
		if r.Off >= baseSize {
			old = nil
		}
		if old == nil {
			for e, d := range format.Refine(r.Off, data, nil) {
				kept += copy(s.Data[kept:], d)
				s.Records = append(s.Records, format.Record{Extent: e})
			}
			continue
		}
		for e, d := range format.RefineBlocks(r.Off, data, old, blockSize) {
			kept += copy(s.Data[kept:], d)
			s.Records = append(s.Records, format.Record{Extent: e, HasBase: true,
				BaseHash: xxhash.Sum64(old[e.Off-r.Off : e.End()-r.Off])})
		}
	}
	s.Records = s.Records[:copy(s.Records, s.Records[planned:])]
	s.Data = s.Data[:kept]
}

// splitZeros turns the blocks of zeros in the segment's data extents into zero
// extents and closes the gaps that they leave in the data.
func splitZeros(s *format.Segment) {
	if !hasZeroBlock(s) {
		return
	}
	planned := len(s.Records) // the new ones go behind them: no allocation a segment
	kept := 0
	for r, data := range s.All() {
		if r.Kind == format.Zero {
			s.Records = appendExtent(s.Records, r.Extent)
			continue
		}
		for e, d := range format.Refine(r.Off, data, nil) {
			kept += copy(s.Data[kept:], d)
			s.Records = appendExtent(s.Records, e)
		}
	}
	s.Records = s.Records[:copy(s.Records, s.Records[planned:])]
	s.Data = s.Data[:kept]
}

// hasZeroBlock spares a segment without zeros the copying.
func hasZeroBlock(s *format.Segment) bool {
	for r, data := range s.All() {
		if r.Kind == format.Data {
			for e := range format.Refine(r.Off, data, nil) {
				if e.Kind == format.Zero {
					return true
				}
			}
		}
	}
	return false
}

// appendExtent appends e, joined with the last one if they touch and are of one
// kind. That can't be a planned one: the last of them ends behind where the first
// new one begins.
func appendExtent(records []format.Record, e format.Extent) []format.Record {
	if n := len(records); n > 0 {
		if last := &records[n-1]; last.Kind == e.Kind && last.End() == e.Off {
			last.Len += e.Len
			return records
		}
	}
	return append(records, format.Record{Extent: e})
}
