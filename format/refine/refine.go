// Package refine finds out in blocks of what a volume holds which of it differs from
// what was there before, and which is zeros.
package refine

import (
	"bytes"
	"iter"

	"lvmsync/format"
)

// BlockSize is the unit in bytes in which is compared: blocks on a grid of the volume.
const BlockSize = 4096

var zeroBlock [BlockSize]byte

// IsZero tells whether a block, of a byte at least, is all zeros.
func IsZero(block []byte) bool {
	return block[0] == 0 && bytes.Equal(block[1:], block[:len(block)-1])
}

// Runs yields the parts of data, which is what the volume holds from off on, that differ
// from base, in runs of blocks. Blocks of zeros come as zero extents, with nil for data;
// what is yielded otherwise is a part of data. Without a base (nil) everything differs.
func Runs(off int64, data, base []byte) iter.Seq2[format.Extent, []byte] {
	return runs(off, data, base, BlockSize)
}

// runs compares in blocks of blockSize bytes, a power of two. Zeros are looked for in blocks of
// BlockSize at the most.
func runs(off int64, data, base []byte, blockSize int64) iter.Seq2[format.Extent, []byte] {
	// inBlock is how much of a block there is from done on.
	inBlock := func(done int, size int64) int {
		return min(len(data)-done, int(size-(off+int64(done))%size))
	}
	return func(yield func(format.Extent, []byte) bool) {
		var run format.Extent
		at := 0 // where the run begins in data
		flush := func() bool {
			if run.Len == 0 {
				return true
			}
			var d []byte
			if run.Kind == format.Data {
				d = data[at : at+int(run.Len)]
			}
			return yield(run, d)
		}
		compared, equal := 0, false // up to where, and with what result
		for done := 0; done < len(data); {
			n := inBlock(done, min(blockSize, BlockSize))
			block := data[done : done+n]
			if base != nil && done == compared {
				compared += inBlock(done, blockSize)
				equal = bytes.Equal(data[done:compared], base[done:compared])
			}
			kind := format.Data
			if !equal && bytes.Equal(block, zeroBlock[:n]) {
				kind = format.Zero
			}
			if run.Len > 0 && (equal || kind != run.Kind) {
				if !flush() {
					return
				}
				run.Len = 0
			}
			if !equal {
				if run.Len == 0 {
					run, at = format.Extent{Off: off + int64(done), Kind: kind}, done
				}
				run.Len += int64(n)
			}
			done += n
		}
		flush()
	}
}

// Blocks yields what differs from base in blocks of blockSize bytes, a power of two, in
// extents that are no longer than BlockSize. An extent with a base hash should be no
// longer: writes are done by blocks at the least, so that each extent of a destination then
// holds either what it did or what it shall, even if a run was broken off.
func Blocks(off int64, data, base []byte, blockSize int64) iter.Seq2[format.Extent, []byte] {
	return func(yield func(format.Extent, []byte) bool) {
		for run, d := range runs(off, data, base, blockSize) {
			for run.Len > 0 {
				e := run
				e.Len = min(run.Len, BlockSize-run.Off%BlockSize)
				run.Off, run.Len = e.End(), run.Len-e.Len
				var part []byte
				if e.Kind == format.Data {
					part, d = d[:e.Len], d[e.Len:]
				}
				if !yield(e, part) {
					return
				}
			}
		}
	}
}
