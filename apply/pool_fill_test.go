package apply

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"lvmsync/format"
	"lvmsync/format/storage"
)

// A block that is larger than what is read at a time is read before any of it is written.
func TestPoolLargeBlockBelow(t *testing.T) {
	const block, size = 4 * mib, 8 * mib
	vol := newVolume(format.Delta, size, []format.Extent{data(3*mib, 4096)})
	patch, _ := vol.patch(t)
	old := make([]byte, size)
	v := newPool(t).volume(t, old, block, 8192)
	apply(t, v.path, pipe(patch), func(o *Options) {
		o.system = fake(&fakeSystem{parts: []storage.ThinPart{v.part}})
	})
	if got := v.device(t); !bytes.Equal(got, vol.onto(old, 1)) {
		t.Error("it holds something else")
	}
}

// A destination of which only a neighbour has been filled, and that in part, is part-way, and its
// undo patch stays.
func TestPoolFailsWhileFilling(t *testing.T) {
	const block, shift = 64 * kib, 1536
	const size = 3*block - shift
	old := garbage(size)
	clear(old[2*block-shift:]) // the last block is not mapped
	v := newPool(t).volume(t, old, block, shift)
	patch, _ := newVolume(format.Delta, size, []format.Extent{zero(block-shift, block)}).patch(t)
	v.mu.Lock()
	v.failFrom = 2*block + 16*kib
	v.mu.Unlock()
	r := newRun(v.path)
	r.system = fake(&fakeSystem{parts: []storage.ThinPart{v.part}})
	r.Undo = filepath.Join(t.TempDir(), "undo")
	r.do(t.Context(), pipe(patch))
	if r.wantPartial(t).Durable {
		t.Error("what failed is said to be durable")
	}
	if _, err := os.Stat(r.Undo); err != nil {
		t.Errorf("the undo patch: %v", err)
	}
}

// A block whose filling fails is not left mapped: what it then reads as would be taken for
// what was there before, by the next run and for its undo patch.
func TestPoolFailedBlockIsUnmapped(t *testing.T) {
	const block = 64 * kib
	const size = 3 * block
	old := garbage(size)
	clear(old[block : 2*block])
	v := newPool(t).volume(t, old, block, 0)
	vol := newVolume(format.Delta, size, []format.Extent{data(block+8192, 4096)})
	patch, _ := vol.patch(t)
	fails := func(from int64) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.failFrom = from
	}
	fails(block + 16*kib)
	r := newRun(v.path)
	r.system = fake(&fakeSystem{parts: []storage.ThinPart{v.part}})
	r.do(t.Context(), pipe(patch)).wantPartial(t)
	fails(0)
	if got := v.device(t); !bytes.Equal(got, old) {
		t.Error("after the failure it holds something else")
	}
	apply(t, v.path, pipe(patch), func(o *Options) { o.system = r.system })
	if got := v.device(t); !bytes.Equal(got, vol.onto(old, 1)) {
		t.Error("after the next run it holds something else")
	}
}

// Zeros that end beside a part of a device that lies in a pool, within a page, which is
// written whole, uncover nothing there.
func TestPoolBesideZeros(t *testing.T) {
	const block, shift = 64 * kib, 1536
	const size = 8*block - 2048*2
	for name, tt := range map[string]struct {
		mapped, zeros format.Extent // of the device
		part          func(p storage.ThinPart) storage.ThinPart
	}{
		"before the part": {data(0, 4*block-shift), zero(block, 3*block-shift),
			func(p storage.ThinPart) storage.ThinPart {
				p.Off = 4*block - shift
				p.Len -= p.Off
				return p
			}},
		"behind the part": {data(4*block-shift, size-4*block+shift), zero(4*block-shift, 3*block),
			func(p storage.ThinPart) storage.ThinPart { p.Len = 4*block - shift; return p }},
	} {
		t.Run(name, func(t *testing.T) {
			old := make([]byte, size)
			copy(old[tt.mapped.Off:tt.mapped.End()], garbage(tt.mapped.Len))
			v := newPool(t).volume(t, old, block, shift)
			vol := newVolume(format.Delta, size, []format.Extent{tt.zeros})
			patch, _ := vol.patch(t)
			apply(t, v.path, pipe(patch), func(o *Options) {
				o.system = fake(&fakeSystem{parts: []storage.ThinPart{tt.part(v.part)}})
			})
			if got := v.device(t); !bytes.Equal(got, vol.onto(old, 1)) {
				t.Error("it holds something else")
			}
		})
	}
}
