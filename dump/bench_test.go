package dump

import (
	"io"
	"testing"

	"lvmsync/format"
	"lvmsync/format/refine"
	"lvmsync/format/sigfile"
)

func BenchmarkRun(b *testing.B) {
	const size = 12 * mib
	volume := noise(size)
	for name, extents := range map[string][]format.Extent{
		"one extent":   data(0, size),
		"4 KiB chunks": every(8*kib, 4*kib, size),
	} {
		b.Run(name, func(b *testing.B) {
			src := (&fakeSource{volume: volume, extents: extents}).source()
			plan, _ := Plan(b.Context(), src)
			b.SetBytes(plan.DataBytes)
			for b.Loop() {
				if _, err := Run(b.Context(), src, io.Discard, Options{Level: 1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchBase is a base of noise, and a volume that differs from it in one block of so
// many.
func benchBase(size, every int) (base, now []byte) {
	base, now = noise(size), noise(size)
	for i := 0; i < size; i += every * refine.BlockSize {
		now[i]++
	}
	return base, now
}

// knownSums are those of a base in memory.
type knownSums struct {
	size int64
	list []BlockSum
}

func (k knownSums) BlockSize() int64 { return refine.BlockSize }
func (k knownSums) Size() int64      { return k.size }
func (k knownSums) Seed() uint64     { return 7 }
func (k knownSums) Sum(off int64) (BlockSum, error) {
	return k.list[off/refine.BlockSize], nil
}

// BenchmarkCompare finds one block in twenty that differs, as stored bytes.
func BenchmarkCompare(b *testing.B) {
	const size = 12 * mib
	base, now := benchBase(size, 20)
	src := (&fakeSource{volume: now, base: base, extents: data(0, size)}).source()
	sums := knownSums{size: size}
	for i := 0; i < size; i += refine.BlockSize {
		sums.list = append(sums.list, BlockSum{Hash: sigfile.Sum(7, base[i:i+refine.BlockSize])})
	}
	bySums := src
	bySums.Sums = sums
	run := func(src Source, o Options) func(*testing.B) {
		return func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if _, err := Run(b.Context(), src, io.Discard, o); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("base", run(src, Options{ExactBase: true}))
	b.Run("sums", run(bySums, Options{}))
}

// BenchmarkZeros looks for blocks of zeros where there are none, where there is nothing
// else, and where each block begins with some.
func BenchmarkZeros(b *testing.B) {
	const size = batchData
	begun := noise(size)
	for i := 0; i < size; i += refine.BlockSize {
		clear(begun[i : i+refine.BlockSize-1])
	}
	for name, volume := range map[string][]byte{
		"none": noise(size), "all": make([]byte, size), "all but a byte": begun,
	} {
		b.Run(name, func(b *testing.B) {
			s := &format.Segment{Data: volume,
				Records: []format.Record{{Extent: format.Extent{Len: size}}}}
			b.SetBytes(size)
			for b.Loop() {
				hasZeroBlock(s)
			}
		})
	}
}
