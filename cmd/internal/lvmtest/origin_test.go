//go:build lvm

package lvmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Names with dashes, dots and plus signs, in each form that LVM users know.
func TestNames(t *testing.T) {
	vg := newVG(t, "my-vg.x+y", 1)
	sh(t, "lvcreate", "-qq", "-y", "-Wn", "-L", "2m", "-n", "or-i+g.in", vg)
	origin := "/dev/" + vg + "/or-i+g.in"
	fill(t, origin, 1)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-L", "1m", "-n", "s--n.a+p-1",
		vg+"/or-i+g.in")
	plain(t, vg, "de-st", 2*mib)
	dest := "/dev/" + vg + "/de-st"
	transfer(t, dest, "--full", vg+"/s--n.a+p-1")
	poke(t, origin, 2, 0, 100*kib)
	mapped := "my--vg.x+y-s----n.a+p--1"
	for _, name := range []string{vg + "/s--n.a+p-1", "/dev/" + vg + "/s--n.a+p-1", "/dev/mapper/" +
		mapped, dmDevice(t, mapped)} {
		t.Run(name, func(t *testing.T) {
			transfer(t, dest, name)
			wantSame(t, origin, dest)
		})
	}
}

// A striped origin looks to device-mapper like any other device beneath a snapshot-origin.
func TestStripedOrigin(t *testing.T) {
	vg := newVG(t, "stripes", 2)
	origin, dest := "/dev/stripes/origin", "/dev/stripes/dest"
	sh(t, "lvcreate", "-qq", "-y", "-Wn", "-i", "2", "-I", "4k", "-L", "4m", "-n", "origin", vg)
	fill(t, origin, 1)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "8k", "-L", "4m", "-n", "snap", vg+"/origin")
	plain(t, vg, "dest", 4*mib)
	transfer(t, dest, "--full", "stripes/snap")
	poke(t, origin, 2, 4*kib, 100*kib, 104*kib, 4*mib-512)
	transfer(t, dest, "stripes/snap")
	wantSame(t, origin, dest)
}

// A file system that is mounted and written during it all arrives whole: what was written before
// the dump is there although nobody called sync, and the file system is sound.
func TestMountedFileSystem(t *testing.T) {
	vg := newVG(t, "fs", 1)
	origin, dest := "/dev/fs/origin", "/dev/fs/dest"
	plain(t, vg, "origin", 64*mib)
	sh(t, "mkfs.ext4", "-q", origin)
	mnt := mount(t, origin)
	write := func(name string, n int) {
		if err := os.WriteFile(filepath.Join(mnt, name), []byte(strings.Repeat(name, n)),
			0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before", 100_000)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-L", "32m", "-n", "snap", vg+"/origin")
	plain(t, vg, "dest", 64*mib)
	transfer(t, dest, "--full", "fs/snap")

	write("after", 200_000) // in memory only
	d := run(t, nil, "lvmsync-dump", "fs/snap")
	d.want(t, 0, "is mounted on "+mnt)
	applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
	copied := sh(t, "debugfs", "-R", "cat /after", dest)
	if copied != strings.Repeat("after", 200_000) {
		t.Errorf("the file written before the dump has %d bytes on the destination, want %d",
			len(copied), 5*200_000)
	}

	sh(t, "umount", mnt)
	d = run(t, nil, "lvmsync-dump", "fs/snap")
	d.want(t, 0, "")
	if strings.Contains(d.stderr, "warning") {
		t.Errorf("a warning about an origin at rest:\n%s", d.stderr)
	}
	applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
	wantSame(t, origin, dest)
	sh(t, "fsck.ext4", "-f", "-n", dest)
}

func mount(t *testing.T, dev string, options ...string) string {
	t.Helper()
	mnt := t.TempDir()
	sh(t, "mount", append(options, dev, mnt)...)
	t.Cleanup(func() { perform(t, exec.Command("umount", mnt)) }) // most have unmounted it
	return mnt
}

// What a program wrote to the origin's device and keeps in memory has neither exception nor place
// on the disk before it is flushed: the dump does that.
func TestBufferedWriter(t *testing.T) {
	origin, dest := newCopied(t, "buffered", 2*mib, "4k")
	f, err := os.OpenFile(origin, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("not flushed"), 40*kib); err != nil {
		t.Fatal(err)
	}
	d := run(t, nil, "lvmsync-dump", "buffered/snap")
	d.want(t, 0, "is open for writing by lvmtest.test")
	applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
	wantSame(t, origin, dest)
}

// Writes to the snapshot itself make exceptions, too. The delta is the origin's all the same.
func TestWrittenSnapshot(t *testing.T) {
	origin, dest := newCopied(t, "written", 2*mib, "4k")
	poke(t, "/dev/written/snap", 2, 0, 64*kib)
	poke(t, origin, 3, 64*kib, 128*kib)
	if _, n := changed(t, "written/snap"); n != 12*kib {
		t.Errorf("%d bytes changed, want %d", n, 12*kib)
	}
	transfer(t, dest, "written/snap")
	wantSame(t, origin, dest)
}

// An origin that was extended after the snapshot: what lies past the old end has no exceptions and
// is sent whole.
func TestExtendedOrigin(t *testing.T) {
	vg := newVG(t, "extended", 1)
	origin, dest := plain(t, vg, "origin", 2052*kib), plain(t, vg, "dest", 4*mib)
	fill(t, origin, 1)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "64k", "-L", "3m", "-n", "snap", vg+"/origin")
	transfer(t, dest, "--full", "extended/snap")
	sh(t, "lvchange", "-qq", "-an", vg+"/origin")
	if r := run(t, nil, "lvextend", "-qq", "-L", "4m", vg+"/origin"); r.status != 0 {
		t.Fatalf("this LVM does not extend an origin: %s", r.stderr)
	}
	sh(t, "lvchange", "-qq", "-ay", vg+"/origin")
	before := size(t, "/dev/extended/snap")
	t.Logf("origin %d bytes, snapshot %d bytes", size(t, origin), before)
	poke(t, origin, 2, 0, 2052*kib-512, 2052*kib, 3*mib, 4*mib-512)
	transfer(t, dest, "extended/snap")
	wantSame(t, origin, dest)
}

// Zeros are found and read back as zeros; a thin destination stays thin.
func TestZeros(t *testing.T) {
	vg := newVG(t, "zeros", 1)
	origin, dest := plain(t, vg, "origin", 32*mib), plain(t, vg, "dest", 32*mib)
	sh(t, "lvcreate", "-qq", "-y", "-c", "64k", "-L", "64m", "-T", "zeros/pool")
	sh(t, "lvcreate", "-qq", "-y", "-V", "32m", "-T", "zeros/pool", "-n", "thin")
	for _, dev := range []string{origin, dest, "/dev/zeros/thin"} {
		fill(t, dev, 1)
	}
	// All zeros but for a few places, none of them aligned to a thin block.
	zero(t, origin)
	poke(t, origin, 2, 4*kib, 5*mib+12*kib, 32*mib-512)
	d := run(t, nil, "lvmsync-dump", "--full", "zeros/origin")
	d.want(t, 0, "")
	for _, dest := range []string{dest, "/dev/zeros/thin"} {
		applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
		wantSame(t, origin, dest)
	}
	used := strings.TrimSpace(sh(t, "lvs", "--noheadings", "-o", "data_percent", "zeros/thin"))
	var percent float64
	if _, err := fmt.Sscan(used, &percent); err != nil || percent > 2 {
		t.Errorf("%q%% of the thin destination are mapped, want at most 2", used)
	}
}
