package apply

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"lvmsync/format/storage/devtest"

	"golang.org/x/sys/unix"
)

// mount mounts a file system at a new folder.
func mount(t testing.TB, fsType, source, options string) string {
	t.Helper()
	devtest.NeedRoot(t)
	dir := t.TempDir()
	devtest.Run(t, "mount", "-t", fsType, "-o", options, source, dir)
	t.Cleanup(func() { devtest.Run(t, "umount", "--lazy", dir) })
	return dir
}

// ext4Device makes a loop device with an empty ext4.
func ext4Device(t testing.TB, size int64) string {
	t.Helper()
	devtest.NeedRoot(t)
	dev := devtest.Loop(t, image(t, t.TempDir(), make([]byte, size)))
	devtest.Run(t, "mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", dev)
	return dev
}

// A place is where a destination can be.
type place struct {
	name string
	unit int // what its size is a multiple of, in bytes; there is no device of none
	// make makes a destination with this content there.
	make func(t *testing.T, content []byte) string
}

var places = []place{
	{"file on disk", 1,
		func(t *testing.T, content []byte) string { return image(t, t.TempDir(), content) }},
	{"file on tmpfs", 1, func(t *testing.T, content []byte) string {
		return image(t, mount(t, "tmpfs", "none", "size=1g"), content)
	}},
	{"file without holes", 1, func(t *testing.T, content []byte) string {
		return image(t, mount(t, "ramfs", "none", "mode=0700"), content)
	}},
	{"loop device", 512, func(t *testing.T, content []byte) string {
		return devtest.Loop(t, image(t, t.TempDir(), content))
	}},
	{"loop device of 4096-byte sectors", 4096, func(t *testing.T, content []byte) string {
		return devtest.Loop(t, image(t, t.TempDir(), content), "--sector-size", "4096")
	}},
	{"loop device that can't zero", 512, func(t *testing.T, content []byte) string {
		return devtest.Loop(t, image(t, mount(t, "ramfs", "none", "mode=0700"), content))
	}},
}

// canHave tells whether there is a destination of that size at the place.
func (p place) canHave(size int64) bool {
	return size%int64(p.unit) == 0 && (size > 0 || p.unit == 1)
}

// readPastCache reads a file or device with O_DIRECT where that works.
func readPastCache(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		f, err = os.Open(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(buf)
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	all := make([]byte, 0, size)
	for {
		n, err := f.Read(buf)
		all = append(all, buf[:n]...)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// allocated is how much of a file is on the disk, in bytes.
func allocated(t testing.TB, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

// names lists what is in a folder.
func names(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
	return append(paths, hidden...)
}
