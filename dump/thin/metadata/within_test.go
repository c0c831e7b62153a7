package metadata

import (
	"bytes"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// Of the captured volumes: every few of the blocks, and none that there can't be. What has none of
// them is not read.
func TestMappedOf(t *testing.T) {
	for _, c := range capturedPools(t) {
		for _, v := range c.Views {
			in := &countingReader{ReaderAt: bytes.NewReader(v.image)}
			m, err := v.open(v.image)
			if err != nil {
				t.Fatal(err)
			}
			m.r = in
			for _, d := range v.Devices {
				all, err := m.Mapped(t.Context(), d.ID)
				if err != nil {
					t.Fatal(err)
				}
				for _, step := range []uint64{1, 7, 100, 5000} {
					some := roaring64.BitmapOf(1 << 40)
					for b := uint64(0); b < 200_000; b += step {
						some.Add(b)
					}
					got, err := m.MappedOf(t.Context(), d.ID, some)
					if err != nil || !got.Equals(roaring64.And(all, some)) {
						t.Errorf("%s %s %s, every %d: %v", c.Name, v.View, d.Name, step, err)
					}
				}
				if all.GetCardinality() < 1000 {
					continue
				}
				in.blocks.Store(0)
				_, err = m.Mapped(t.Context(), d.ID)
				whole := in.blocks.Swap(0)
				if err == nil {
					_, err = m.MappedOf(t.Context(), d.ID, roaring64.BitmapOf(all.Maximum()))
				}
				if err != nil || in.blocks.Load() >= whole {
					t.Errorf("%s %s %s: one block takes %d reads, all of them %d (%v)", c.Name,
						v.View, d.Name, in.blocks.Load(), whole, err)
				}
			}
			if _, err := m.MappedOf(t.Context(), 1<<20, roaring64.BitmapOf(1)); err == nil {
				t.Error("a volume that there is not")
			}
		}
	}
}
