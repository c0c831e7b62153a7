package blockdev

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"lvmsync/format/storage/devtest"

	"github.com/google/go-cmp/cmp"
)

func ranges(t *testing.T, f *File) []Range {
	t.Helper()
	var all []Range
	for r, err := range f.DataRanges() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// tmpfsImage makes a sparse file of size bytes on a tmpfs, which keeps whole pages, with data of
// the given ranges.
func tmpfsImage(t *testing.T, size int64, data ...Range) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "blockdev-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "image")
	f := devtest.Write(t, path, os.O_CREATE|os.O_WRONLY, nil)
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, r := range data {
		if _, err := f.WriteAt(bytes.Repeat([]byte{1}, int(r.Len)), r.Off); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestDataRanges(t *testing.T) {
	const size = 1<<20 + 5
	for _, tt := range []struct {
		name string
		size int64
		data []Range
		want []Range
	}{
		{"empty file", 0, nil, nil},
		{"all hole", size, nil, []Range{{0, size, true}}},
		{"all data", 5000, []Range{{0, 5000, false}}, []Range{{0, 5000, false}}},
		{"data first", size, []Range{{0, 4096, false}},
			[]Range{{0, 4096, false}, {4096, size - 4096, true}}},
		{"data last", size, []Range{{1 << 20, 5, false}},
			[]Range{{0, 1 << 20, true}, {1 << 20, 5, false}}},
		{"data between", size, []Range{{8192, 4096, false}, {40960, 8192, false}}, []Range{
			{0, 8192, true}, {8192, 4096, false}, {12288, 28672, true}, {40960, 8192, false},
			{49152, size - 49152, true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ranges(t, open(t, tmpfsImage(t, tt.size, tt.data...)))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ranges (-want +got):\n%s", diff)
			}
		})
	}
}

// The file has changed since it was opened: the ranges still cover what it was, and no more.
func TestDataRangesOfFileThatChanged(t *testing.T) {
	const size = 64 << 10
	for _, tt := range []struct {
		name   string
		data   []Range
		change func(f *os.File) error
	}{
		{"shrank", []Range{{0, 4096, false}, {32 << 10, 32 << 10, false}},
			func(f *os.File) error { return f.Truncate(4096) }},
		{"data after data at the end", []Range{{32 << 10, 32 << 10, false}},
			func(f *os.File) error { _, err := f.WriteAt(make([]byte, 4096), size); return err }},
		{"hole after hole at the end", []Range{{0, 4096, false}},
			func(f *os.File) error { _, err := f.WriteAt(make([]byte, 4096), 2*size); return err }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tmpfsImage(t, size, tt.data...)
			f := open(t, path)
			if err := tt.change(devtest.Write(t, path, os.O_WRONLY, nil)); err != nil {
				t.Fatal(err)
			}
			checkCover(t, f)
		})
	}
}

func TestDataRangesOfDevice(t *testing.T) {
	f := open(t, devtest.Loop(t, devtest.Hole(t, 1<<20)))
	if diff := cmp.Diff([]Range{{0, 1 << 20, false}}, ranges(t, f)); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
}

func TestDataRangesStopsWhenAsked(t *testing.T) {
	f := open(t, tmpfsImage(t, 1<<20, Range{8192, 4096, false}))
	for r, err := range f.DataRanges() {
		if err != nil || !r.Hole {
			t.Fatalf("first range: %+v, %v", r, err)
		}
		break
	}
}

func TestDataRangesOfClosedFile(t *testing.T) {
	f := open(t, tmpfsImage(t, 4096))
	f.Close()
	for r, err := range f.DataRanges() {
		if err == nil {
			t.Errorf("got %+v from a closed file", r)
		}
	}
}

// checkCover checks the promise of DataRanges: ascending, no gap, all of the file.
func checkCover(t *testing.T, f *File) {
	t.Helper()
	var end int64
	for _, r := range ranges(t, f) {
		if r.Off != end || r.Len <= 0 {
			t.Fatalf("range %+v after byte %d", r, end)
		}
		end += r.Len
	}
	if end != f.Size() {
		t.Errorf("ranges end at %d, the file at %d", end, f.Size())
	}
}
