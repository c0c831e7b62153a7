//go:build lvm

package lvmtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const outputDisk = 8 * mib // file system for the patch

// The power fails at any moment while a patch replaces another one: there is the old one or the new
// one, whole; and once the dump has said that it's done, the new one. The file system does nothing
// for that by itself.
func TestOutputPowerLoss(t *testing.T) {
	rnd := seeded(t)
	vg := newVG(t, "output", 1)
	under, log, disk := plain(t, vg, "under", outputDisk), plain(t, vg, "log", 48*mib),
		plain(t, vg, "disk", outputDisk)
	image := file(t, "image", newPair(3, mib).old)
	sh(t, "mkfs.ext4", "-q", "-b", "1024", "-J", "size=1", under)
	mnt := mount(t, under)
	put := func(path string) {
		run(t, nil, "lvmsync-dump", "--full", image, "-o", path).want(t, 0,
			"")
	}
	put(filepath.Join(mnt, "patch"))
	old, err := os.ReadFile(filepath.Join(mnt, "patch"))
	if err != nil {
		t.Fatal(err)
	}
	sh(t, "umount", mnt)
	before := whole(t, under)

	sh(t, "blkdiscard", "-z", log)
	m := newMapped(t, "logged-output", fmt.Sprintf("0 %d log-writes %s %s", outputDisk/512, under,
		log))
	mnt = mount(t, m.path(), "-o", "noauto_da_alloc")
	put(filepath.Join(mnt, "patch"))
	sh(t, "dmsetup", "message", m.name, "0", "mark", "done")
	now, err := os.ReadFile(filepath.Join(mnt, "patch"))
	if err != nil {
		t.Fatal(err)
	}
	sh(t, "umount", mnt)
	m.remove(t)
	list, marks := readLog(t, log)
	if len(marks) == 0 {
		t.Fatal("no mark")
	}
	done := marks[0] // the kernel adds one of its own when the device is removed
	t.Logf("%d writes, %d of them before the end of the dump", len(list), done)
	if done < 3 {
		t.Fatal("nothing was written before the end of the dump")
	}
	points := []int{1, done, done}
	for len(points) < times(t, 12) {
		points = append(points, 1+rnd.IntN(len(list)))
	}
	seen := map[string]int{}
	for _, n := range points {
		put := survivors(before, list[:n], rnd)
		got := afterCrash(t, disk, put)
		switch {
		case bytes.Equal(got, now):
			seen["new"]++
		case !bytes.Equal(got, old):
			t.Errorf("after %d of %d writes there are %d bytes, neither the old patch nor the "+
				"new one", n, len(list), len(got))
		case n >= done:
			t.Errorf("after %d writes, %d of them when the dump had said that it's done, there "+
				"is the old patch", n, done)
		default:
			seen["old"]++
		}
	}
	t.Log(seen)
	if seen["new"] == 0 || seen["old"] == 0 {
		t.Errorf("not both were seen: %v", seen)
	}
}

// survivors is what a disk with a cache may hold after writes: all that was flushed, and any part
// of the rest.
func survivors(before []byte, list []logged, rnd *rand.Rand) []byte {
	flushed := 0
	for i, e := range list {
		if e.flush {
			flushed = i
		}
	}
	b := slices.Clone(before)
	for i, e := range list {
		if i < flushed || e.fua || rnd.IntN(2) == 0 {
			copy(b[e.off:], e.data)
		}
	}
	return b
}

// afterCrash is what the file patch of a file system holds.
func afterCrash(t *testing.T, disk string, content []byte) []byte {
	t.Helper()
	put(t, disk, content)
	mnt := mount(t, disk)
	defer sh(t, "umount", mnt)
	b, err := os.ReadFile(filepath.Join(mnt, "patch"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
