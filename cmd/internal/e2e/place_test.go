package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What a run needs, and its way back, must not lie on what it overwrites: no --force lets that be
// lost.
func TestNeededLiesOnDestination(t *testing.T) {
	for name, stack := range map[string]func(b *bench) (dest, folder string){
		"mounted device": func(b *bench) (dest, folder string) {
			dev, _ := b.loop(b.noise("disk", 3, 24*mib))
			return dev, b.mount(dev)
		},
		"mounted image": func(b *bench) (dest, folder string) {
			disk := b.noise("disk", 3, 24*mib)
			dev, _ := b.loop(disk)
			return disk, b.mount(dev)
		},
		"disk of a mounted partition": func(b *bench) (dest, folder string) {
			dev, _ := b.loop(b.noise("disk", 3, 24*mib))
			b.partition(dev, 1, mib, 20*mib)
			return dev, b.mount(dev + "p1")
		},
		"image on a mounted device": func(b *bench) (dest, folder string) {
			dev, _ := b.loop(b.noise("disk", 3, 48*mib))
			image := filepath.Join(b.mount(dev), "image")
			b.sh("truncate", "-s", "24M", image)
			inner, _ := b.loop(image)
			return dev, b.mount(inner)
		},
		"overlay on a mounted device": func(b *bench) (dest, folder string) {
			dev, _ := b.loop(b.noise("disk", 3, 24*mib))
			return dev, b.overlay(b.mount(dev))
		},
		"overlay whose layers are relative": func(b *bench) (dest, folder string) {
			dev, _ := b.loop(b.noise("disk", 3, 24*mib))
			on, at := b.mount(dev), b.T.TempDir()
			folder = filepath.Join(at, "folder", "overlay")
			b.sh("mkdir", "-p", on+"/l", on+"/u", on+"/w", folder, at+"/here")
			b.sh("mount", "--bind", on, at+"/here")
			b.Cleanup(func() { b.sh("umount", "--lazy", at+"/here") })
			b.sh("sh", "-c", `cd "$1" && mount -t overlay `+
				`o -o lowerdir=here/l,upperdir=here/u,workdir=here/w folder/overlay`, "sh", at)
			b.Cleanup(func() { b.sh("umount", "--lazy", folder) })
			return dev, folder
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			dest, folder := stack(b)
			patch := filepath.Join(folder, "patch")
			b.sh("cp", b.full, patch)
			b.sh("sync", "-f", folder)
			for what, args := range map[string][]string{
				"undo patch " + folder + "/undo": {"--undo", folder + "/undo", b.full},
				"patch " + patch:                 {patch},
				"spool folder " + folder:         {"--spool", folder, b.full},
			} {
				want := "error: the " + what +
					": it lies on the destination, and would be overwritten: " + dest
				for _, option := range []string{"--force", "--dry-run"} {
					wantRun(t, 1, want, "lvmsync-apply",
						slices.Concat([]string{"--force", option}, args, []string{dest})...)
				}
			}
			// the file system may have written to it
			if bytes.HasPrefix(mustRead(t, dest), mustRead(t, b.image)[:mib]) {
				t.Error("the destination was overwritten")
			}
			if left, err := os.ReadDir(folder); err != nil ||
				strings.Contains(listed(left), "undo") {
				t.Errorf("left: %s (%v)", listed(left), err)
			}
		})
	}
}

func listed(entries []os.DirEntry) string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// What is only near the destination may be used.
func TestNeededLiesBeside(t *testing.T) {
	b := newBench(t)
	disk, _ := b.loop(b.noise("disk", 3, 40*mib))
	b.partition(disk, 1, mib, 18*mib)
	b.partition(disk, 2, 21*mib, 18*mib)
	folder := b.mount(disk + "p2")
	b.apply(0, "takes it back", "--undo", folder+"/undo", b.full, disk+"p1")
	image := filepath.Join(folder, "image")
	b.sh("cp", b.image, image)
	b.apply(0, "takes it back", "--undo", folder+"/undo2", b.full, image)
}

// A patch that is written onto what is being read is told of, and so is one in memory.
func TestOutputPlaces(t *testing.T) {
	b := newBench(t)
	dev, _ := b.loop(b.noise("disk", 3, 48*mib))
	folder, tmpfs := b.mount(dev), b.mounted("-t", "tmpfs", "none")
	onDevice, inMemory := "lies on the device "+dev+", which changes while it is read",
		"is kept in memory (a tmpfs): it is gone after"
	for _, test := range []struct {
		script, source, want string
	}{
		{`"$@" -o ` + folder + "/patch", dev, "warning: " + folder + "/patch " + onDevice},
		{`"$@" >` + folder + "/patch", dev, "warning: standard output " + onDevice},
		{`"$@" -o ` + folder + "/patch", b.image, ""},
		{`"$@" -o ` + tmpfs + "/patch", b.image, "warning: " + tmpfs + "/patch " + inMemory},
		{`"$@" >` + tmpfs + "/patch", b.image, "warning: standard output " + inMemory},
		{`"$@" | cat >` + tmpfs + "/patch", b.image, ""},
	} {
		for _, args := range [][]string{{"lvmsync-dump", "--full"},
			{"lvmsync-patch", "signature"}} {
			b.sh("rm", "-f", folder+"/patch", tmpfs+"/patch")
			status, messages := runIn(t, b.dir, test.script, append(args, test.source)...)
			told := strings.Contains(messages, "lies on") ||
				strings.Contains(messages, "is kept in")
			if status != 0 || !strings.Contains(messages, test.want) || told != (test.want != "") {
				t.Errorf("%s %s %s: status %d, want %q\n%s", test.script, args, test.source, status,
					test.want, messages)
			}
		}
	}
	image := filepath.Join(tmpfs, "image")
	wantRun(t, 0, "warning: "+image+" "+inMemory, "lvmsync-apply", "--create", b.full, image)
}

// A file that another program has locked, or may write to, is not replaced.
func TestOutputInUse(t *testing.T) {
	for name, test := range map[string]struct {
		use     func(b *bench, path string)
		message string
	}{
		"flocked": {func(b *bench, path string) { b.held(`exec 3<"$1"; flock -n 3`, path) },
			"it is locked by another program"},
		"range locked": {func(b *bench, path string) {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { f.Close() })
			if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK,
				&unix.Flock_t{Type: unix.F_WRLCK, Start: 100, Len: 1}); err != nil {
				b.Fatal(err)
			}
		}, "it is locked by another program"},
		"open for writing": {func(b *bench, path string) { b.held(`exec 3>>"$1"`, path) },
			"it is open for writing by bash"},
		"behind a loop device": {func(b *bench, path string) { b.loop(path) },
			"it is behind loop device /dev/loop"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			path := b.noise("old", 3, mib)
			before := mustRead(t, path)
			test.use(b, path)
			for what, args := range map[string][]string{"patch": {"lvmsync-dump", "--full"},
				"signature": {"lvmsync-patch", "signature"}} {
				wantRun(t, 1, "error: create the "+what+" file "+
					path+": the file to replace is in use: "+test.message,
					args[0], args[1], b.image, "-o", path)
			}
			if !bytes.Equal(mustRead(t, path), before) {
				t.Error("it was replaced")
			}
			if left, err := os.ReadDir(b.dir); err != nil || len(left) != 3 {
				t.Errorf("left: %s (%v)", listed(left), err)
			}
		})
	}
}

// What can't be replaced is refused before anything is read.
func TestOutputNotReplaceable(t *testing.T) {
	b := newBench(t)
	dev, _ := b.loop(b.noise("disk", 3, 24*mib))
	folder := b.mount(dev)
	for name, test := range map[string]struct{ script, undo, message string }{
		"mount point": {`mount --bind "$2" "$1"/old`, `umount "$1"/old`,
			"it is a mount point, and can't be replaced"},
		"immutable": {`chattr +i "$1"/old`, `chattr -i "$1"/old`,
			"it must not be changed, or only be added to (chattr)"},
		"to be added to": {`chattr +a "$1"/old`, `chattr -a "$1"/old`,
			"it must not be changed, or only be added to (chattr)"},
		"folder to be added to": {`chattr +a "$1"`, `chattr -a "$1"`,
			"its folder may only be added to (chattr)"},
	} {
		t.Run(name, func(t *testing.T) {
			b.sh("sh", "-c", `rm -f "$1"/old "$1"/.old* && touch "$1"/old`, "sh", folder)
			b.sh("sh", "-c", test.script, "sh", folder, b.noise("other", 4, 1))
			defer b.sh("sh", "-c", test.undo, "sh", folder)
			for what, args := range map[string][]string{"patch": {"lvmsync-dump", "--full"},
				"signature": {"lvmsync-patch", "signature"}} {
				wantRun(t, 1, "error: create the "+what+" file "+folder+"/old: "+test.message,
					args[0], args[1], b.image, "-o", folder+"/old")
			}
			if left, err := os.ReadDir(folder); err != nil || len(left) != 2 { // and lost+found
				t.Errorf("left: %s (%v)", listed(left), err)
			}
		})
	}
}

// Who reads it, or has locked it for the sake of this program, is no reason.
func TestOutputNotInUse(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(b.dir, "old")
	b.sh("lvmsync-dump", "--full", b.image, "-o", path)
	b.held(`exec 3<"$1"`, path)
	for _, script := range []string{`exec "$@"`, `exec flock old "$@"`,
		`exec 9<old; flock 9; exec "$@"`} {
		if status, messages := runIn(t, b.dir, script, "lvmsync-dump", "--full", b.image, "-o",
			path); status != 0 {
			t.Errorf("%s: status %d\n%s", script, status, messages)
		}
	}
}
