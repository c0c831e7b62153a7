package apply

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format"
)

// joined is what runs yields.
type joined struct {
	Extent format.Extent
	Data   string
}

func TestRuns(t *testing.T) {
	tests := []struct {
		name    string
		extents []format.Extent
		data    string
		want    []joined
	}{
		{"one", []format.Extent{data(10, 2)}, "ab", []joined{{data(10, 2), "ab"}}},
		{"touching data", []format.Extent{data(0, 1), data(1, 2), data(3, 1)}, "abcd",
			[]joined{{data(0, 4), "abcd"}}},
		{"a gap", []format.Extent{data(0, 1), data(2, 1)}, "ab",
			[]joined{{data(0, 1), "a"}, {data(2, 1), "b"}}},
		{"touching zeros", []format.Extent{zero(0, 4), zero(4, 4), zero(9, 1)}, "",
			[]joined{{zero(0, 8), ""}, {zero(9, 1), ""}}},
		{"both kinds", []format.Extent{data(0, 1), zero(1, 1), data(2, 1), data(3, 1), zero(4, 1),
			zero(5, 1), data(6, 1)}, "abcd", []joined{{data(0, 1), "a"}, {zero(1, 1), ""},
			{data(2, 2), "bc"}, {zero(4, 2), ""}, {data(6, 1), "d"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &format.Segment{Data: []byte(tt.data)}
			for _, e := range tt.extents {
				s.Records = append(s.Records, format.Record{Extent: e})
			}
			var got []joined
			for e, data := range runs(s) {
				got = append(got, joined{e, string(data)})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			for range runs(s) {
				break // must not panic
			}
		})
	}
}

// The end of a volume near 2^63 must not overflow anything.
func TestExtentsAtTheLimit(t *testing.T) {
	const end = 1<<63 - 1
	tests := []struct {
		size, volume int64 // of the destination, and of the volume in the end
		cut, behind  int64
	}{
		{0, end, 1023, 0}, {512, end, 1023, 0}, {end - 512, end, 512, 0}, {end, end, 0, 0},
		{end - 512, end - 256, 256, 256}, {end - 512, end - 512, 0, 512},
		{end - 512, 512, 0, 512}, {end, 512, 0, 0},
	}
	for _, tt := range tests {
		d := &destination{size: tt.size}
		r := &replay{dest: d, planner: planner{dest: d, size: tt.volume, dryRun: true},
			writer: writer{dest: d, dryRun: true, progress: func(Stage, int64) {}}}
		s := &format.Segment{Records: []format.Record{{Extent: data(end-1023, 511)},
			{Extent: zero(end-512, 512)}}, Data: make([]byte, 511)}
		if err := r.replay(t.Context(), &fetched{segment: s}); err != nil {
			t.Fatal(err)
		}
		if p := r.planner; p.cut != tt.cut || p.behind != tt.behind || r.writer.through != end {
			t.Errorf("destination of %d bytes, volume of %d: %d cut, %d behind it, through %d",
				tt.size, tt.volume, p.cut, p.behind, r.writer.through)
		}
	}
}
