package apply

import (
	"path/filepath"
	"testing"

	"lvmsync/format"
	"lvmsync/format/storage"
)

// Nothing of what comes next is read while blocks are filled: it could be in one of them,
// and what that uncovers would be saved as what was there before.
func TestPoolReadsNothingAhead(t *testing.T) {
	const block, size, far = 64 * kib, 4 * mib, 2 * mib
	var segments [][]format.Extent
	for i := range int64(2 * batchSegments) {
		off := i * block
		if i >= batchSegments {
			off += far
		}
		segments = append(segments, []format.Extent{data(off+8192, 4096)})
	}
	patch, _ := newVolume(format.Delta, size, segments...).patch(t)
	v := newPool(t).volume(t, make([]byte, size), block, 0)
	wrote, tooEarly := 0, 0
	apply(t, v.path, pipe(patch), func(o *Options) {
		o.system = fake(&fakeSystem{parts: []storage.ThinPart{v.part}})
		o.Undo = filepath.Join(t.TempDir(), "undo")
		o.Started = func([]format.Header) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.seen = func(writes bool, off int64) {
				switch {
				case writes && off < batchSegments*block:
					wrote++
				case !writes && off >= far && off < far+2*batchSegments*block &&
					wrote < batchSegments:
					tooEarly++
				}
			}
		}
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	if tooEarly > 0 || wrote < batchSegments {
		t.Errorf("%d writes of the first batch, and %d reads for the next one before", wrote,
			tooEarly)
	}
}
