package apply

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/storage"
)

// A volume that was not of whole sectors ends within one of the volume that it has become. That
// sector is saved, too.
func TestUndoOfRaggedEnd(t *testing.T) {
	const ragged, grown = 4096 + 700, 16384
	full, _ := newVolume(format.Full, ragged, []format.Extent{data(0, ragged)}).patch(t)
	next := newVolume(format.Delta, grown, []format.Extent{data(8192, 4096)})
	next.header.ID = uuid.New()
	delta, _ := next.patch(t)
	dir, before := t.TempDir(), garbage(grown)
	path, undo := image(t, dir, before), filepath.Join(dir, "undo")
	r := newRun(path)
	r.Undo = undo
	if r.doAll(t.Context(),
		[]Patch{{"full", bytes.NewReader(full)}, {"delta", bytes.NewReader(delta)}}); r.err != nil {
		t.Fatal(r.err)
	}
	back, err := os.ReadFile(undo)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, path, bytes.NewReader(back))
	wantContent(t, path, before)
}

// Behind such an end, what is read at a time ends within a sector, too: one that is as it
// shall be, but for what comes next.
func TestUndoWithinSector(t *testing.T) {
	const ragged, grown, start = 4096 + 700, 2*mib + 8192, 8192
	const cut = start + mib - ragged // where the first segment of both patches ends
	full, _ := newVolume(format.Full, ragged, []format.Extent{data(0, ragged)}).patch(t)
	next := newVolume(format.Delta, grown, []format.Extent{data(start, grown-start)})
	next.header.ID = uuid.New()
	delta, _ := next.patch(t)
	before := next.onto(garbage(grown), 1)
	for i := range before[cut : cut+100] {
		before[cut+i] ^= 1
	}
	pool := newPool(t)
	for name, block := range map[string]int64{"file": 0, "pool": 64 * kib,
		"pool, zeros": 64 * kib} {
		t.Run(name, func(t *testing.T) {
			dir, before := t.TempDir(), slices.Clone(before)
			if name == "pool, zeros" {
				clear(before[:block]) // it isn't mapped
			}
			r := newRun("")
			r.Undo = filepath.Join(dir, "undo")
			if block > 0 {
				v := pool.volume(t, before, block, 0)
				r.Destination, r.system = v.path,
					fake(&fakeSystem{parts: []storage.ThinPart{v.part}})
			} else {
				r.Destination = image(t, dir, before)
			}
			patches := []Patch{{"full", bytes.NewReader(full)}, {"delta", bytes.NewReader(delta)}}
			if r.doAll(t.Context(), patches); r.err != nil {
				t.Fatal(r.err)
			}
			wantContent(t, r.Destination, next.onto(newVolume(format.Full, ragged,
				[]format.Extent{data(0, ragged)}).onto(before, 1), 1))
			back, err := os.ReadFile(r.Undo)
			if err != nil {
				t.Fatal(err)
			}
			apply(t, r.Destination, bytes.NewReader(back), func(o *Options) { o.system = r.system })
			wantContent(t, r.Destination, before)
		})
	}
}
