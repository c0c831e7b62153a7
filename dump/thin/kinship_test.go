package thin

import (
	"errors"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/dump/devmapper"
	"lvmsync/format"
	"lvmsync/format/storage/dmtable"
)

// A volume stems from another one unless LVM's links lead past that.
func TestMayDescend(t *testing.T) {
	s := show(t)
	for name, origin := range map[string]string{
		"o": "", "s": "o", "sibling": "o", "cousin": "sibling", "child": "s", "grandchild": "child",
		"orphan": "", "renamed": "cousin", "gone": "nobody", "loop": "ring", "ring": "loop",
		"onbase": "base", "base": "",
	} {
		fields := map[string]string{"segtype": "thin", "pool_lv": "pool",
			"lv_attr": "Vwi-a-tz--", "origin": origin}
		if origin != "" {
			fields["origin_uuid"] = "uuid-of-" + origin
		}
		if name == "renamed" {
			fields["origin_uuid"] = "uuid-of-another"
		}
		s.LV("vg", name, s.nums["other"], fields)
	}
	known := func(name string) *volume {
		lv, err := devmapper.LV(t.Context(), "vg", name)
		if err != nil {
			t.Fatal(err)
		}
		return &volume{name: name, lv: &lv}
	}
	group, err := devmapper.Volumes(t.Context(), "vg")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"o": false, "sibling": false, "cousin": false, "child": true, "grandchild": true,
		"orphan": true, "renamed": true, "gone": true, "loop": true, "onbase": true,
	} {
		src := &Changes{old: known("s"), new: known(name), sent: sending{group: group}}
		if got, err := src.mayDescend(); err != nil || got != want {
			t.Errorf("%s: %v, want %v (%v)", name, got, want, err)
		}
	}
	src := &Changes{old: known("s"), new: &volume{name: "not LVM's"}}
	if got, err := src.mayDescend(); err != nil || !got {
		t.Errorf("a volume that LVM doesn't know: %v (%v)", got, err)
	}
}

// Of a base with a name that was written to, all that may have been changed is sent to what stems
// from it: what both map alike, and zeros for what neither maps. Of any other, and to any other,
// what is mapped differently.
func TestBaseWritten(t *testing.T) {
	const blocks = 40
	s := show(t)
	m := s.unpack("written/tmeta-closed.img.zst")
	ids := map[string]uint32{"s1": 2, "child": 3, "grandchild": 4, "sibling": 5}
	for name, origin := range map[string]string{
		"s1": "o", "child": "s1", "grandchild": "child", "sibling": "o",
	} {
		s.LV("vg", name, s.nums["other"], map[string]string{"segtype": "thin", "pool_lv": "pool",
			"lv_attr": "Vwi-a-tz--", "origin": origin, "origin_uuid": "uuid-of-" + origin})
	}
	known := func(name string) *volume {
		lv, err := devmapper.LV(t.Context(), "vg", name)
		if err != nil {
			t.Fatal(err)
		}
		return &volume{name: name, lv: &lv, target: dmtable.Thin{ID: ids[name]},
			beneath: beneath{still: true}, file: sparse(t, blocks*poolBlock)}
	}
	set := func(blocks ...uint64) *roaring64.Bitmap { return roaring64.BitmapOf(blocks...) }
	unmapped := roaring64.Or(set(7), roaring64.AndNot(span(20, blocks), set(25)))
	for name, tt := range map[string]struct {
		from, to, base string
		data, zero     *roaring64.Bitmap
		written        bool
	}{
		"child":             {"s1", "child", "uuid-of-s1", set(3, 4, 5, 25), unmapped, true},
		"grandchild":        {"s1", "grandchild", "uuid-of-s1", set(3, 4, 5, 25), unmapped, true},
		"child's child":     {"child", "grandchild", "uuid-of-child", set(5), unmapped, true},
		"no name":           {"s1", "child", "", set(4, 5), set(), false},
		"of one origin":     {"s1", "sibling", "uuid-of-s1", set(0, 3, 4, 5, 7), set(25), false},
		"back to the older": {"child", "s1", "uuid-of-child", set(4, 5), set(), false},
	} {
		t.Run(name, func(t *testing.T) {
			from := known(tt.from)
			src := &Changes{pool: &pool{target: dmtable.Pool{BlockSectors: poolBlock / 512}},
				old: from, new: known(tt.to), kept: from, base: &format.Base{Snapshot: tt.base}}
			if err := errors.Join(src.askNotes(t.Context()),
				src.listChanges(t.Context(), m)); err != nil {
				t.Fatal(err)
			}
			s.checkBlocks(t, src, tt.data, tt.zero)
			if src.BaseWritten() != tt.written {
				t.Errorf("written: %v", src.BaseWritten())
			}
		})
	}
}
