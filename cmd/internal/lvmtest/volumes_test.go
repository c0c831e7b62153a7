//go:build lvm

package lvmtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// newVG makes a volume group on the first n scratch disks, with extents of 4 KiB so that volumes
// can have odd sizes. It's gone when the test ends.
func newVG(t *testing.T, name string, n int) string {
	t.Helper()
	d := disks(t, n)
	sh(t, "vgcreate", append([]string{"-qq", "-y", "-s", "4k", name}, d...)...)
	t.Cleanup(func() {
		sh(t, "vgremove", "-qq", "-ff", "-y", name)
		sh(t, "pvremove", append([]string{"-qq", "-ff", "-y"}, d...)...)
	})
	return name
}

// plain makes a linear volume.
func plain(t *testing.T, vg, name string, size int64) string {
	t.Helper()
	sh(t, "lvcreate", "-qq", "-y", "-Wn", "-Zn", "-L", fmt.Sprintf("%db", size), "-n", name, vg)
	return "/dev/" + vg + "/" + name
}

// thickSnapshot makes a snapshot of vg/origin with room for all of it.
func thickSnapshot(t *testing.T, vg, name, chunk string) {
	t.Helper()
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", chunk, "-l", "110%ORIGIN", "-n", name, vg+"/origin")
}

// newCopied makes a volume group with a volume, a snapshot of that, and a copy of it.
func newCopied(t *testing.T, vg string, size int64, chunk string) (origin, dest string) {
	t.Helper()
	newVG(t, vg, 1)
	origin = plain(t, vg, "origin", size)
	fill(t, origin, 1)
	thickSnapshot(t, vg, "snap", chunk)
	dest = plain(t, vg, "dest", size)
	transfer(t, dest, "--full", vg+"/snap")
	return origin, dest
}

// newPool makes a thin pool with the given block size, and checks at the end that nobody left a
// metadata snapshot behind.
func newPool(t *testing.T, vg, chunk, size string) string {
	t.Helper()
	newVG(t, vg, 1)
	sh(t, "lvcreate", "-qq", "-y", "-c", chunk, "-L", size, "-T", vg+"/pool")
	t.Cleanup(func() { wantNothingHeld(t, vg) })
	return vg + "/pool"
}

// heldRoot is what the pool's status says of its metadata snapshot.
func heldRoot(t *testing.T, vg string) string {
	t.Helper()
	return strings.Fields(sh(t, "dmsetup", "status", vg+"-pool-tpool"))[6]
}

func wantNothingHeld(t *testing.T, vg string) {
	t.Helper()
	if held := heldRoot(t, vg); held != "-" {
		t.Errorf("the metadata snapshot of %s is still reserved, in block %s", vg, held)
	}
}

// newThin makes a thin volume of size bytes.
func newThin(t *testing.T, vg, name string, size int64) string {
	t.Helper()
	sh(t, "lvcreate", "-qq", "-y", "-V", fmt.Sprintf("%db", size), "-T", vg+"/pool", "-n", name)
	return "/dev/" + vg + "/" + name
}

func thinSnapshot(t *testing.T, vg, origin, name string) {
	t.Helper()
	sh(t, "lvcreate", "-qq", "-y", "-s", "-n", name, vg+"/"+origin)
}

// change writes to and discards random parts of a device.
func change(t *testing.T, path string, seed uint64, writes, discards int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 7))
	sectors := size(t, path) / 512
	var offsets []int64
	for range writes {
		offsets = append(offsets, rnd.Int64N(sectors)*512)
	}
	poke(t, path, byte(seed), offsets...)
	for range discards {
		off := rnd.Int64N(sectors)
		n := min(1+rnd.Int64N(1024), sectors-off)
		sh(t, "blkdiscard", "-o", fmt.Sprint(off*512), "-l", fmt.Sprint(n*512), path)
	}
}

// wantSnapshot compares a destination with a thin snapshot, which is active meanwhile.
func wantSnapshot(t *testing.T, lv, dest string) {
	t.Helper()
	sh(t, "lvchange", "-ay", "-K", lv)
	wantSame(t, "/dev/"+lv, dest)
	sh(t, "lvchange", "-an", lv)
}
