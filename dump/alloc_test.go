//go:build !race

package dump

import (
	"io"
	"iter"
	"runtime"
	"testing"

	"lvmsync/format"
	"lvmsync/format/refine"
)

// A repeated volume holds the same bytes again and again. So does its base.
type repeated struct {
	fakeSource
	size      int64
	step, len int64 // of its extents
	old       memory
}

// memory is read as if it were repeated without end.
type memory struct {
	bytes []byte // as many as there are in a batch
	size  int64
}

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], m.bytes[(off+int64(n))%batchData:])
	}
	return n, nil
}

func (m memory) Size() int64 { return m.size }

func (r *repeated) Header() format.Header {
	h := r.fakeSource.Header()
	h.VolumeSize = r.size
	return h
}

func (r *repeated) ReadAt(p []byte, off int64) (int, error) {
	return memory{r.volume, r.size}.ReadAt(p, off)
}

func (r *repeated) Base() Base { return r.old }

func (r *repeated) Extents() iter.Seq2[format.Extent, error] {
	return func(yield func(format.Extent, error) bool) {
		for off := int64(0); off < r.size; off += r.step {
			if !yield(format.Extent{Off: off, Len: r.len}, nil) {
				return
			}
		}
	}
}

// summed is a repeated volume of whose base only sums are known.
type summed struct{ *repeated }

func (s summed) Sums() Sums                      { return s }
func (s summed) BlockSize() int64                { return refine.BlockSize }
func (s summed) Size() int64                     { return s.size }
func (s summed) Seed() uint64                    { return 0 }
func (s summed) Sum(off int64) (BlockSum, error) { return BlockSum{Hash: uint64(off)}, nil }

// A run allocates its buffers at the beginning and nothing for each segment. (The race
// detector makes pools forget.)
func TestNoAllocationPerSegment(t *testing.T) {
	now := noise(batchData)
	old := noise(batchData)
	for i := 0; i < len(now); i += 2 * refine.BlockSize {
		clear(now[i : i+refine.BlockSize/2])
		old[i]++
	}
	for name, test := range map[string]struct {
		step, len int64
		wrap      func(*repeated) Source
		options   Options
	}{
		"stored":               {batchData, batchData, nil, Options{}},
		"compressed":           {batchData, batchData, nil, Options{Level: 1}},
		"many extents":         {8 * kib, 4 * kib, nil, Options{}},
		"compared with base":   {batchData, batchData, nil, Options{ExactBase: true}},
		"many, with base":      {8 * kib, 4 * kib, nil, Options{ExactBase: true}},
		"compared with sums":   {batchData, batchData, func(r *repeated) Source { return summed{r} }, Options{}},
		"some can't be read":   {batchData, batchData, nil, Options{ZeroUnreadable: true}},
		"half of it are zeros": {batchData, batchData, func(r *repeated) Source { clear(r.volume[:batchData/2]); return r }, Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			mallocs := func(segments int64) int64 {
				r := &repeated{size: segments * batchData, step: test.step, len: test.len, old: memory{old, segments * batchData}}
				r.volume = append(r.volume, now...)
				src := Source(r)
				if test.wrap != nil {
					src = test.wrap(r)
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				if _, err := Run(t.Context(), src, io.Discard, test.options); err != nil {
					t.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				return int64(after.Mallocs - before.Mallocs)
			}
			few, many := mallocs(20), mallocs(220)
			if perSegment := float64(many-few) / 200; perSegment > 0.5 {
				t.Errorf("%.2f allocations a segment: %d for 20, %d for 220", perSegment, few, many)
			}
		})
	}
}
