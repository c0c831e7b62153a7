package storage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/devtest"
	"lvmsync/format/storage/kernel"
)

const fsSize = 16 << 20

// marker is a block that is nowhere but where a test writes it.
func marker() []byte { return devtest.Noise(99, 4096) }

// checkFlush flushes what is above the device or file at path, and checks that the marker, written
// there, is in the image file at the bottom of it all by then. (Reading the device itself, past its
// cache, would flush that.)
func checkFlush(t *testing.T, path, image string) {
	t.Helper()
	if holds(t, image, marker()) {
		t.Log("the kernel has flushed the marker already: this run proves nothing")
	}
	if err := open(t, path).Flush(); err != nil {
		t.Fatal(err)
	}
	if !holds(t, image, marker()) {
		t.Error("what was written before Flush has not come down")
	}
}

func holds(t *testing.T, path string, p []byte) bool {
	t.Helper()
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(all, p)
}

func TestFlushPageCacheOfDevice(t *testing.T) {
	disk := devtest.Hole(t, 1<<20)
	dev := devtest.Loop(t, disk)
	devtest.Write(t, dev, os.O_WRONLY, marker())
	checkFlush(t, dev, disk)
}

func TestFlushMountedFileSystem(t *testing.T) {
	disk := devtest.Hole(t, fsSize)
	dev := devtest.Loop(t, disk)
	mkfs(t, dev)
	devtest.Write(t, filepath.Join(mount(t, dev), "file"), os.O_CREATE|os.O_WRONLY, marker())
	checkFlush(t, dev, disk)
}

// Flush as root would reach the file system through the device as well; this is the way that
// reports errors.
func TestSyncMounts(t *testing.T) {
	disk := devtest.Hole(t, fsSize)
	dev := devtest.Loop(t, disk)
	mkfs(t, dev)
	devtest.Write(t, filepath.Join(mount(t, dev), "file"), os.O_CREATE|os.O_WRONLY, marker())
	mounts, err := readMounts()
	if err != nil {
		t.Fatal(err)
	}
	if hidden, err := syncMounts(mountsFrom(mounts, open(t, dev).ID())); hidden != nil ||
		err != nil {
		t.Fatalf("syncMounts = %v, %v", hidden, err)
	}
	if !holds(t, disk, marker()) {
		t.Error("what was written before has not come down")
	}
}

func TestFlushWithoutRoot(t *testing.T) {
	var disk, dev string
	if os.Geteuid() == 0 {
		disk = devtest.Hole(t, 1<<20)
		dev = devtest.Loop(t, disk)
		if err := os.Chmod(dev, 0o604); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dev, 0o600) })
		devtest.Write(t, dev, os.O_WRONLY, marker())
		t.Setenv("TEST_DEVICE", dev)
	}
	said := asNobody(t, func() {
		f, id, err := Open(os.Getenv("TEST_DEVICE"))
		if err == nil {
			err = Flush(f, id)
		}
		fmt.Println(err)
	})
	if said != "<nil>" {
		t.Error(said)
	}
	if !holds(t, disk, marker()) {
		t.Error("what was written before Flush has not come down")
	}
}

func TestFlushBindMountedFile(t *testing.T) {
	disk := devtest.Hole(t, fsSize)
	dev := devtest.Loop(t, disk)
	mkfs(t, dev)
	dir, point := t.TempDir(), devtest.Hole(t, 0)
	devtest.Run(t, "mount", dev, dir)
	devtest.Write(t, filepath.Join(dir, "file"), os.O_CREATE|os.O_WRONLY, marker()).Close()
	mountOn(t, point, "--bind", filepath.Join(dir, "file"))
	devtest.Run(t, "umount", dir)
	checkFlush(t, dev, disk)
}

// The mount table still has the mount, but its path leads to another one by now.
func TestFlushMountHiddenByAnother(t *testing.T) {
	disk := devtest.Hole(t, fsSize)
	dev := devtest.Loop(t, disk)
	mkfs(t, dev)
	dir := mount(t, dev)
	f := devtest.Write(t, filepath.Join(dir, "file"), os.O_CREATE|os.O_WRONLY, marker())
	t.Cleanup(func() { f.Close() })
	mountOn(t, dir, "-t", "tmpfs", "tmpfs")
	checkFlush(t, dev, disk)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Nothing in the mount table leads to a lazily unmounted file system, or to one in another mount
// namespace.
func TestFlushFileSystemOutOfSight(t *testing.T) {
	disk := devtest.Hole(t, fsSize)
	dev := devtest.Loop(t, disk)
	mkfs(t, dev)
	dir := t.TempDir()
	devtest.Run(t, "mount", dev, dir)
	f := devtest.Write(t, filepath.Join(dir, "file"), os.O_CREATE|os.O_WRONLY, marker())
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	checkFlush(t, dev, disk)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestFlushLoopDeviceOnDevice(t *testing.T) {
	disk := devtest.Hole(t, fsSize)
	below := devtest.Loop(t, disk)
	top := devtest.Loop(t, below)
	mkfs(t, top)
	devtest.Write(t, filepath.Join(mount(t, top), "file"), os.O_CREATE|os.O_WRONLY, marker())
	checkFlush(t, below, disk)
}

func TestFlushLoopDeviceOnImageFile(t *testing.T) {
	path := devtest.Hole(t, fsSize)
	dev := devtest.Loop(t, path)
	mkfs(t, dev)
	devtest.Write(t, filepath.Join(mount(t, dev), "file"), os.O_CREATE|os.O_WRONLY, marker())
	checkFlush(t, path, path)
}

// A loop device is read through the page cache of the device that it lies on, which knows nothing
// of what is written to the image by other ways.
func TestFlushEmptiesCacheBelow(t *testing.T) {
	disk := devtest.Hole(t, 1<<20)
	other := devtest.Loop(t, disk)
	top := open(t, devtest.Loop(t, devtest.Loop(t, disk)))
	got, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(3) {
		now := devtest.Noise(seed, 4096)
		f, err := os.OpenFile(other, os.O_WRONLY|unix.O_SYNC, 0)
		if err == nil {
			_, err = f.WriteAt(now, 8192)
			f.Close()
		}
		if err == nil {
			err = top.Flush()
		}
		if err == nil {
			_, err = top.ReadAt(got, 8192) // whole pages to a page: it's opened for direct reads
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, now) {
			t.Errorf("%d: what was there before was read", seed)
		}
	}
}

func TestFlushPartition(t *testing.T) {
	disk := devtest.Hole(t, fsSize+1<<20)
	dev := devtest.Loop(t, disk)
	part := addPartition(t, dev)
	mkfs(t, part)
	devtest.Write(t, filepath.Join(mount(t, part), "file"), os.O_CREATE|os.O_WRONLY, marker())
	checkFlush(t, dev, disk)
}

// addPartition makes a partition of fsSize bytes on a loop device that is 1 MiB larger. The kernel
// is told of it directly: it may not know any kind of partition table.
func addPartition(t *testing.T, dev string) string {
	t.Helper()
	devtest.Run(t, "addpart", dev, "1", "2048", strconv.Itoa(fsSize>>9))
	return dev + "p1"
}

func TestFlushNamesWhatFailed(t *testing.T) {
	dev := devtest.Loop(t, devtest.Hole(t, 1<<20))
	f := open(t, dev)
	fakeSys(t, map[string]string{
		sysFolder(f.ID()) + "/holders/dm-7/dev": "254:77",
		"dev/block/254:77/dev":                  "254:77",
		"dev/block/254:77/uevent":               "DEVNAME=no-such-node\n",
		"dev/block/254:77/dm/name":              "vg-crypt",
	})
	err := f.Flush()
	want := "flush " + dev + ": dm-7 (vg-crypt), which is stacked on it: open /dev/no-such-node " +
		"for direct reading: no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestOnMount(t *testing.T) {
	dir := t.TempDir()
	below, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer below.Close()
	devtest.NeedRoot(t)
	mountOn(t, dir, "-t", "tmpfs", "tmpfs")
	mounts, err := readMounts()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if m.Mountpoint != dir {
			continue
		}
		f, err := openMount(m)
		if f == nil || err != nil {
			t.Fatalf("openMount: %v, %v", f, err)
		}
		defer f.Close()
		if onMount(below, m.ID) {
			t.Error("a file below the mount counts as on it")
		}
		return
	}
	t.Errorf("%s is not in the mount table", dir)
}

func sysFolder(id ID) string {
	rel, _ := strings.CutPrefix(id.Dir(), kernel.Sys+"/")
	return rel
}
