//go:build lvm

package lvmtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// loopGroup makes a volume group on a loop device, and gives that and the file behind it.
func loopGroup(t *testing.T, name string) (vg, dev, image string) {
	t.Helper()
	image = file(t, name, nil)
	sh(t, "truncate", "-s", "64M", image)
	dev = loop(t, image)
	sh(t, "vgcreate", "-qq", "-y", "-s", "4k", name, dev)
	t.Cleanup(func() {
		sh(t, "vgremove", "-qq", "-ff", "-y", name)
		sh(t, "pvremove", "-qq", "-ff", "-y", dev)
	})
	return name, dev, image
}

// bothPatches makes a full patch of a volume of 4 MiB, and a delta that makes it of zeros.
func bothPatches(t *testing.T, source string) (full, delta string) {
	t.Helper()
	zeros := file(t, "zeros", make([]byte, size(t, source)))
	full, delta = filepath.Join(t.TempDir(), "full"), filepath.Join(t.TempDir(), "delta")
	run(t, nil, "lvmsync-dump", "--full", source, "-o", full).want(t, 0, "")
	run(t, nil, "lvmsync-dump", "--base", zeros, source, "-o", delta).want(t, 0, "")
	return full, delta
}

// Who uses another volume of the group, or the pool, doesn't use the destination; who uses its
// bytes by another way does.
func TestUsersOfStack(t *testing.T) {
	vg, dev, image := loopGroup(t, "stack")
	linear := func(name string) string {
		plain(t, vg, name, 4*mib)
		return "/dev/stack/" + name
	}
	source, dest, other := linear("source"), linear("dest"), linear("other")
	fill(t, source, 1)
	full, _ := bothPatches(t, source)
	apply := func(status int, message string) {
		t.Helper()
		run(t, nil, "lvmsync-apply", full, dest).want(t, status, message)
	}

	sh(t, "mkfs.ext4", "-q", other)
	mount(t, other)
	holder, err := os.OpenFile(other, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	apply(0, "")

	// The same sectors through a device of somebody else's.
	table := strings.Fields(sh(t, "dmsetup", "table", "stack-dest"))
	alias := newMapped(t, "alias", strings.Join(table, " ")).path()
	apply(0, "") // it is there, and nobody uses it
	sh(t, "mkfs.ext4", "-q", alias)
	mnt := mount(t, alias)
	apply(1, "mounted on "+mnt)
	sh(t, "umount", mnt)
	apply(0, "")

	for _, below := range []string{dev, image} {
		f, err := os.OpenFile(below, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		apply(1, "open for writing by lvmtest.test")
		f.Close()
		apply(0, "")
	}
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	apply(1, image+", on which "+dest+" lies, is locked by another program")
}

func TestUsersOfPool(t *testing.T) {
	vg := newVG(t, "poolusers", 1)
	sh(t, "lvcreate", "-qq", "-y", "-c", "64k", "-L", "32m", "-T", vg+"/pool")
	for _, name := range []string{"source", "dest", "other"} {
		sh(t, "lvcreate", "-qq", "-y", "-V", "4m", "-T", vg+"/pool", "-n", name)
	}
	fill(t, "/dev/poolusers/source", 1)
	full, _ := bothPatches(t, "/dev/poolusers/source")
	sh(t, "mkfs.ext4", "-q", "/dev/poolusers/other")
	mount(t, "/dev/poolusers/other")
	sh(t, "lvcreate", "-qq", "-y", "-s", "-kn", "-n", "snap", vg+"/dest")
	holder, err := os.OpenFile("/dev/poolusers/snap", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	run(t, nil, "lvmsync-apply", full, "/dev/poolusers/dest").want(t, 0, "")
	run(t, nil, "lvmsync-apply", full, "/dev/poolusers/snap").want(t, 1,
		"open for writing by lvmtest.test")

	pool, err := os.OpenFile(dmDevice(t, "poolusers-pool_tdata"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	run(t, nil, "lvmsync-apply", full, "/dev/poolusers/dest").want(t, 1,
		"open for writing by lvmtest.test")
}

// Writing to a thick snapshot or to its origin is nothing that those who use the other one have not
// expected.
func TestUsersOfSnapshot(t *testing.T) {
	vg := newVG(t, "snapusers", 1)
	for _, name := range []string{"source", "origin"} {
		plain(t, vg, name, 4*mib)
	}
	fill(t, "/dev/snapusers/source", 1)
	full, _ := bothPatches(t, "/dev/snapusers/source")
	origin, snap := "/dev/snapusers/origin", "/dev/snapusers/snap"
	sh(t, "mkfs.ext4", "-q", origin)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-L", "6m", "-n", "snap", vg+"/origin")
	mnt := mount(t, snap, "-o", "ro,noload")
	run(t, nil, "lvmsync-apply", full, origin).want(t, 0, "")
	sh(t, "umount", mnt)
	holder, err := os.OpenFile(origin, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	run(t, nil, "lvmsync-apply", full, snap).want(t, 0, "")
}

// A volume is its own source through everything that it lies on, and what was made in its place is
// not.
func TestSourceOfStack(t *testing.T) {
	const own = "is the source of the patch"
	vg, dev, image := loopGroup(t, "own")
	plain(t, vg, "source", 4*mib)
	plain(t, vg, "sibling", 4*mib)
	source := "/dev/own/source"
	fill(t, source, 1)
	full, delta := bothPatches(t, source)
	table := sh(t, "dmsetup", "table", "own-source")
	alias := newMapped(t, "alias", strings.TrimSpace(table)).path()
	ofFile, ofVolume := loop(t, image), loop(t, source)
	for _, dest := range []string{source, alias, dev, image, ofFile, ofVolume} {
		before := sh(t, "sha256sum", source) // sum keeps it open
		run(t, nil, "lvmsync-apply", full, dest).want(t, 1, "")
		run(t, nil, "lvmsync-apply", "--force", "--no-check-base", delta, dest).want(t, 1, own)
		if sh(t, "sha256sum", source) != before {
			t.Errorf("%s: the source has changed", dest)
		}
	}
	run(t, nil, "lvmsync-apply", full, "/dev/own/sibling").want(t, 1,
		"on the same storage as loop device "+ofFile)
	sh(t, "losetup", "--detach", ofFile, ofVolume)
	run(t, nil, "lvmsync-apply", full, "/dev/own/sibling").want(t, 0, "")
	run(t, nil, "lvmsync-apply", "--force", full, alias).want(t, 0, "forced: "+
		alias+" is where the patch came from")
	sh(t, "dmsetup", "remove", "--retry", "alias")

	sh(t, "lvremove", "-qq", "-y", vg+"/source")
	plain(t, vg, "source", 4*mib)
	if now := sh(t, "dmsetup", "table", "own-source"); now != table {
		t.Fatalf("the new volume is elsewhere: %s, not %s", now, table)
	}
	run(t, nil, "lvmsync-apply", full, source).want(t, 0, "")
	run(t, nil, "lvmsync-apply", "--no-check-base", delta, source).want(t, 0, "")
}

// What lies below a device that has gone is known by the patch alone.
func TestSourceOfClosedStack(t *testing.T) {
	for kind, table := range map[string]string{
		"linear": "0 8192 linear %s 2048",
		"crypt":  "0 8192 crypt aes-cbc-essiv:sha256 " + strings.Repeat("0f", 16) + " 0 %s 2048",
	} {
		t.Run(kind, func(t *testing.T) {
			image := file(t, "disk", nil)
			sh(t, "truncate", "-s", "12M", image)
			dev := loop(t, image)
			table := fmt.Sprintf(table, dev)
			if run(t, nil, "dmsetup", "create", "probe", "--table", table).status != 0 {
				t.Skipf("this kernel has not all that %s needs", kind)
			}
			sh(t, "dmsetup", "remove", "--retry", "probe")
			closed := newMapped(t, "closed", table).path()
			fill(t, closed, 1)
			full, delta := bothPatches(t, closed)
			sh(t, "dmsetup", "remove", "--retry", "closed")
			again := newMapped(t, "again", "0 8192 linear "+dev+" 8192").path()
			elsewhere := newMapped(t, "elsewhere", "0 2048 linear "+dev+" 0\n2048 6144 linear "+
				dev+" 10240").path()
			for _, dest := range []string{image, again} {
				run(t, nil, "lvmsync-apply", full, dest).want(t, 1, "is the source of the patch")
				run(t, nil, "lvmsync-apply", "--force", "--no-check-base", delta, dest).want(t, 1,
					"is the source of the patch")
			}
			run(t, nil, "lvmsync-apply", full, elsewhere).want(t, 0, "")
			sh(t, "dmsetup", "remove", "--retry", "again")
			sh(t, "dmsetup", "remove", "--retry", "elsewhere")
			run(t, nil, "lvmsync-apply", full, dev).want(t, 1, "is the source of the patch")
			run(t, nil, "lvmsync-apply", "--force", full, dev).want(t, 0, "forced: "+
				dev+" is where the patch came from")
		})
	}
}
