package storage

import (
	"os"
	"path/filepath"
	"testing"

	"lvmsync/format/storage/devtest"
)

func TestOpenNoticesReplacement(t *testing.T) {
	path := devtest.Hole(t, 10)
	other, err := Identify(devtest.Hole(t, 10))
	if err != nil {
		t.Fatal(err)
	}
	if f, err := openAs(other, path); err == nil {
		f.Close()
		t.Error("another file was accepted")
	}
}

func TestIdentity(t *testing.T) {
	a, b := devtest.Hole(t, 1<<20), devtest.Hole(t, 1<<20)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(a, link); err != nil {
		t.Fatal(err)
	}
	fa, fl, fb := open(t, a), open(t, link), open(t, b)
	if fa.ID() != fl.ID() {
		t.Errorf("a file and a link to it: %v, %v", fa.ID(), fl.ID())
	}
	if fa.ID() == fb.ID() {
		t.Errorf("two files, both %v", fa.ID())
	}
	dev := devtest.Loop(t, a)
	if id := open(t, dev).ID(); id == fa.ID() || !id.Device || id.Major != 7 || id.Inode != 0 {
		t.Errorf("loop device: %+v", id)
	}
}
