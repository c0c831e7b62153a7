package patchcmd

import (
	"math"
	"slices"
	"testing"

	"lvmsync/format"
)

func extent(off, size int64) format.Extent { return format.Extent{Off: off, Len: size} }

func TestMap(t *testing.T) {
	const sector = 512
	tests := []struct {
		name    string
		size    int64
		cells   int
		extents []format.Extent
		bytes   []int64
		want    string
	}{
		{"nothing", 4000, 4, nil, []int64{0, 0, 0, 0}, "    "},
		{"everything", 4096, 4, []format.Extent{extent(0, 4096)}, []int64{1024, 1024, 1024, 1024},
			"████"},
		{"everything in pieces", 2048, 2,
			[]format.Extent{extent(0, 512), extent(512, 1024), extent(1536, 512)},
			[]int64{1024, 1024}, "██"},
		{"one cell", 1 << 20, 1, []format.Extent{extent(4096, 4096)}, []int64{4096}, "░"},
		{"over a border", 4096, 2, []format.Extent{extent(1536, 1024)},
			[]int64{512, 512}, "░░"},
		{"over cells", 8192, 4, []format.Extent{extent(1024, 6144)},
			[]int64{1024, 2048, 2048, 1024}, "▒██▒"},
		{"begins and ends at borders", 8192, 4,
			[]format.Extent{extent(2048, 2048), extent(6144, 2048)}, []int64{0, 2048, 0, 2048},
			" █ █"},
		{"shades", 6 * 3072, 6, []format.Extent{extent(0, 1), extent(3072, 1023),
			extent(6144, 1024), extent(9216, 2047),
			extent(12288, 2048), extent(15360, 3071)}, []int64{1, 1023, 1024, 2047, 2048, 3071},
			"░░▒▒▓▓"},
		{"more cells than sectors", 2 * sector, 80, []format.Extent{extent(512, 512)},
			[]int64{0, 512}, " █"},
		{"less than a sector", 10, 80, []format.Extent{extent(0, 10)}, []int64{10}, "█"},
		{"an odd end", 1034, 80, []format.Extent{extent(1024, 10)}, []int64{0, 0, 10}, "  ░"},
		{"cells of unequal size", 3 * sector, 2, []format.Extent{extent(0, 512), extent(1024, 512)},
			[]int64{512, 512}, "▓▓"},
		{"as large as can be", math.MaxInt64, 3,
			[]format.Extent{extent(0, 512), extent(math.MaxInt64-511, 511)}, []int64{512, 0, 511},
			"░ ░"},
		{"as large as can be, all of it", math.MaxInt64, 2,
			[]format.Extent{extent(0, math.MaxInt64)}, []int64{1<<62 - 1, 1 << 62}, "██"},
		{"a sector less than a cell", 1 << 50, 1, []format.Extent{extent(0, 1<<50-512)},
			[]int64{1<<50 - 512}, "▓"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newVolumeMap(tt.size, tt.cells)
			for _, e := range tt.extents {
				m.add(e)
			}
			if !slices.Equal(m.bytes, tt.bytes) || m.String() != tt.want {
				t.Errorf("%d, %q, want %d, %q", m.bytes, m, tt.bytes, tt.want)
			}
			checkCells(t, m, tt.size)
		})
	}
}

// checkCells wants cells that cover the volume, none of them empty or overfull.
func checkCells(t *testing.T, m *volumeMap, size int64) {
	t.Helper()
	end := int64(0)
	for i, c := range m.cells() {
		if c.Offset != end || c.Length < 1 || c.Bytes > c.Length {
			t.Fatalf("cell %d is %+v, the one before ends at %d", i, c, end)
		}
		end += c.Length
	}
	if end != size {
		t.Errorf("the cells end at %d, the volume at %d", end, size)
	}
}

// Whatever the sizes, cells are about equal, and no change is lost.
func TestMapSizes(t *testing.T) {
	for _, size := range []int64{1, 511, 512, 513, 4096, 100003, 1<<40 + 512, math.MaxInt64 - 1,
		math.MaxInt64} {
		for _, cells := range []int{1, 2, 3, 79, 80, 1000, maxCells} {
			m := newVolumeMap(size, cells)
			checkCells(t, m, size)
			first := m.length(0)
			for i := range m.bytes {
				if d := m.length(i) - first; d < -1 || d > 1 {
					t.Fatalf("%d bytes in %d cells: cell %d has %d bytes, the first %d", size,
						cells, i, m.length(i), first)
				}
			}
			m.add(extent(size/2, min(size-size/2, 512)))
			changed := int64(0)
			for i, n := range m.bytes {
				changed += n
				if (n > 0) != (shade(n, m.length(i)) != ' ') {
					t.Fatalf("%d bytes in %d cells: %d bytes are shown as %q", size, cells, n,
						shade(n, m.length(i)))
				}
			}
			if changed != min(size-size/2, 512) {
				t.Errorf("%d bytes in %d cells: %d bytes are in the map", size, cells, changed)
			}
		}
	}
}

func TestScale(t *testing.T) {
	for cells, want := range map[int]string{1: "-", 5: "-----", 9: "0-1.0 MiB", 8: "--------",
		12: "0----1.0 MiB"} {
		p := patchInfo{volume: newVolumeMap(1<<20, cells)}
		p.Header.VolumeSize = 1 << 20
		if got := p.scale(); got != want {
			t.Errorf("%d cells: %q, want %q", cells, got, want)
		}
	}
}
