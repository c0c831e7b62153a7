package apply

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"lvmsync/format"
	"lvmsync/format/storage"
)

// What an undo patch has saved in a pool that does not zero its blocks takes back all that
// the patch has changed, and all that a power cut can have uncovered beside that.
func TestPoolUndo(t *testing.T) {
	const block = 64 * kib
	const size = 4 * block
	for name, tt := range map[string]struct {
		zeros    []format.Extent // that aren't mapped
		extents  []format.Extent
		powerCut bool // of blocks that are mapped then nothing has come to the disk
	}{
		"data in a block of zeros, and a power cut": {[]format.Extent{zero(block, block)},
			[]format.Extent{data(block+8*kib, 4*kib)}, true},
		"data in two of them, and a power cut": {[]format.Extent{zero(0, 2*block)},
			[]format.Extent{data(block-4*kib, 8*kib)}, true},
		"zeros over one of them, and a power cut": {[]format.Extent{zero(block, block)},
			[]format.Extent{zero(block-4*kib, block+8*kib)}, true},
		"zeros from within a block that was written": {nil,
			[]format.Extent{data(0, 4*kib), zero(8*kib, 2*block)}, false},
		"zeros to within a block that is written": {nil,
			[]format.Extent{zero(8*kib, block), data(block+32*kib, 4*kib)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			old := garbage(size)
			for _, z := range tt.zeros {
				clear(old[z.Off:z.End()])
			}
			v := newPool(t).volume(t, old, block, 0)
			system := &fakeSystem{parts: []storage.ThinPart{v.part}}
			vol := newVolume(format.Delta, size, tt.extents)
			patch, _ := vol.patch(t)
			before := maps.Clone(v.mapped)
			undo := filepath.Join(t.TempDir(), "undo")
			apply(t, v.path, pipe(patch), func(o *Options) {
				o.system, o.Undo = fake(system), undo
			})
			if got := v.device(t); !bytes.Equal(got, vol.onto(old, 1)) {
				t.Fatal("it does not hold what it shall")
			}
			if tt.powerCut {
				v.uncover(before, func() bool { return true })
			}
			back, err := os.ReadFile(undo)
			if err != nil {
				t.Fatal(err)
			}
			apply(t, v.path, bytes.NewReader(back), func(o *Options) { o.system = fake(system) })
			if got := v.device(t); !bytes.Equal(got, old) {
				t.Error("the undo patch takes back something else")
			}
		})
	}
}
