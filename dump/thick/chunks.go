package thick

import (
	"iter"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/format"
)

// chunks is a set of chunks of a volume. None of its methods changes it. The zero value is no set
// yet.
type chunks struct {
	set  *roaring64.Bitmap
	size int64 // of each, in bytes: a power of two
}

// or gives what is in one of the sets, in chunks of the smaller size.
func (c chunks) or(d chunks) chunks {
	if c.set == nil {
		return d
	}
	size := min(c.size, d.size)
	return chunks{roaring64.Or(c.in(size), d.in(size)), size}
}

// in gives the same in chunks of a size that is not larger.
func (c chunks) in(size int64) *roaring64.Bitmap {
	times := uint64(c.size / size)
	if times == 1 {
		return c.set
	}
	small := roaring64.New()
	for it := c.set.Iterator(); it.HasNext(); {
		i := it.Next()
		small.AddRange(i*times, (i+1)*times)
	}
	return small
}

// with gives the set with all chunks that have some of the bytes [from, to).
func (c chunks) with(from, to int64) chunks {
	all := c.set.Clone()
	all.AddRange(uint64(from/c.size), uint64((to+c.size-1)/c.size))
	return chunks{all, c.size}
}

// extents yields the runs of chunks in a volume of so many bytes. The last chunk may be partial.
func (c chunks) extents(volumeSize int64) iter.Seq2[format.Extent, error] {
	return func(yield func(format.Extent, error) bool) {
		var run format.Extent
		for it := c.set.Iterator(); it.HasNext(); {
			off := int64(it.Next()) * c.size
			n := min(c.size, volumeSize-off)
			if n <= 0 {
				break // the origin has it, and the snapshot that is sent has not
			}
			if run.Len > 0 && run.End() == off {
				run.Len += n
				continue
			}
			if run.Len > 0 && !yield(run, nil) {
				return
			}
			run = format.Extent{Off: off, Len: n}
		}
		if run.Len > 0 {
			yield(run, nil)
		}
	}
}
