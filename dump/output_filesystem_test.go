package dump

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mount mounts a tmpfs and returns its folder.
func mount(t *testing.T, options string) string {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A full file system leaves the old file, and nothing of the new one.
func TestOutputOnFullFileSystem(t *testing.T) {
	dir := mount(t, "size=64k")
	path := filepath.Join(dir, "x")
	writeFile(t, path, "old")
	err := output(t, path, strings.Repeat("x", mib))
	if !errors.Is(err, unix.ENOSPC) ||
		!strings.HasPrefix(err.Error(), "write the patch file "+path+": no space left") {
		t.Errorf("got %v, want %v", err, unix.ENOSPC)
	}
	checkTree(t, dir, map[string]string{"x": "old"})
}

// Neither does one that has no room for a name.
func TestOutputWithoutInodes(t *testing.T) {
	dir := mount(t, "size=64k,nr_inodes=2")
	path := filepath.Join(dir, "x")
	writeFile(t, path, "old")
	if err := output(t, path, "new"); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want %v", err, unix.ENOSPC)
	}
	checkTree(t, dir, map[string]string{"x": "old"})
}

func TestOutputInReadOnlyFolder(t *testing.T) {
	dir := mount(t, "size=64k")
	writeFile(t, filepath.Join(dir, "x"), "old")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("mount read-only: %v", err)
	}
	for _, name := range []string{"x", "new"} {
		if err := output(t, filepath.Join(dir, name), "new"); !errors.Is(err, unix.EROFS) {
			t.Errorf("%s: got %v, want %v", name, err, unix.EROFS)
		}
	}
	checkTree(t, dir, map[string]string{"x": "old"})
}
