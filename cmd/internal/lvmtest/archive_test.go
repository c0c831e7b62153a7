//go:build lvm

package lvmtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder is an archive of a volume, and a destination that is restored from it.
type folder struct {
	t    *testing.T
	path string
	dest string
}

func newFolder(t *testing.T, dest string) *folder {
	return &folder{t, t.TempDir(), dest}
}

// add dumps a patch into the folder.
func (f *folder) add(name string, args ...string) {
	f.t.Helper()
	args = append(args, "-o", filepath.Join(f.path, name))
	r := run(f.t, nil, "lvmsync-dump", args...)
	r.want(f.t, 0, "")
	if strings.Contains(r.stderr, "of another volume") {
		f.t.Errorf("the archive is taken for that of another volume:\n%s", r.stderr)
	}
}

// wantNewest restores the newest state, which must be what the device holds, and is in no doubt.
func (f *folder) wantNewest(device string) {
	f.t.Helper()
	fill(f.t, f.dest, 200)
	run(f.t, nil, "lvmsync-apply", f.path, f.dest).want(f.t, 0, "")
	wantSame(f.t, device, f.dest)
	list := run(f.t, nil, "lvmsync-patch", "list", f.path)
	list.want(f.t, 0, "")
	for _, word := range []string{"doubt", "gap", "nothing"} {
		if strings.Contains(list.stdout, word) {
			f.t.Errorf("the archive is not right:\n%s", list.stdout)
		}
	}
}

// The snapshot that the archive leads to overflows: compared with the archive, the next backup is a
// delta all the same, and from then on snapshots tell again what has changed.
func TestArchiveAfterOverflow(t *testing.T) {
	vg := newVG(t, "lost", 1)
	const size = 8 * mib
	origin := plain(t, vg, "origin", size)
	fill(t, origin, 1)
	f := newFolder(t, plain(t, vg, "dest", size))
	thickSnapshot(t, vg, "s0", "4k")
	f.add("0", "--full", "lost/s0")
	poke(t, origin, 2, 0, 1*mib, 5*mib+512)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-L", "4m", "-n", "s1", "lost/origin")
	f.add("1", "--to", "lost/s1", "lost/s0")
	f.wantNewest("/dev/lost/s1")
	overflow(t, origin)
	run(t, nil, "lvmsync-dump", "lost/s1").want(t, 1, "has overflowed")
	poke(t, origin, 3, 2*mib)

	thickSnapshot(t, vg, "s2", "4k")
	poke(t, origin, 4, 3*mib)
	f.add("2", "--base", f.path, "lost/s2")
	f.wantNewest("/dev/lost/s2")
	thickSnapshot(t, vg, "s3", "4k")
	f.add("3", "--to", "lost/s3", "lost/s2")
	f.wantNewest("/dev/lost/s3")
	f.add("4", "lost/s3")
	f.wantNewest(origin)
	other := plain(t, vg, "other", size)
	run(t, nil, "lvmsync-dump", "-n", "--base", f.path, other).want(t, 5,
		other+" is not lost/origin, which "+f.path+"/4 is of")
	for _, name := range []string{"s2", "lost/s2", "2"} {
		run(t, nil, "lvmsync-apply", f.path, "--state", name, f.dest).want(t, 0, "lost/s2, ")
		wantSame(t, "/dev/lost/s2", f.dest)
	}

	// The same by a signature of the archive, though the snapshot that it led to is gone.
	sh(t, "lvremove", "-qq", "-y", "lost/s3")
	poke(t, origin, 5, 4*mib)
	thickSnapshot(t, vg, "s4", "4k")
	sig := filepath.Join(t.TempDir(), "sig")
	run(t, nil, "lvmsync-patch", "signature", f.path, "-o", sig).want(t, 0, "")
	f.add("5", "--signature", sig, "lost/s4")
	f.wantNewest("/dev/lost/s4")
}

// The thin snapshot that the archive leads to was removed. The next one need not be active to be
// compared, and is what the next delta starts from.
func TestThinArchive(t *testing.T) {
	const size = 8 * mib
	newPool(t, "kept", "64k", "64m")
	origin := newThin(t, "kept", "origin", size)
	poke(t, origin, 1, 0, 512*kib, 4*mib)
	f := newFolder(t, plain(t, "kept", "dest", size))
	thinSnapshot(t, "kept", "origin", "s0")
	f.add("0", "--full", "kept/s0")
	poke(t, origin, 2, 1*mib)
	sh(t, "lvremove", "-qq", "-y", "kept/s0")
	thinSnapshot(t, "kept", "origin", "s1")
	poke(t, origin, 3, 2*mib)
	f.add("1", "--base", f.path, "kept/s1")
	if _, err := os.Stat("/dev/kept/s1"); err == nil {
		t.Error("the snapshot is still active")
	}
	sh(t, "lvchange", "-qq", "-ay", "-K", "kept/s1")
	r := run(t, nil, "lvmsync-dump", "-n", "--base", f.path, "kept/s1")
	r.want(t, 0, "")
	if strings.Contains(r.stderr, "another volume") {
		t.Errorf("a snapshot in use is taken for another volume:\n%s", r.stderr)
	}
	f.wantNewest("/dev/kept/s1")
	sh(t, "lvchange", "-qq", "-an", "kept/s1")
	sh(t, "blkdiscard", "-o", "524288", "-l", "65536", origin)
	thinSnapshot(t, "kept", "origin", "s2")
	f.add("2", "--to", "kept/s2", "kept/s1")
	sh(t, "lvchange", "-qq", "-ay", "-K", "kept/s2")
	f.wantNewest("/dev/kept/s2")
	f.add("3", "kept/s2")
	f.wantNewest(origin)
}
