package thin

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// sparse opens a file of so many bytes; none for 0.
func sparse(t *testing.T, size int64) *blockdev.File {
	t.Helper()
	if size == 0 {
		return nil
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	f, err := blockdev.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// What two volumes leave unmapped is the same where the same still device is beneath, or nothing.
func TestDifferUpTo(t *testing.T) {
	dev := func(minor uint32, size int64, still bool) beneath {
		return beneath{num: kernel.DevNum{Major: 253, Minor: minor},
			file: sparse(t, size), still: still}
	}
	none := beneath{still: true}
	for name, tt := range map[string]struct {
		a, b beneath
		want int64
	}{
		"nothing":                    {none, none, 0},
		"the same":                   {dev(7, 4096, true), dev(7, 4096, true), 0},
		"the same, written to":       {dev(7, 4096, false), dev(7, 4096, false), 4096},
		"the same, perhaps":          {dev(7, 4096, true), dev(7, 4096, false), 4096},
		"different":                  {dev(7, 4096, true), dev(8, 4096, true), 4096},
		"different, a smaller one":   {dev(7, 4096, true), dev(8, 512, true), 4096},
		"different, a larger one":    {dev(7, 4096, true), dev(8, 8192, true), 8192},
		"one only":                   {dev(7, 4096, true), none, 4096},
		"the other only":             {none, dev(7, 4096, true), 4096},
		"the other only, written to": {none, dev(7, 4096, false), 4096},
	} {
		if got := differUpTo(tt.a, tt.b); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func extentsOf(c *Changes) (list []format.Extent) {
	for e := range c.extents() {
		list = append(list, e)
	}
	return list
}

// What is not mapped is zeros, but data as far as there is something beneath. The last block of
// either may be partial.
func TestPlan(t *testing.T) {
	const block = 64 << 10
	set := func(blocks ...uint64) *roaring64.Bitmap { return roaring64.BitmapOf(blocks...) }
	data, zero := format.Data, format.Zero
	for name, tt := range map[string]struct {
		size, below    int64
		mapped, listed *roaring64.Bitmap
		want           []format.Extent
	}{
		"nothing beneath": {3*block + 512, 0, set(0), set(1, 2, 3),
			[]format.Extent{
				{Len: block, Kind: data},
				{Off: block, Len: 2*block + 512, Kind: zero},
			}},
		"all beneath": {3*block + 512, 3*block + 512, set(0), set(1, 3),
			[]format.Extent{{Len: 2 * block, Kind: data}, {Off: 3 * block, Len: 512, Kind: data}}},
		"a part beneath": {4 * block, block + 512, set(3), set(0, 1, 2),
			[]format.Extent{
				{Len: 2 * block, Kind: data},
				{Off: 2 * block, Len: block, Kind: zero},
				{Off: 3 * block, Len: block, Kind: data},
			}},
		"past the end": {block, 4 * block, set(2), set(0, 3),
			[]format.Extent{{Len: block, Kind: data}}},
		"nothing": {block, block, set(), set(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Changes{
				pool: &pool{target: dmtable.Pool{BlockSectors: block / 512}},
				new: &volume{file: sparse(t, tt.size),
					beneath: beneath{file: sparse(t, tt.below), still: true}},
			}
			s.plan(tt.mapped, tt.listed)
			got := extentsOf(s)
			if !slices.Equal(got, tt.want) || s.planned.Extents != int64(len(got)) {
				t.Errorf("%v (%d), want %v", got, s.planned.Extents, tt.want)
			}
		})
	}
}

// Where a pool can't be asked, all of the volume is data.
func TestListWhole(t *testing.T) {
	s := &Changes{
		pool: &pool{target: dmtable.Pool{BlockSectors: 128}},
		new:  &volume{file: sparse(t, 200_000), beneath: beneath{still: true}},
	}
	if err := s.listWhole(fmt.Errorf("why: %w", ErrHeld)); err != nil {
		t.Fatal(err)
	}
	if got := extentsOf(s); !slices.Equal(got, []format.Extent{{Len: 200_000, Kind: format.Data}}) {
		t.Errorf("%v", got)
	}
	if s.Unasked() == nil {
		t.Error("nobody is told why")
	}
}

// A volume whose origin is read by the kernel below it is no snapshot; and what may have been
// written is no state.
func TestNames(t *testing.T) {
	lv := devmapper.LogicalVolume{VG: "vg", Name: "v", Attr: "Vwi-a-tz--", Origin: "o",
		OriginUUID: "o-1", VGUUID: "g-1", UUID: "v-1"}
	v := &volume{lv: &lv, beneath: beneath{still: true}, file: sparse(t, 512)}
	if !v.isSnapshot() || v.atRest() || !v.unused() {
		t.Error("active and writable, with an origin")
	}
	lv.Attr = "Vri-a-tz--"
	if !v.atRest() {
		t.Error("read-only")
	}
	v.beneath.still = false
	if v.atRest() || v.unused() {
		t.Error("what it reads from may change")
	}
	lv.Origin = ""
	if v.isSnapshot() {
		t.Error("without an origin")
	}
}
