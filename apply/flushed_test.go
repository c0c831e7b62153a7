package apply

import (
	"testing"

	"lvmsync/format"
	"lvmsync/format/storage"
)

// When a run has succeeded, nothing comes behind its last flush: neither data nor zeros,
// whether they are written or unmapped.
func TestNothingBehindLastFlush(t *testing.T) {
	const block, size = 64 * kib, 16 * 64 * kib
	p := newPool(t)
	for name, extents := range map[string][]format.Extent{
		"data":        {data(block, 4096)},
		"zeros":       {zero(block, 8*block)},
		"small zeros": {zero(block, 4096)},
		"odd zeros":   {zero(block+512, 8*block)},
		"both":        {zero(0, 8*block), data(8*block, 512), zero(8*block+512, 7*block)},
	} {
		for _, shift := range []int64{0, 512} { // a thin volume, and one behind something else
			v := p.volume(t, garbage(size), block, shift)
			patch, _ := newVolume(format.Delta, size, extents).patch(t)
			apply(t, v.path, pipe(patch), func(o *Options) {
				o.system = fake(&fakeSystem{parts: []storage.ThinPart{v.part}})
			})
			v.mu.Lock()
			if v.dirty {
				t.Errorf("%s, shifted by %d: something is not flushed", name, shift)
			}
			v.mu.Unlock()
		}
	}
}
