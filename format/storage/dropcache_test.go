package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/devtest"
	"lvmsync/format/storage/kernel"
)

// A ramdisk, of old kernels, has nothing but its page cache.
func TestDropCache(t *testing.T) {
	devtest.NeedRoot(t)
	old := flushBuffers
	t.Cleanup(func() { flushBuffers = old })
	for major, want := range map[uint32]int{1: 0, 7: 1, 253: 1} {
		node := filepath.Join(t.TempDir(), "node")
		if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(major, 0))); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(node, unix.O_PATH, 0) // there need be no such device
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		calls := 0
		flushBuffers = func(*os.File) error { calls++; return nil }
		DropCache(f)
		if calls != want {
			t.Errorf("device %d:0: its buffers are flushed %d times, want %d", major, calls, want)
		}
	}
}

func TestDropCacheOfDevice(t *testing.T) {
	dev := devtest.Loop(t, devtest.Hole(t, 1<<20))
	f := devtest.Write(t, dev, os.O_RDWR, marker())
	DropCache(f)
	var in unix.Cachestat_t
	if err := kernel.Control(f, func(fd int) error {
		return unix.Cachestat(uint(fd), &unix.CachestatRange{Len: 1 << 20}, &in, 0)
	}); err != nil {
		t.Skipf("no cachestat here: %v", err)
	}
	if in.Cache != 0 {
		t.Error(fmt.Sprint(in.Cache), "pages are left")
	}
}
