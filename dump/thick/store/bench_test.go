package store

import (
	"math"
	"math/rand/v2"
	"testing"
)

// areasOnly is a device in memory that has nothing but areas, all full, except for the last.
type areasOnly struct {
	layout layout
	areas  []byte
}

func (a *areasOnly) ReadAt(p []byte, off int64) (int, error) {
	area := (off/a.layout.chunkBytes - 1) / (a.layout.areaEntries + 1)
	return copy(p, a.areas[area*a.layout.chunkBytes:]), nil
}

// BenchmarkExceptions reads 2^20 exceptions of 4 KiB chunks; MB/s are of the areas, so as to
// compare with copying them. One exception stands for 4096 bytes that a dump has to read and
// compress.
func BenchmarkExceptions(b *testing.B) {
	const areas, chunk = 4096, 4096
	size := int64((areas + 1) * 257 * chunk)
	fill := func(old func(i int) uint64) *areasOnly {
		d := newDevice(size, chunk)
		for area := range int64(areas) {
			first := uint64(area*257 + 2)
			for i := range int64(256) {
				d.put(area, i, old(int(area*256+i)), first+uint64(i))
			}
		}
		a := &areasOnly{layout: newLayout(size, chunk), areas: make([]byte, (areas+40)*chunk)}
		for area := range int64(areas) {
			d.ReadAt(a.areas[area*chunk:][:chunk], d.areaOffset(area))
		}
		return a
	}
	perm := rand.New(rand.NewPCG(1, 2)).Perm(areas * 256)
	for _, bb := range []struct {
		name string
		old  func(i int) uint64
	}{
		{"ascending", func(i int) uint64 { return uint64(i) }},
		{"shuffled", func(i int) uint64 { return uint64(perm[i]) * 20 }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			a := fill(bb.old)
			s := &Store{r: a, size: size, layout: a.layout}
			b.SetBytes(areas * chunk)
			for b.Loop() {
				set, err := s.Exceptions(b.Context(), math.MaxInt64, AllAreas)
				if err != nil || set.GetCardinality() != areas*256 {
					b.Fatal(set.GetCardinality(), err)
				}
			}
		})
	}
}
