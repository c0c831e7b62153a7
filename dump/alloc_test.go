//go:build !race

package dump

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"lvmsync/format"
	"lvmsync/format/refine"
)

// A repeated volume holds the same bytes again and again. So does its base.
type repeated struct {
	now, old memory
	step     int64 // of its extents
	len      int64
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

func (m memory) WillNeed(off, n int64) {}

func (m memory) Size() int64 { return m.size }

func (r *repeated) source() Source {
	src := new(fakeSource).source()
	src.Header.VolumeSize = r.now.size
	src.Data, src.Base, src.Extents = r.now, r.old, r.extents
	return src
}

func (r *repeated) extents(yield func(format.Extent, error) bool) {
	for off := int64(0); off < r.now.size; off += r.step {
		if !yield(format.Extent{Off: off, Len: r.len}, nil) {
			return
		}
	}
}

// offsets are sums of a base of so many bytes.
type offsets int64

func (o offsets) BlockSize() int64                { return refine.BlockSize }
func (o offsets) Size() int64                     { return int64(o) }
func (o offsets) Seed() uint64                    { return 0 }
func (o offsets) Sum(off int64) (BlockSum, error) { return BlockSum{Hash: uint64(off)}, nil }

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
		change    func(*Source)
		options   Options
	}{
		"stored":             {batchData, batchData, nil, Options{}},
		"compressed":         {batchData, batchData, nil, Options{Level: 1}},
		"many extents":       {8 * kib, 4 * kib, nil, Options{}},
		"compared with base": {batchData, batchData, nil, Options{ExactBase: true}},
		"many, with base":    {8 * kib, 4 * kib, nil, Options{ExactBase: true}},
		"compared with sums": {batchData, batchData,
			func(s *Source) { s.Sums = offsets(s.Header.VolumeSize) }, Options{}},
		"some can't be read": {batchData, batchData, nil, Options{ZeroUnreadable: true}},
		"half of it are zeros": {batchData, batchData,
			func(s *Source) { clear(s.Data.(memory).bytes[:batchData/2]) }, Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			mallocs := func(segments int64) int64 {
				size := segments * batchData
				r := &repeated{memory{bytes.Clone(now), size}, memory{old, size},
					test.step, test.len}
				src := r.source()
				if test.change != nil {
					test.change(&src)
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
