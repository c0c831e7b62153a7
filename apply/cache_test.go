package apply

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lvmsync/format"
	"lvmsync/format/storage/devtest"
)

// sectorsRead counts the sectors that were read from a device.
func sectorsRead(t *testing.T, dev string) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(dev), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.Fields(string(b))[2], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What is read back comes from the device, whatever stands between.
func TestReadBackFromDevice(t *testing.T) {
	const size = 8 * mib
	vol := newVolume(format.Full, size, []format.Extent{data(0, 4*mib)},
		[]format.Extent{data(4*mib, 4*mib)})
	patch, _ := vol.patch(t)
	for name, test := range map[string]struct {
		options string // of the file system that has the destination
		loop    bool   // the destination is a loop device on a file there
		create  bool
	}{
		"file":                   {"data=ordered", false, false},
		"file that is created":   {"data=ordered", false, true},
		"journaled file":         {"data=journal", false, false},
		"journaled, created":     {"data=journal", false, true},
		"loop device":            {"data=ordered", true, false},
		"loop device, journaled": {"data=journal", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			disk := devtest.Loop(t, image(t, memory(t), make([]byte, 64*mib)))
			devtest.Run(t, "mkfs.ext4", "-q", "-F", disk)
			path := filepath.Join(mount(t, "ext4", disk, test.options), "image")
			system := &fakeSystem{}
			if !test.create {
				path = image(t, filepath.Dir(path), make([]byte, size))
			}
			if test.loop {
				system.backing = []string{path}
				path = devtest.Loop(t, path)
			}
			devtest.Run(t, "sync", "-f", disk)
			before := sectorsRead(t, disk)
			r := apply(t, path, pipe(patch), func(o *Options) {
				o.Verify, o.system, o.Create = true, fake(system), test.create
			})
			r.wantWarning(t, "")
			if got := sectorsRead(t, disk) - before; got < size>>9 {
				t.Errorf("%d sectors were read from the device, of %d that were to be compared",
					got, size>>9)
			}
			wantContent(t, path, vol.onto(make([]byte, size), 2))
		})
	}
}

// Where the page cache is all there is, that is said.
func TestReadBackFromCache(t *testing.T) {
	vol := smallVolume()
	patch, _ := vol.patch(t)
	for _, fsType := range []string{"tmpfs", "ramfs"} {
		file := image(t, mount(t, fsType, "none", "mode=0700"), garbage(16384))
		dev := devtest.Loop(t, file)
		const says = " can only be read back through the page cache: "
		r := apply(t, file, pipe(patch), func(o *Options) { o.Verify = true })
		r.wantWarning(t, file+says+"its file system can't do without")
		system := &fakeSystem{backing: []string{file}}
		r = apply(t, dev, bytes.NewReader(patch), func(o *Options) {
			o.Verify, o.system = true, fake(system)
		})
		r.wantWarning(t, file+", on which "+dev+" lies,"+says+"it can't be emptied")
	}
}

// What is in memory of the destination before the first look at it may be what could not be
// written.
func TestDropCache(t *testing.T) {
	file := image(t, t.TempDir(), make([]byte, 8*mib))
	dev := devtest.Loop(t, file)
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(garbage(4*mib), 4*mib); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if isEmpty, _ := cacheIsEmpty(f, 4*mib, 4*mib); isEmpty {
		t.Fatal("there is nothing to drop")
	}
	patch, _ := smallVolume().patch(t)
	system := &fakeSystem{backing: []string{file}}
	apply(t, dev, pipe(patch), func(o *Options) { o.system, o.DryRun = fake(system), true })
	if isEmpty, _ := cacheIsEmpty(f, 5*mib, 3*mib); !isEmpty {
		t.Error("what was in memory of the file behind the device still is")
	}
	if system.dropped != 1 {
		t.Errorf("the cache of the device was dropped %d times", system.dropped)
	}
}

func TestCacheIsEmpty(t *testing.T) {
	devtest.NeedRoot(t)
	dirs := map[string]string{"disk": t.TempDir()}
	layers := "lowerdir=" + t.TempDir() + ",upperdir=" + t.TempDir() + ",workdir=" + t.TempDir()
	overlay := t.TempDir()
	// not every kernel knows it
	if exec.Command("mount", "-t", "overlay", "-o", layers, "overlay", overlay).Run() == nil {
		t.Cleanup(func() { devtest.Run(t, "umount", "--lazy", overlay) })
		dirs["overlay"] = overlay
	}
	for name, dir := range dirs {
		f, err := os.OpenFile(image(t, dir, garbage(3*mib)), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		check := func(when string, off, n int64, want bool) {
			t.Helper()
			if got, known := cacheIsEmpty(f, off, n); got != want || !known {
				t.Errorf("%s, %s: empty %v, known %v", name, when, got, known)
			}
			if got, known := mincoreIsEmpty(int(f.Fd()), off, n); got != want || !known {
				t.Errorf("%s, %s: mincore: empty %v, known %v", name, when, got, known)
			}
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		check("written", 0, 3*mib, false)
		if !emptyCache(f, 0, 3*mib) {
			t.Errorf("%s: what was flushed can't be dropped", name)
		}
		check("dropped", 0, 3*mib, true)
		if _, err := f.WriteAt([]byte("x"), 2*mib); err != nil {
			t.Fatal(err)
		}
		check("written again", 0, 3*mib, false)
		check("written elsewhere", 0, 2*mib, true)
		check("written within", 2*mib-4096, 8192, false)
	}
}
