package storage

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOpenNoticesReplacement(t *testing.T) {
	path := image(t, 10)
	other, err := Identify(image(t, 10))
	if err != nil {
		t.Fatal(err)
	}
	if f, err := openAs(other, path); err == nil {
		f.Close()
		t.Error("another file was accepted")
	}
}

func TestIdentity(t *testing.T) {
	a, b := image(t, 1<<20), image(t, 1<<20)
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
	dev := losetup(t, a)
	if id := open(t, dev).ID(); id == fa.ID() || !id.Device || id.Major != 7 || id.Inode != 0 {
		t.Errorf("loop device: %+v", id)
	}
}
