package storage

import (
	"os"
	"testing"

	"lvmsync/format/storage/devtest"

	"golang.org/x/sys/unix"
)

func TestOpenBacking(t *testing.T) {
	for name, test := range map[string]struct {
		size    int64
		options []string
		whole   bool
	}{
		"all of it":           {1 << 20, nil, true},
		"all whole sectors":   {1<<20 + 100, nil, true},
		"not the beginning":   {1 << 20, []string{"--offset", "4096"}, false},
		"not the end":         {1 << 20, []string{"--sizelimit", "4096"}, false},
		"read-only all of it": {1 << 20, []string{"--read-only"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := devtest.Hole(t, test.size)
			dev := devtest.Loop(t, devtest.Loop(t, path, test.options...))
			files, missing, err := OpenBacking(dev)
			if err != nil || len(files) != 1 || len(missing) > 0 {
				t.Fatalf("%v, %v, %v; want one file", files, missing, err)
			}
			f := files[0]
			defer f.Close()
			if id, err := IdentifyFile(f.File); err != nil || id != identityOf(t, path) ||
				f.Path != path {
				t.Errorf("%s is open, %s: %v; want %s", f.Path, id, err, path)
			}
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
			if writes := flags&unix.O_ACCMODE == unix.O_RDWR; err != nil || f.Whole != test.whole ||
				writes != test.whole {
				t.Errorf("whole %v, open for writing %v, %v; want %v", f.Whole, writes, err,
					test.whole)
			}
		})
	}
}

// A file without a name is found where somebody has it open; if nobody has, nobody can have locked
// it.
func TestOpenBackingUnnamed(t *testing.T) {
	path := devtest.Hole(t, 1<<20)
	file := identityOf(t, path)
	dev := devtest.Loop(t, path)
	f := devtest.Write(t, path, os.O_RDONLY, nil)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	files, missing, err := OpenBacking(dev)
	if err != nil || len(files) != 1 || len(missing) > 0 {
		t.Fatalf("%v, %v, %v; want one file", files, missing, err)
	}
	if id, err := IdentifyFile(files[0].File); err != nil || id != file {
		t.Errorf("%s is open, %v; want %s", id, err, file)
	}
	files[0].Close()
	f.Close()
	if files, missing, err = OpenBacking(dev); err != nil || len(files) > 0 || len(missing) > 0 {
		t.Errorf("%v, %v, %v; want none", files, missing, err)
	}
}
