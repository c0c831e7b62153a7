//go:build lvm

package lvmtest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// A failingStore is a snapshot whose store can fail so that the kernel can't note it there.
type failingStore struct {
	snap, origin, store mapped
	size                int64 // of the store
	under               string
}

// newFailingStore makes what LVM makes for a snapshot with chunks of 4 KiB, whose store lies on the
// device cow, behind its first MiB.
func newFailingStore(t *testing.T, name, vg, cow string) failingStore {
	t.Helper()
	const volume = 16 * mib
	s := failingStore{size: size(t, cow) - mib, under: cow}
	real := newMapped(t, name+"-real", linear(0, volume, plain(t, vg, name+"under", volume), 0))
	zero(t, cow)
	s.store = newMapped(t, name+"-cow", linear(0, s.size, cow, mib))
	s.snap = newMapped(t, name+"-snap", fmt.Sprintf("0 %d snapshot %s %s P 8", volume/512,
		real.path(), s.store.path()))
	s.origin = newMapped(t, name+"-origin",
		fmt.Sprintf("0 %d snapshot-origin %s", volume/512, real.path()))
	fill(t, real.path(), 3) // what was there when the snapshot was made
	return s
}

// fail makes the snapshot invalid by a write to the origin that the store can't take, and mends the
// store: it says that it is valid.
func (s failingStore) fail(t *testing.T) {
	t.Helper()
	s.store.reload(t, fmt.Sprintf("0 %d error", s.size/512))
	poke(t, s.origin.path(), 9, 8*mib)
	s.store.reload(t, linear(0, s.size, s.under, mib))
	if status := sh(t, "dmsetup", "status", s.snap.name); !strings.Contains(status, "Invalid") {
		t.Fatalf("the snapshot's status is %q", status)
	}
	if valid := content(t, s.store.path(), 0, 512)[4]; valid != 1 {
		t.Fatal("the store says that it is not valid: the test proves nothing")
	}
}

// A store on which the kernel has an invalid snapshot is refused, though it says that it is valid,
// by whatever name it goes and however it lies. What only lies beside it is taken.
func TestStoreOfInvalidSnapshot(t *testing.T) {
	vg := newVG(t, "standing", 1)
	image := file(t, "image", make([]byte, 9*mib))
	disk := loop(t, image)
	s := newFailingStore(t, "onloop", vg, disk)
	poke(t, s.origin.path(), 1, 0, mib, 2*mib)
	sibling := plain(t, vg, "sibling", s.size)
	put(t, sibling, whole(t, s.store.path()))
	part := loop(t, image, "-o", fmt.Sprint(mib))
	other := loop(t, image)
	names := map[string]string{
		"its own device":         s.store.path(),
		"a loop device of it":    loop(t, s.store.path()),
		"the same part":          newMapped(t, "samepart", linear(0, s.size, disk, mib)).path(),
		"a second loop device":   part,
		"one on the other":       newMapped(t, "onother", linear(0, s.size, other, mib)).path(),
		"the file behind a loop": loop(t, part),
		"in two pieces": newMapped(t, "pieces", linear(0, mib, other, mib),
			linear(mib, s.size-mib, disk, 2*mib)).path(),
	}
	// Each is taken while the snapshot is sound, and tells of all that has been written until then.
	want := int64(3)
	for range 2 {
		for what, name := range names {
			if n, _ := changed(t, "--cow", name, s.origin.path()); n != want {
				t.Errorf("%s: %d extents, want %d", what, n, want)
			}
			want++
			poke(t, s.origin.path(), byte(want), want*64*kib+12*kib)
		}
	}
	s.fail(t)
	for what, name := range names {
		for _, args := range [][]string{{s.origin.path()}, {"--exact-base", s.origin.path()},
			{"--reverse"}} {
			d := run(t, nil, "lvmsync-dump", append([]string{"--cow", name}, args...)...)
			d.want(t, 1, "/dev/mapper/onloop-snap: the list of changes is incomplete: the "+
				"snapshot's COW store has failed")
			if t.Failed() {
				t.Fatalf("%s, %q", what, args)
			}
		}
	}
	// By its own name, too; and the kernel's word is not taken for an overflow.
	for _, args := range [][]string{{s.snap.path()}, {"--full", s.snap.path()}} {
		d := run(t, nil, "lvmsync-dump", args...)
		d.want(t, 1, "has failed")
		if strings.Contains(d.stderr, "overflow") || strings.Contains(d.stderr, "remove") {
			t.Errorf("not what happened:\n%s", d.stderr)
		}
	}
	// A copy on the volume group's disk, beside the origin, has nothing to do with the snapshot.
	for _, args := range [][]string{{s.origin.path()}, {"--exact-base", s.origin.path()},
		{"--reverse"}} {
		if n, _ := changed(t, append([]string{"--cow", sibling}, args...)...); n != 3 {
			t.Errorf("%q: %d extents, want 3", args, n)
		}
	}
}

// A file that is behind a loop device on which the store lies.
func TestStoreFileOfInvalidSnapshot(t *testing.T) {
	vg := newVG(t, "standing", 1)
	image := file(t, "image", make([]byte, 9*mib))
	const volume = 16 * mib
	dev := loop(t, image)
	real := newMapped(t, "infile-real", linear(0, volume, plain(t, vg, "under", volume), 0))
	s := failingStore{size: 9 * mib, under: dev}
	s.store = newMapped(t, "infile-cow", linear(0, s.size, dev, 0))
	s.snap = newMapped(t, "infile-snap", fmt.Sprintf("0 %d snapshot %s %s P 8", volume/512,
		real.path(), s.store.path()))
	s.origin = newMapped(t, "infile-origin",
		fmt.Sprintf("0 %d snapshot-origin %s", volume/512, real.path()))
	poke(t, s.origin.path(), 1, 0, mib, 2*mib)
	sh(t, "sync")
	run(t, nil, "lvmsync-dump", "--dry-run", "--cow", image, s.origin.path()).want(t, 0, "")
	s.store.reload(t, fmt.Sprintf("0 %d error", s.size/512))
	poke(t, s.origin.path(), 9, 8*mib)
	s.store.reload(t, linear(0, s.size, dev, 0))
	renamed := filepath.Join(filepath.Dir(image), "renamed")
	sh(t, "mv", image, renamed)
	run(t, nil, "lvmsync-dump", "--cow", renamed, s.origin.path()).want(t, 1, "has failed")
}

// The store fails between the first look at its snapshot and the second, or while data are read.
func TestStoreFailsMeanwhile(t *testing.T) {
	vg := newVG(t, "standing", 1)
	cow := plain(t, vg, "cow", 17*mib)
	s := newFailingStore(t, "later", vg, cow)
	var offsets []int64
	for i := range int64(1000) {
		offsets = append(offsets, i*8*kib)
	}
	poke(t, s.origin.path(), 1, offsets...)
	script := fmt.Sprintf(`case " $* " in *" status "*) ;; *) exec "$real" "$@" ;; esac
"$real" "$@"; status=$?
if [ ! -e "${0%%/*}/done" ]; then
  touch "${0%%/*}/done"
  "$real" reload %[1]s --table "0 %[2]d error" && "$real" resume --nolockfs --noflush %[1]s
  dd if=/dev/urandom of=%[3]s bs=4096 count=1 seek=2048 conv=fsync status=none
  "$real" reload %[1]s --table %[4]q && "$real" resume --nolockfs --noflush %[1]s
fi
exit $status`, s.store.name, s.size/512, s.origin.path(), linear(0, s.size, cow, mib))
	d := runCommand(t, nil, withPath(wrapDmsetup(t, script), "lvmsync-dump", "--cow",
		s.store.path(), s.origin.path()))
	d.want(t, 1, "has failed")
	wantNoPatch(t, d.stdout)
}

// The same while data are read: nobody takes the patch, so that it can't end before.
func TestStoreFailsDuringData(t *testing.T) {
	vg := newVG(t, "standing", 1)
	cow := plain(t, vg, "cow", 17*mib)
	s := newFailingStore(t, "during", vg, cow)
	sh(t, "dd", "if=/dev/urandom", "of="+s.origin.path(), "bs=1M", "count=8", "oflag=direct",
		"status=none")
	wantDumpFails(t, 128*kib, func() { s.fail(t) }, "has failed", "--bwlimit", "4M", "--cow",
		s.store.path(), s.origin.path())
}

// Where device-mapper can't be asked, a store that has to do with one of its devices is refused,
// and one that has not is read.
func TestStoreWithoutDmsetup(t *testing.T) {
	vg := newVG(t, "standing", 1)
	disk := disks(t, 2)[1]
	origin := plain(t, vg, "origin", 4*mib)
	fill(t, origin, 1)
	thickSnapshot(t, vg, "snap", "4k")
	poke(t, origin, 2, 0, mib)
	live := dmDevice(t, "standing-snap-cow")
	before, store := whole(t, "/dev/standing/snap"), whole(t, live)
	put(t, disk, store)
	beside := plain(t, vg, "beside", int64(len(store)))
	put(t, beside, store)
	dest := plain(t, vg, "dest", 4*mib)
	put(t, dest, before)
	bin := wrapDmsetup(t, "echo 'Permission denied' >&2; exit 1")
	for _, name := range []string{live, beside} {
		d := runCommand(t, nil, withPath(bin, "lvmsync-dump", "--cow", name, origin))
		d.want(t, 1, "can't be asked")
	}
	d := runCommand(t, nil, withPath(bin, "lvmsync-dump", "--cow", disk, origin))
	d.want(t, 0, "")
	applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
	wantSame(t, origin, dest)
	zero(t, disk)
}
