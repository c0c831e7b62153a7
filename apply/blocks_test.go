package apply

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"lvmsync/format"
	"lvmsync/format/storage"
	"lvmsync/format/storage/devtest"
)

const kib = 1 << 10

// How [off, end) is cut where blocks are.
func TestSplit(t *testing.T) {
	b := poolBlocks{parts: []storage.ThinPart{
		{Off: 100, Len: 1000, First: -10, Block: 64},
		{Off: 2000, Len: 130, First: 2000, Block: 64},
	}}
	tests := []struct {
		off, end int64
		want     string // partial ones in brackets
	}{
		{0, 50, "0-50"},
		{0, 118, "0-100 100-118"}, // the first block begins before the part
		{0, 117, "0-100 (100-117)"},
		{100, 300, "100-246 (246-300)"},
		{101, 300, "(101-118) 118-246 (246-300)"},
		{120, 130, "(120-130)"},
		{118, 182, "118-182"},
		{150, 200, "(150-182) (182-200)"},
		{1014, 3000, "1014-1100 1100-2000 2000-2130 2130-3000"},
		{1080, 2129, "(1080-1100) 1100-2000 2000-2128 (2128-2129)"},
		{2100, 2130, "(2100-2128) 2128-2130"},
	}
	for _, tt := range tests {
		var got []byte
		for e, partial := range b.split(tt.off, tt.end) {
			form := " %d-%d"
			if partial {
				form = " (%d-%d)"
			}
			got = fmt.Appendf(got, form, e.Off, e.End())
		}
		if string(bytes.TrimSpace(got)) != tt.want {
			t.Errorf("[%d, %d): %s, want %s", tt.off, tt.end, got, tt.want)
		}
	}
}

// What is written to a pool without zeroing, at the edges of its blocks and of the
// device.
func TestPoolEdges(t *testing.T) {
	const size, block = 5*64*kib + 4096 + 512, 64 * kib // the last block is a page and a sector
	tests := []struct {
		name    string
		kind    format.Kind
		volume  int64
		extents []format.Extent
	}{
		{"a word", format.Delta, size, []format.Extent{data(512, 512)}},
		{"a block", format.Delta, size, []format.Extent{data(block, block)}},
		{"around a block", format.Delta, size, []format.Extent{data(block-512, block+1024)}},
		{"zeros beside a word", format.Delta, size,
			[]format.Extent{zero(0, 512), data(512, 512), zero(1024, 4*block)}},
		{"zeros to the end", format.Delta, size,
			[]format.Extent{data(512, 512), zero(4*block, block+4608)}},
		{"all zeros", format.Full, size, []format.Extent{zero(0, size)}},
		{"full", format.Full, size, []format.Extent{zero(0, block+512), data(block+512, 512),
			zero(block+1024, size-block-1024)}},
		{"smaller volume", format.Full, 2*block + 512,
			[]format.Extent{zero(0, 2*block), data(2*block, 512)}},
		{"smaller volume, zeros", format.Full, 2*block + 512,
			[]format.Extent{data(0, 2*block), zero(2*block, 512)}},
	}
	p := newPool(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vol := newVolume(tt.kind, tt.volume, tt.extents)
			patch, _ := vol.patch(t)
			for _, last := range []int64{0, 5*block - 512, size - 512} { // a word that is there
				for _, verify := range []bool{false, true} {
					old := make([]byte, size)
					copy(old[last:], garbage(512))
					v := p.volume(t, old, block, 0)
					apply(t, v.path, pipe(patch), func(o *Options) {
						o.system, o.Verify = fake(&fakeSystem{parts: []storage.ThinPart{v.part}}),
							verify
					})
					if got := v.device(t); !bytes.Equal(got, vol.onto(old, 1)) {
						t.Errorf("word at %d, verify %v: it holds something else", last, verify)
					}
				}
			}
		})
	}
}

// Large zeros leave no block mapped.
func TestPoolStaysThin(t *testing.T) {
	const block = 64 * kib
	old := garbage(16 * block)
	v := newPool(t).volume(t, old, block, 0)
	vol := newVolume(format.Delta, 16*block, []format.Extent{zero(block-512, 14*block)})
	patch, _ := vol.patch(t)
	apply(t, v.path, pipe(patch), func(o *Options) {
		o.system = fake(&fakeSystem{parts: []storage.ThinPart{v.part}})
	})
	if got := v.device(t); !bytes.Equal(got, vol.onto(old, 1)) {
		t.Error("it holds something else")
	}
	if len(v.mapped) != 3 {
		t.Errorf("%d blocks are mapped, want 3", len(v.mapped))
	}
}

// A delta to such a pool warns of what a failing power would do, once, and only if it
// fills a block.
func TestPoolWarning(t *testing.T) {
	p := newPool(t)
	for _, undo := range []bool{false, true} {
		vol := newVolume(format.Delta, 256*kib,
			[]format.Extent{data(512, 512), data(100*kib, 512), data(104*kib, 512)})
		patch, _ := vol.patch(t)
		v := p.volume(t, make([]byte, 256*kib), 64*kib, 0)
		r := newRun(v.path)
		r.system = fake(&fakeSystem{parts: []storage.ThinPart{v.part}})
		text := "the thin pool pool, which does not zero its blocks: " +
			"if the power fails during this run, what the patch leaves alone may be lost, too; " +
			"then start anew"
		if undo {
			r.Undo = t.TempDir() + "/undo"
			text = "then apply the undo patch before anything else"
		}
		if r.do(t.Context(), pipe(patch)); r.err != nil {
			t.Fatal(r.err)
		}
		r.wantWarning(t, text)
		if r = apply(t, v.path, pipe(patch), func(o *Options) {
			o.system = fake(&fakeSystem{parts: []storage.ThinPart{v.part}})
		}); len(r.warnings) > 0 {
			t.Errorf("warned though nothing is filled: %q", r.warnings)
		}
	}
}

// Where it can't be told what a device stands on, it isn't written.
func TestUnknownPool(t *testing.T) {
	old := garbage(mib)
	path := devtest.Loop(t, image(t, t.TempDir(), old))
	vol := newVolume(format.Delta, mib, []format.Extent{data(512, 512)})
	patch, _ := vol.patch(t)
	r := newRun(path)
	r.system = fake(&fakeSystem{thinErr: errors.New("no answer")})
	r.do(t.Context(), pipe(patch)).wantError(t, nil,
		"no answer; have the pool zero its blocks (lvchange -Zy); --force writes all the same")
	wantContent(t, path, old)
	r.Force = true
	if r.do(t.Context(), pipe(patch)); r.err != nil {
		t.Fatal(r.err)
	}
	wantContent(t, path, vol.onto(old, 1))
	if !slices.ContainsFunc(r.warnings, func(w string) bool {
		return bytes.Contains([]byte(w), []byte("no answer"))
	}) {
		t.Errorf("warnings %q", r.warnings)
	}
}

// What is in a block that the next write may be in, too, is read back later.
func TestHoldBack(t *testing.T) {
	record := func(e format.Extent) format.Record { return format.Record{Extent: e} }
	blocks := poolBlocks{parts: []storage.ThinPart{{Len: 1024 * kib, Block: 64 * kib}}}
	tests := []struct {
		name             string
		blocks           poolBlocks
		all, now, laters []format.Record
	}{
		{"no pool", poolBlocks{}, []format.Record{record(zero(0, 100*kib))},
			[]format.Record{record(zero(0, 100*kib))}, nil},
		{"data", blocks, []format.Record{record(data(0, 4096)), record(data(60*kib, 8192)),
			record(data(72*kib, 4096))}, []format.Record{record(data(0, 4096))},
			[]format.Record{record(data(60*kib, 8192)), record(data(72*kib, 4096))}},
		{"zeros", blocks, []format.Record{record(zero(0, 200*kib))},
			[]format.Record{record(zero(0, 192*kib))},
			[]format.Record{record(zero(192*kib, 8*kib))}},
		{"a block ends", blocks, []format.Record{record(zero(0, 128*kib))},
			[]format.Record{record(zero(0, 64*kib))},
			[]format.Record{record(zero(64*kib, 64*kib))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &readBack{dest: &destination{blocks: tt.blocks}, expect: slices.Clone(tt.all)}
			later := r.holdBack()
			if !slices.Equal(r.expect, tt.now) || !slices.Equal(later, tt.laters) {
				t.Errorf("now %v, later %v; want %v, %v", r.expect, later, tt.now, tt.laters)
			}
		})
	}
}
