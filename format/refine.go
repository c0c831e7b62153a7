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
		for done := 0; done < len(data); {
			n := min(len(data)-done, RefineSize-int((off+int64(done))%RefineSize))
			block := data[done : done+n]
			equal := base != nil && bytes.Equal(block, base[done:done+n])
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

// RefineBlocks yields the same with a base, block by block. An extent with a base
// hash should be no longer: writes are done by blocks at the least, so that each
// extent of a destination then holds either what it did or what it shall, even if a
// run was broken off.
func RefineBlocks(off int64, data, base []byte) iter.Seq2[Extent, []byte] {
	return func(yield func(Extent, []byte) bool) {
		for run, d := range Refine(off, data, base) {
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
