package format

import (
	"bytes"
	"iter"
)

// RefineSize is the unit in bytes in which [Refine] compares: blocks on a grid of
// the volume.
const RefineSize = 4096

var zeroBlock [RefineSize]byte

// Refine yields the parts of data, which is what the volume holds from off on,
// that differ from base, in runs of blocks. Blocks of zeros come as zero extents,
// with nil for data; what is yielded otherwise is a part of data. Without a base
// (nil) everything differs.
func Refine(off int64, data, base []byte) iter.Seq2[Extent, []byte] {
	return refine(off, data, base, RefineSize)
}

// refine does that in blocks of blockSize bytes, a power of two. Zeros are looked
// for in blocks of RefineSize at the most.
func refine(off int64, data, base []byte, blockSize int64) iter.Seq2[Extent, []byte] {
	// inBlock is how much of a block there is from done on.
	inBlock := func(done int, size int64) int {
		return min(len(data)-done, int(size-(off+int64(done))%size))
	}
	return func(yield func(Extent, []byte) bool) {
		var run Extent
		at := 0 // where the run begins in data
		flush := func() bool {
			if run.Len == 0 {
				return true
			}
			var d []byte
			if run.Kind == Data {
				d = data[at : at+int(run.Len)]
			}
			return yield(run, d)
		}
		compared, equal := 0, false // up to where, and with what result
		for done := 0; done < len(data); {
			n := inBlock(done, min(blockSize, RefineSize))
			block := data[done : done+n]
			if base != nil && done == compared {
				compared += inBlock(done, blockSize)
				equal = bytes.Equal(data[done:compared], base[done:compared])
			}
			kind := Data
			if !equal && bytes.Equal(block, zeroBlock[:n]) {
				kind = Zero
			}
			if run.Len > 0 && (equal || kind != run.Kind) {
				if !flush() {
					return
				}
				run.Len = 0
			}
			if !equal {
				if run.Len == 0 {
					run, at = Extent{Off: off + int64(done), Kind: kind}, done
				}
				run.Len += int64(n)
			}
			done += n
		}
		flush()
	}
}

// RefineBlocks yields what differs from base in blocks of blockSize bytes, a power
// of two, in extents that are no longer than a block of RefineSize. An extent with a
// base hash should be no longer: writes are done by blocks at the least, so that each
// extent of a destination then holds either what it did or what it shall, even if a
// run was broken off.
func RefineBlocks(off int64, data, base []byte, blockSize int64) iter.Seq2[Extent, []byte] {
	return func(yield func(Extent, []byte) bool) {
		for run, d := range refine(off, data, base, blockSize) {
			for run.Len > 0 {
				e := run
				e.Len = min(run.Len, RefineSize-run.Off%RefineSize)
				run.Off, run.Len = e.End(), run.Len-e.Len
				var part []byte
				if e.Kind == Data {
					part, d = d[:e.Len], d[e.Len:]
				}
				if !yield(e, part) {
					return
				}
			}
		}
	}
}
