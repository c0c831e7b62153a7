package dump

import (
	"bytes"

	"lvmsync/format"
)

// blockSize is the unit in which zeros are looked for, in bytes.
const blockSize = 4096

var zeroBlock [blockSize]byte

// splitZeros turns the blocks of zeros in the segment's data extents into zero
// extents and closes the gaps that they leave in the data. Blocks lie on a grid
// of the volume.
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
		for off := r.Off; len(data) > 0; {
			n := blockAt(off, len(data))
			e := format.Extent{Off: off, Len: int64(n), Kind: format.Zero}
			if !bytes.Equal(data[:n], zeroBlock[:n]) {
				e.Kind = format.Data
				kept += copy(s.Data[kept:], data[:n])
			}
			s.Records = appendExtent(s.Records, e)
			off += int64(n)
			data = data[n:]
		}
	}
	s.Records = s.Records[:copy(s.Records, s.Records[planned:])]
	s.Data = s.Data[:kept]
}

// hasZeroBlock spares a segment without zeros the copying.
func hasZeroBlock(s *format.Segment) bool {
	for r, data := range s.All() {
		for off := r.Off; len(data) > 0; {
			n := blockAt(off, len(data))
			if bytes.Equal(data[:n], zeroBlock[:n]) {
				return true
			}
			off += int64(n)
			data = data[n:]
		}
	}
	return false
}

// blockAt is the length of the block, or the rest of one, that begins at off.
func blockAt(off int64, limit int) int {
	return min(limit, blockSize-int(off%blockSize))
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
