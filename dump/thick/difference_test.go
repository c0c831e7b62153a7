package thick

import (
	"io"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/dump/devmapper"
	"lvmsync/format"
)

// A sized is a volume of which only the size is asked.
type sized int64

func (s sized) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
func (s sized) WillNeed(int64, int64)             {}
func (s sized) Size() int64                       { return int64(s) }

func chunksOf(size int64, numbers ...uint64) chunks {
	return chunks{roaring64.BitmapOf(numbers...), size}
}

// What is sent, and where all of it is read, follows from the versions and what lies between them.
func TestDiffer(t *testing.T) {
	const chunk = 4096
	lv, other := &devmapper.LogicalVolume{UUID: "one"}, &devmapper.LogicalVolume{UUID: "other"}
	type extents = []format.Extent
	for name, tt := range map[string]struct {
		from, to    version
		changed     chunks
		extents     extents
		unchanged   io.ReaderAt
		base, state string
	}{
		"from a snapshot to the origin": {
			version{data: sized(8 * chunk), still: true, lv: lv}, version{data: sized(8 * chunk)},
			chunksOf(chunk, 1, 2, 5),
			extents{{Off: chunk, Len: 2 * chunk}, {Off: 5 * chunk, Len: chunk}},
			sized(8 * chunk), "one", "",
		},
		"to an origin that has grown": {
			version{data: sized(4*chunk + 512), still: true}, version{data: sized(6*chunk + 1024)},
			chunksOf(chunk, 0),
			extents{{Off: 0, Len: chunk}, {Off: 4 * chunk, Len: 2*chunk + 1024}},
			sized(4*chunk + 512), "", "",
		},
		"back from an origin that has grown": {
			version{data: sized(8 * chunk)},
			version{data: sized(5*chunk + 512), still: true, lv: lv},
			chunksOf(chunk, 5), extents{{Off: 5 * chunk, Len: 512}},
			sized(5*chunk + 512), "", "one",
		},
		"to a snapshot from before it grew": {
			version{data: sized(8 * chunk), still: true, lv: lv},
			version{data: sized(6 * chunk), still: true, lv: other},
			chunksOf(chunk, 5, 6, 7), extents{{Off: 5 * chunk, Len: chunk}},
			sized(6 * chunk), "one", "other",
		},
		"to a snapshot from afterwards": {
			version{data: sized(6 * chunk), still: true},
			version{data: sized(8 * chunk), still: true},
			chunksOf(2*chunk, 0),
			extents{{Off: 0, Len: 2 * chunk}, {Off: 6 * chunk, Len: 2 * chunk}},
			sized(8 * chunk), "", "",
		},
		"from what can't be read": {
			version{}, version{data: sized(3 * chunk), still: true},
			chunksOf(chunk), nil, sized(3 * chunk), "", "",
		},
		"to what can't be read outside of the changes": {
			version{}, version{data: sized(3 * chunk)},
			chunksOf(chunk, 2), extents{{Off: 2 * chunk, Len: chunk}}, nil, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			given := tt.changed.set.ToArray()
			src := differ(format.Source{LV: "o"}, tt.from, tt.to, tt.changed)
			var got extents
			for e, err := range src.Extents {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e)
			}
			if !slices.Equal(got, tt.extents) {
				t.Errorf("extents %v, want %v", got, tt.extents)
			}
			if !slices.Equal(tt.changed.set.ToArray(), given) {
				t.Error("what was given has become another set")
			}
			h := src.Header
			if src.Data != tt.to.data || src.Base != tt.from.data || src.Unchanged != tt.unchanged {
				t.Errorf("read are %v, as base %v, as unchanged %v", src.Data,
					src.Base, src.Unchanged)
			}
			if h.Kind != format.Delta || h.VolumeSize != tt.to.data.Size() || h.Source.LV != "o" ||
				h.Granularity != tt.changed.size {
				t.Errorf("header %+v", h)
			}
			base, state := format.Base{}, format.State{}
			if h.Base != nil {
				base = *h.Base
			}
			if h.State != nil {
				state = *h.State
			}
			if base.Snapshot != tt.base || state.Snapshot != tt.state {
				t.Errorf("from %q to %q, want %q and %q", base.Snapshot,
					state.Snapshot, tt.base, tt.state)
			}
		})
	}
}

// What is in one of two lists only is in both together, whichever is first, and neither list
// becomes another.
func TestBothLists(t *testing.T) {
	large, small := chunksOf(16384, 0, 2), chunksOf(4096, 1, 7, 100)
	for _, both := range []chunks{large.or(small), small.or(large), chunks{}.or(large).or(small)} {
		want := []uint64{0, 1, 2, 3, 7, 8, 9, 10, 11, 100}
		if both.size != 4096 || !slices.Equal(both.set.ToArray(), want) {
			t.Errorf("%v in chunks of %d, want %v", both.set.ToArray(), both.size, want)
		}
	}
	if large.set.GetCardinality() != 2 || small.set.GetCardinality() != 3 {
		t.Errorf("the lists have become %v and %v", large.set, small.set)
	}
}
