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
			src := &fakeSource{volume: volume, extents: extents}
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

// known is a volume whose base's sums are known.
type known struct {
	*fakeSource
	sums []BlockSum
}

func (k known) Sums() Sums       { return k }
func (k known) BlockSize() int64 { return refine.BlockSize }
func (k known) Size() int64      { return int64(len(k.volume)) }
func (k known) Seed() uint64     { return 7 }
func (k known) Sum(off int64) (BlockSum, error) {
	return k.sums[off/refine.BlockSize], nil
}

// BenchmarkCompare finds one block in twenty that differs, as stored bytes.
func BenchmarkCompare(b *testing.B) {
	const size = 12 * mib
	base, now := benchBase(size, 20)
	src := &fakeSource{volume: now, base: base, extents: data(0, size)}
	bySums := known{fakeSource: src}
	for i := 0; i < size; i += refine.BlockSize {
		bySums.sums = append(bySums.sums, BlockSum{Hash: sigfile.Sum(7, base[i:i+refine.BlockSize])})
	}
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
			s := &format.Segment{Data: volume, Records: []format.Record{{Extent: format.Extent{Len: size}}}}
			b.SetBytes(size)
			for b.Loop() {
				hasZeroBlock(s)
			}
		})
	}
}
