//go:build lvm

package lvmtest

import (
	"os"
	"strings"
	"testing"
)

// The origin of a thin snapshot may be that of a thick one, too: its device then lies on the thin
// one. So may the snapshot.
func TestThinBelowThick(t *testing.T) {
	const size = 4*mib + 12*kib
	newPool(t, "below", "64k", "64m")
	origin := newThin(t, "below", "origin", size)
	change(t, origin, 1, 40, 0)
	thinSnapshot(t, "below", "origin", "snap")
	dest := plain(t, "below", "dest", size)
	fill(t, dest, 9)
	transfer(t, dest, "--full", "below/snap")

	change(t, origin, 2, 40, 4)
	thickSnapshot(t, "below", "thick", "4k")
	change(t, origin, 4, 20, 0)
	if extents, bytes := changed(t, "--full", "below/origin"); bytes != size || extents < 2 {
		t.Errorf("%d extents, %d bytes: what is mapped is not told", extents, bytes)
	}
	transfer(t, dest, "below/snap")
	wantSame(t, origin, dest)
	transfer(t, dest, "--reverse", "below/snap")
	wantSnapshot(t, "below/snap", dest)
	transfer(t, dest, "--to", "below/origin", "below/snap")
	wantSame(t, origin, dest)
	transfer(t, dest, "--reverse", "below/thick")
	wantSame(t, "/dev/below/thick", dest)
	transfer(t, dest, "below/thick")
	wantSame(t, origin, dest)

	// A buffered write of somebody who keeps the volume open is above both.
	holder := hold(t, origin, 1*mib)
	transfer(t, dest, "below/snap")
	holder.Close()
	wantSame(t, origin, dest)

	sh(t, "lvchange", "-qq", "-ay", "-K", "below/snap")
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-L", "2m", "-n", "onsnap", "below/snap")
	sh(t, "lvchange", "-qq", "-an", "below/snap")
	change(t, origin, 3, 10, 0)
	transfer(t, dest, "below/snap")
	wantSame(t, origin, dest)
	transfer(t, dest, "--reverse", "below/snap")
	wantSnapshot(t, "below/snap", dest)
}

// What an origin maps tells nothing of what it holds while a snapshot is being merged into it.
func TestThinMergedInto(t *testing.T) {
	newPool(t, "into", "64k", "32m")
	origin := newThin(t, "into", "origin", 4*mib)
	fill(t, origin, 1)
	thinSnapshot(t, "into", "origin", "snap")
	thickSnapshot(t, "into", "thick", "4k")
	fill(t, origin, 2)
	holder := hold(t, origin, 0)
	sh(t, "lvconvert", "-qq", "-y", "--merge", "into/thick")
	run(t, nil, "lvmsync-dump", "--dry-run", "into/snap").want(t, 0, "")
	holder.Close()
	sh(t, "lvchange", "-qq", "-an", "into/origin")
	sh(t, "lvchange", "-qq", "-ay", "--poll", "n", "into/origin") // merges, and stays as it is then
	run(t, nil, "lvmsync-dump", "into/snap").want(t, 1, "a snapshot is being merged into it")
}

// hold opens a device for writing, and leaves a write in its cache.
func hold(t *testing.T, path string, off int64) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteAt([]byte("not flushed"), off); err != nil {
		t.Fatal(err)
	}
	return f
}

// A thin volume that is an external origin in another pool is below a device of its own, too.
func TestThinIsExternal(t *testing.T) {
	const size = 3 * mib
	newPool(t, "both", "64k", "32m")
	sh(t, "lvcreate", "-qq", "-y", "-c", "64k", "-L", "16m", "-T", "both/second")
	origin := newThin(t, "both", "origin", size)
	change(t, origin, 1, 20, 0)
	thinSnapshot(t, "both", "origin", "snap")
	change(t, origin, 2, 20, 3)
	sh(t, "lvchange", "-qq", "-an", "both/origin")
	sh(t, "lvchange", "-qq", "-pr", "both/origin")
	sh(t, "lvcreate", "-qq", "-y", "-s", "--thinpool", "both/second", "-n", "clone", "both/origin")
	dest := plain(t, "both", "dest", size)
	fill(t, dest, 9)
	transfer(t, dest, "--full", "both/snap")
	transfer(t, dest, "both/snap")
	wantSame(t, "/dev/both/clone", dest)
	if attr := strings.TrimSpace(sh(t, "lvs", "--noheadings", "-o", "lv_attr",
		"both/origin")); attr[4] == 'a' {
		t.Errorf("the origin was left active: %s", attr)
	}
	sh(t, "lvchange", "-qq", "-ay", "both/origin")
	transfer(t, dest, "both/snap")
	wantSame(t, origin, dest)
	run(t, nil, "lvmsync-dump", "both/clone").want(t, 1, "its origin lies outside the pool")
	run(t, nil, "lvmsync-dump", "--to", "both/clone", "both/origin").want(t, 1,
		"in different pools")
}
