package full

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/storage/devtest"
)

func extents(t *testing.T, v *Volume) []format.Extent {
	t.Helper()
	var list []format.Extent
	for e, err := range v.Source().Extents {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// needHoles skips a test unless the file system tells holes.
func needHoles(t *testing.T) {
	t.Helper()
	f, err := os.Open(image(t, 64*kib, piece{32 * kib, 4 * kib}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if off, err := f.Seek(0, unix.SEEK_DATA); err != nil || off != 32*kib {
		t.Skipf("this file system doesn't tell holes: data at %d, %v", off, err)
	}
}

func TestExtents(t *testing.T) {
	needHoles(t)
	data := func(off, end int64) format.Extent { return format.Extent{Off: off, Len: end - off} }
	hole := func(off, end int64) format.Extent {
		return format.Extent{Off: off, Len: end - off, Kind: format.Zero}
	}
	tests := map[string]struct {
		size   int64
		pieces []piece
		want   []format.Extent
	}{
		"no holes": {64 * kib, []piece{{0, 64 * kib}}, []format.Extent{data(0, 64*kib)}},
		"one hole": {64 * kib, nil, []format.Extent{hole(0, 64*kib)}},
		"hole first": {64 * kib, []piece{{32 * kib, 32 * kib}},
			[]format.Extent{hole(0, 32*kib), data(32*kib, 64*kib)}},
		"hole last": {64 * kib, []piece{{0, 32 * kib}},
			[]format.Extent{data(0, 32*kib), hole(32*kib, 64*kib)}},
		"hole in the middle": {64 * kib, []piece{{0, 4 * kib}, {60 * kib, 4 * kib}},
			[]format.Extent{data(0, 4*kib), hole(4*kib, 60*kib), data(60*kib, 64*kib)}},
		"odd size": {64*kib + 1, []piece{{64 * kib, 1}},
			[]format.Extent{hole(0, 64*kib), data(64*kib, 64*kib+1)}},
		"odd hole": {64*kib + 511, []piece{{0, 4 * kib}},
			[]format.Extent{data(0, 4*kib), hole(4*kib, 64*kib+511)}},
		"one byte":         {1, []piece{{0, 1}}, []format.Extent{data(0, 1)}},
		"one byte of hole": {1, nil, []format.Extent{hole(0, 1)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t, image(t, test.size, test.pieces...))
			if diff := cmp.Diff(test.want, extents(t, s)); diff != "" {
				t.Error(diff)
			}
			for range s.Source().Extents { // may be left early
				break
			}
		})
	}
}

// On a file system with small blocks holes begin and end between ours. They are
// rounded inwards: no data is called a hole, and extents lie on our grid.
func TestSmallHoles(t *testing.T) {
	dir := smallBlocks(t)
	path := filepath.Join(dir, "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(64*kib + 100); err != nil {
		t.Fatal(err)
	}
	for _, p := range []piece{{5 * kib, kib}, {21 * kib, 2 * kib},
		{26 * kib, kib}, {63 * kib, kib}} {
		if _, err := f.WriteAt(bytes.Repeat([]byte{1}, int(p.n)), p.off); err != nil {
			t.Fatal(err)
		}
	}
	if off, err := f.Seek(0, unix.SEEK_DATA); err != nil || off != 5*kib {
		t.Skipf("holes are not told in blocks of 1 KiB: data at %d, %v", off, err)
	}
	want := []format.Extent{
		{Off: 0, Len: 4 * kib, Kind: format.Zero},
		{Off: 4 * kib, Len: 4 * kib},
		{Off: 8 * kib, Len: 12 * kib, Kind: format.Zero},
		{Off: 20 * kib, Len: 8 * kib},
		{Off: 28 * kib, Len: 32 * kib, Kind: format.Zero},
		{Off: 60 * kib, Len: 4 * kib},
		{Off: 64 * kib, Len: 100, Kind: format.Zero},
	}
	if diff := cmp.Diff(want, extents(t, open(t, path))); diff != "" {
		t.Error(diff)
	}
}

// smallBlocks mounts a file system with blocks of 1 KiB.
func smallBlocks(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a file system")
	}
	disk, dir := image(t, 8*mib), t.TempDir()
	devtest.Run(t, "mkfs.ext4", "-q", "-b", "1024", "-O", "^has_journal", disk)
	devtest.Run(t, "mount", "-o", "loop", disk, dir)
	t.Cleanup(func() { devtest.Run(t, "umount", "--lazy", dir) })
	return dir
}
