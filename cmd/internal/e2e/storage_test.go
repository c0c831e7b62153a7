package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Whoever uses the storage of the destination uses the destination, whatever its name.
func TestUsersOfStorage(t *testing.T) {
	for _, test := range []struct {
		name    string
		use     func(b *bench) (dest string)
		message string
	}{
		{"second loop device mounted", func(b *bench) string {
			one, _ := b.loop(b.image)
			two, _ := b.loop(b.image)
			b.mount(two)
			return one
		}, "mounted on "},
		{"backing file locked", func(b *bench) string {
			dev, _ := b.loop(b.image)
			b.flock(b.image, unix.LOCK_EX)
			return dev
		}, "is locked by another program"},
		{"backing file locked for reading", func(b *bench) string {
			dev, _ := b.loop(b.image)
			b.flock(b.image, unix.LOCK_SH)
			return dev
		}, "is locked by another program"},
		{"backing file locked, of which it is a part", func(b *bench) string {
			dev, _ := b.loop(b.noise("larger", 3, 6*mib), "--offset", fmt.Sprint(mib))
			b.flock(filepath.Join(b.dir, "larger"), unix.LOCK_EX)
			return dev
		}, "is locked by another program"},
		{"backing file locked that has lost its name", func(b *bench) string {
			dev, _ := b.loop(b.image)
			b.held(`exec 3<"$1"; flock -n 3`, b.image)
			if err := os.Remove(b.image); err != nil {
				b.Fatal(err)
			}
			return dev
		}, "is locked by another program"},
		{"backing file open for writing", func(b *bench) string {
			dev, _ := b.loop(b.image)
			b.held(`exec 3<>"$1"`, b.image)
			return dev
		}, "open for writing by bash"},
		{"file below two loop devices open for writing", func(b *bench) string {
			low, _ := b.loop(b.image)
			top, _ := b.loop(low)
			b.held(`exec 3<>"$1"`, b.image)
			return top
		}, "open for writing by bash"},
		{"whole disk open for writing", func(b *bench) string {
			disk, _ := b.loop(b.noise("disk", 3, 6*mib))
			b.partition(disk, 1, mib, 4*mib)
			b.held(`exec 3<>"$1"; echo dirty >&3`, disk)
			return disk + "p1"
		}, "open for writing by bash"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			dest := test.use(b)
			b.apply(1, test.message, b.full, dest)
			b.apply(0, "forced: ", "--force", b.full, dest)
		})
	}
}

// Who only has the same disk, the same file or the same name is no user.
func TestNoUsersOfStorage(t *testing.T) {
	for name, use := range map[string]func(b *bench) (dest string){
		"another file has the backing file's name": func(b *bench) string {
			folder := b.T.TempDir()
			path := filepath.Join(folder, "image")
			b.sh("cp", b.image, path)
			dev, _ := b.loop(path)
			b.mount(dev)
			b.sh("mount", "-t", "tmpfs", "tmpfs", folder)
			b.once("umount", "--lazy", folder)
			b.sh("cp", b.image, path)
			return path
		},
		"file on a mounted loop device": func(b *bench) string {
			dev, _ := b.loop(b.noise("disk", 3, 24*mib))
			path := filepath.Join(b.mount(dev), "image")
			b.sh("cp", b.image, path)
			return path
		},
		"other part of the file in use": func(b *bench) string {
			disk := b.noise("disk", 3, 8*mib)
			one, _ := b.loop(disk, "--sizelimit", fmt.Sprint(4*mib))
			two, _ := b.loop(disk, "--offset", fmt.Sprint(4*mib))
			b.mount(two)
			return one
		},
		"other partition in use": func(b *bench) string {
			disk, _ := b.loop(b.noise("disk", 3, 12*mib))
			b.partition(disk, 1, 4*mib, 4*mib)
			b.partition(disk, 2, 8*mib, 4*mib)
			b.mount(disk + "p2")
			b.held(`exec 3<>"$1"`, disk+"p2")
			return disk + "p1"
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.apply(0, "", b.full, use(b))
		})
	}
}

// The source of a patch is known by every name that leads to its bytes, even when it's gone.
func TestSourceOfStorage(t *testing.T) {
	for name, rename := range map[string]func(b *bench) (full, delta, dest string){
		"backing file": func(b *bench) (full, delta, dest string) {
			dev, done := b.loop(b.image)
			full, delta = b.dump(dev)
			done()
			return full, delta, b.image
		},
		"backing file renamed": func(b *bench) (full, delta, dest string) {
			dev, done := b.loop(b.image)
			full, delta = b.dump(dev)
			done()
			b.sh("mv", b.image, b.image+"2")
			return full, delta, b.image + "2"
		},
		"second loop device": func(b *bench) (full, delta, dest string) {
			one, done := b.loop(b.image)
			two, _ := b.loop(b.image)
			full, delta = b.dump(one)
			done()
			return full, delta, two
		},
		"loop device of a file": func(b *bench) (full, delta, dest string) {
			full, delta = b.dump(b.image)
			dev, _ := b.loop(b.image)
			return full, delta, dev
		},
		"loop device on a loop device": func(b *bench) (full, delta, dest string) {
			low, _ := b.loop(b.image)
			top, done := b.loop(low)
			full, delta = b.dump(top)
			done()
			return full, delta, low
		},
		"disk of a partition": func(b *bench) (full, delta, dest string) {
			dev, done := b.loop(b.image)
			gone := b.partition(dev, 2, 2*mib, mib)
			full, delta = b.dump(dev + "p2")
			gone()
			done()
			return full, delta, b.image
		},
		"partition of a disk": func(b *bench) (full, delta, dest string) {
			dev, _ := b.loop(b.image)
			full, delta = b.dump(dev)
			b.partition(dev, 1, mib, mib)
			return full, delta, dev + "p1"
		},
		"loop device that begins elsewhere": func(b *bench) (full, delta, dest string) {
			one, done := b.loop(b.image, "--offset", fmt.Sprint(mib))
			full, delta = b.dump(one)
			done()
			two, _ := b.loop(b.image, "--offset", fmt.Sprint(2*mib))
			return full, delta, two
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			full, delta, dest := rename(b)
			const own = "the destination is the source of the patch"
			b.apply(1, own, full, dest)
			b.apply(1, own, delta, dest)
			b.apply(1, own, "--force", "--allow-smaller", "--no-check-base", delta, dest)
			b.apply(0, "forced: "+dest+" is where the patch came from", "--force",
				"--allow-smaller", full, dest)
		})
	}
}

// The image behind a device that is read is no place for the patch.
func TestOutputIsSource(t *testing.T) {
	b := newBench(t)
	dev, _ := b.loop(b.image)
	before := mustRead(t, b.image)
	for _, args := range [][]string{
		{"lvmsync-dump", "--full", dev, "-o", b.image},
		{"lvmsync-patch", "signature", dev, "-o", b.image},
	} {
		wantRun(t, 2, "is source and output at once", args[0], args[1:]...)
	}
	if !bytes.Equal(mustRead(t, b.image), before) {
		t.Error("the image has changed")
	}
}

// What has only the place, the name or the number of the source is another destination.
func TestNotTheSource(t *testing.T) {
	for name, other := range map[string]func(b *bench) (full, dest string){
		"another partition": func(b *bench) (full, dest string) {
			dev, _ := b.loop(b.image)
			b.partition(dev, 1, mib, mib)
			b.partition(dev, 2, 2*mib, mib)
			full, _ = b.dump(dev + "p1")
			return full, dev + "p2"
		},
		"another part of the file": func(b *bench) (full, dest string) {
			one, _ := b.loop(b.image, "--sizelimit", fmt.Sprint(2*mib))
			two, _ := b.loop(b.image, "--offset", fmt.Sprint(2*mib))
			full, _ = b.dump(one)
			return full, two
		},
		"a later file": func(b *bench) (full, dest string) {
			full, _ = b.dump(b.image)
			if err := os.Remove(b.image); err != nil {
				b.Fatal(err)
			}
			return full, b.noise("image", 4, 4*mib) // it gets the inode, as a rule
		},
		"the loop device of another file": func(b *bench) (full, dest string) {
			dev, _ := b.loop(b.image)
			full, _ = b.dump(dev)
			// Nobody else gets it meanwhile, but who looks at it may keep it from being let go of.
			b.sh("timeout", "60", "flock", "/dev/loop-control", "sh", "-c",
				`losetup --detach "$1"; until losetup "$1" "$2"; do :; done`, "sh", dev,
				b.noise("other", 4, 4*mib))
			return full, dev
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			full, dest := other(b)
			b.apply(0, "", full, dest)
		})
	}
}
