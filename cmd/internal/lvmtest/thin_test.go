//go:build lvm

package lvmtest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A thin snapshot, inactive as LVM makes them, tells what has changed on its origin: writes, new
// blocks and discards, with block sizes that are no power of two, too, and a last block that is
// partial. Each way of dumping gives the right bytes.
func TestThin(t *testing.T) {
	for _, chunk := range []string{"64k", "192k"} {
		t.Run(chunk, func(t *testing.T) {
			newPool(t, "thin", chunk, "64m")
			const volume = 9*mib + 36*kib
			origin := newThin(t, "thin", "origin", volume)
			change(t, origin, 1, 60, 0)
			thinSnapshot(t, "thin", "origin", "mon")
			dest, exact := plain(t, "thin", "dest", volume), plain(t, "thin", "exact", volume)
			for _, d := range []string{dest, exact} {
				fill(t, d, 9)
				transfer(t, d, "--full", "thin/mon")
			}
			wantSame(t, origin, dest)

			change(t, origin, 2, 30, 6)
			transfer(t, dest, "thin/mon")
			wantSame(t, origin, dest)
			patch := transfer(t, exact, "--exact-base", "thin/mon")
			wantSame(t, origin, exact)
			if len(patch) > 800_000 { // 30 sectors, and what was discarded
				t.Errorf("%d bytes in the exact patch", len(patch))
			}

			// Back again, then forth by another snapshot, while the origin changes.
			transfer(t, dest, "--reverse", "thin/mon")
			thinSnapshot(t, "thin", "origin", "tue")
			change(t, origin, 3, 30, 6)
			wantSnapshot(t, "thin/mon", dest)
			transfer(t, dest, "--to", "thin/tue", "thin/mon")
			wantSnapshot(t, "thin/tue", dest)
			transfer(t, dest, "--to", "thin/mon", "thin/tue") // the older one as the newer
			wantSnapshot(t, "thin/mon", dest)
			for _, lv := range []string{"mon", "tue"} {
				if attr := sh(t, "lvs", "--noheadings", "-o", "lv_attr", "thin/"+
					lv); strings.TrimSpace(attr)[4] == 'a' {
					t.Errorf("%s was left active: %s", lv, attr)
				}
			}
		})
	}
}

// A copy of a thin volume onto a thin volume takes no more of the pool than the volume does, though
// there was data before.
func TestThinStaysThin(t *testing.T) {
	newPool(t, "stays", "64k", "96m")
	origin := newThin(t, "stays", "origin", 24*mib)
	dest := newThin(t, "stays", "dest", 24*mib)
	fill(t, dest, 5)
	change(t, origin, 1, 20, 0)
	thinSnapshot(t, "stays", "origin", "snap")
	transfer(t, dest, "--full", "stays/snap")
	wantSame(t, origin, dest)
	change(t, origin, 2, 20, 4)
	sh(t, "blkdiscard", "-o", "0", "-l", fmt.Sprint(8*mib), origin)
	transfer(t, dest, "stays/snap")
	wantSame(t, origin, dest)
	used := func(lv string) (percent float64) {
		if _, err := fmt.Sscan(sh(t, "lvs", "--noheadings", "-o", "data_percent", lv),
			&percent); err != nil {
			t.Fatal(err)
		}
		return percent
	}
	if o, d := used("stays/origin"), used("stays/dest"); d > o {
		t.Errorf("the destination has %.1f%% mapped, the origin %.1f%%", d, o)
	}
}

// A volume that was extended between snapshot and dump, and one that was reduced.
func TestThinResized(t *testing.T) {
	newPool(t, "resized", "64k", "64m")
	origin := newThin(t, "resized", "origin", 4*mib+12*kib)
	change(t, origin, 1, 40, 0)
	thinSnapshot(t, "resized", "origin", "snap")
	sh(t, "lvextend", "-qq", "-L", fmt.Sprintf("%db", 7*mib), "resized/origin")
	change(t, origin, 2, 40, 3)
	dest := plain(t, "resized", "dest", 7*mib)
	fill(t, dest, 5)
	transfer(t, dest, "--full", "resized/snap")
	transfer(t, dest, "resized/snap")
	wantSame(t, origin, dest)

	thinSnapshot(t, "resized", "origin", "large")
	sh(t, "lvreduce", "-qq", "-y", "-L", fmt.Sprintf("%db", 2*mib), "resized/origin")
	change(t, origin, 3, 10, 0)
	transfer(t, dest, "resized/large")
	wantSame(t, origin, dest)
}

// What isn't mapped is read from an external origin; the snapshot of a volume with one works like
// any other.
func TestThinExternalOrigin(t *testing.T) {
	newPool(t, "external", "64k", "64m")
	base := plain(t, "external", "base", 4*mib)
	fill(t, base, 1)
	sh(t, "lvchange", "-qq", "-an", "external/base")
	sh(t, "lvchange", "-qq", "-pr", "external/base")
	sh(t, "lvcreate", "-qq", "-y", "-s", "--thinpool", "external/pool", "-n", "origin",
		"external/base")
	origin := "/dev/external/origin"
	change(t, origin, 2, 10, 0)
	dest := plain(t, "external", "dest", 4*mib)
	transfer(t, dest, "--full", "external/origin")
	wantSame(t, origin, dest)
	thinSnapshot(t, "external", "origin", "snap")
	change(t, origin, 3, 10, 3)
	transfer(t, dest, "external/snap")
	wantSame(t, origin, dest)
	run(t, nil, "lvmsync-dump", origin).want(t, 1, "its origin lies outside the pool")
}

// A file system that is in use the whole time: what arrives is the later snapshot, and sound.
func TestToBusyFileSystem(t *testing.T) {
	for _, kind := range []string{"thick", "thin"} {
		t.Run(kind, func(t *testing.T) {
			snapshot := func(name string) { thinSnapshot(t, "busy", "origin", name) }
			var origin string
			if kind == "thin" {
				newPool(t, "busy", "64k", "300m")
				origin = newThin(t, "busy", "origin", 64*mib)
			} else {
				newVG(t, "busy", 1)
				origin = plain(t, "busy", "origin", 64*mib)
				chunks := []string{"4k", "16k"}
				snapshot = func(name string) {
					sh(t, "lvcreate", "-qq", "-y", "-s", "-c", chunks[0], "-L", "70m", "-n", name,
						"busy/origin")
					chunks = chunks[1:]
				}
			}
			sh(t, "mkfs.ext4", "-q", origin)
			mnt := mount(t, origin)
			write := func(name string, n int) {
				if err := os.WriteFile(mnt+"/"+name, []byte(strings.Repeat(name, n)),
					0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("one", 400_000)
			snapshot("s1")
			dest := plain(t, "busy", "dest", 64*mib)
			transfer(t, dest, "--full", "busy/s1")
			write("two", 600_000)
			if err := os.Remove(mnt + "/one"); err != nil {
				t.Fatal(err)
			}
			snapshot("s2")
			write("three", 300_000)
			patch := transfer(t, dest, "--to", "busy/s2", "busy/s1")
			if kind == "thin" {
				wantSnapshot(t, "busy/s2", dest)
			} else {
				wantSame(t, "/dev/busy/s2", dest)
				back := run(t, nil, "lvmsync-dump", "--to", "busy/s1", "busy/s2")
				back.want(t, 0, "busy/s1 is older than busy/s2")
				applyPatch(t, []byte(back.stdout), dest).want(t, 0, "")
				wantSame(t, "/dev/busy/s1", dest)
				transfer(t, dest, "--to", "busy/s2", "busy/s1")
				wantSame(t, "/dev/busy/s2", dest)
			}
			sh(t, "fsck.ext4", "-f", "-y", dest) // replays the journal, as mounting would
			if len(patch) < 1000 {
				t.Errorf("%d bytes in the patch", len(patch))
			}
			sh(t, "umount", mnt)
		})
	}
}

// A thick snapshot takes its origin back, in place and by its store alone.
func TestThickReverse(t *testing.T) {
	newVG(t, "back", 1)
	origin := plain(t, "back", "origin", 4*mib+4*kib)
	fill(t, origin, 1)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "16k", "-L", "4m", "-n", "snap", "back/origin")
	before := sum(t, origin, 0)
	change(t, origin, 2, 40, 0)
	copied := plain(t, "back", "copy", 4*mib+4*kib)
	transfer(t, copied, "--full", "back/origin")
	after := sum(t, origin, 0)
	transfer(t, copied, "--reverse", "--exact-base", "back/snap")
	if sum(t, copied, 0) != before {
		t.Error("the copy is not what the snapshot holds")
	}
	transfer(t, copied, "--exact-base", "back/snap")
	if sum(t, copied, 0) != after {
		t.Error("the copy is not what the origin holds")
	}
	// The store alone, copied away.
	store := file(t, "store", []byte(sh(t, "dd", "if="+dmDevice(t, "back-snap-cow"), "iflag=direct",
		"bs=64k", "status=none")))
	d := run(t, nil, "lvmsync-dump", "--reverse", "--cow", store)
	d.want(t, 0, "")
	applyPatch(t, []byte(d.stdout), "--allow-smaller", copied).want(t, 0, "")
	if sum(t, copied, 0) != before {
		t.Error("the copy is not what the store holds")
	}
	// In place.
	transfer(t, origin, "--reverse", "back/snap")
	if sum(t, origin, 0) != before {
		t.Error("the origin was not taken back")
	}
}
