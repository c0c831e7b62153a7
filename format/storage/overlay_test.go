package storage

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"lvmsync/format/storage/devtest"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
)

// An overlay is mounted on merged.
type overlayDirs struct{ merged, upper, lower string }

// needOverlay skips a test where the kernel has no overlays.
func needOverlay(t *testing.T) {
	t.Helper()
	devtest.NeedRoot(t)
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "overlay", "overlay", "-o", "lowerdir="+
		t.TempDir()+":"+t.TempDir(), dir).CombinedOutput(); err != nil {
		t.Skipf("no overlay file system here: %s", out)
	}
	devtest.Run(t, "umount", dir)
}

// overlaid mounts an overlay until the test ends. The file "image" is in its lower directory. The
// upper one is on the file system at dir.
func overlaid(t *testing.T, dir string) overlayDirs {
	t.Helper()
	needOverlay(t)
	root, err := os.MkdirTemp(dir, `a,b:c= \d`)
	if err != nil {
		t.Fatal(err)
	}
	o := overlayDirs{filepath.Join(root, "merged"), filepath.Join(root, "upper"), t.TempDir()}
	work := filepath.Join(root, "work")
	for _, dir := range []string{o.merged, o.upper, work} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	devtest.Run(t, "truncate", "-s", "1M", filepath.Join(o.lower, "image"))
	q := strings.NewReplacer(`\`, `\\`, ",", `\,`, ":", `\:`).Replace
	mountOn(t, o.merged, "-t", "overlay", "overlay", "-o", "lowerdir="+q(root)+":"+
		q(o.lower)+",upperdir="+q(o.upper)+",workdir="+q(work))
	return o
}

func image1(dir string) string { return filepath.Join(dir, "image") }

// copyUp has the overlay copy its file to the upper directory.
func copyUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestIdentifyOverlaid(t *testing.T) {
	for name, dir := range map[string]func() string{
		"one file system": t.TempDir,
		"two":             func() string { return mount(t, "-t", "tmpfs", "tmpfs") },
	} {
		o := overlaid(t, dir())
		merged, lower, upper := image1(o.merged), image1(o.lower), image1(o.upper)
		if identityOf(t, merged) != identityOf(t, lower) {
			t.Errorf("%s: %s is not %s", name, merged, lower)
		}
		copyUp(t, merged)
		if identityOf(t, merged) != identityOf(t, upper) ||
			identityOf(t, merged) == identityOf(t, lower) {
			t.Errorf("%s: %s is not %s after it has been copied up", name, merged, upper)
		}
		bound := filepath.Join(mount(t, "--bind", o.merged), "image")
		if identityOf(t, bound) != identityOf(t, upper) {
			t.Errorf("%s: %s is not %s", name, bound, upper)
		}
		link := filepath.Join(o.upper, "link")
		if err := os.Link(upper, link); err != nil {
			t.Fatal(err)
		}
		if identityOf(t, link) != identityOf(t, merged) {
			t.Errorf("%s: %s is not %s", name, link, merged)
		}
		file := devtest.Hole(t, 0)
		mountOn(t, file, "--bind", merged)
		if identityOf(t, file) != identityOf(t, upper) {
			t.Errorf("%s: %s is not %s", name, file, upper)
		}
		f := open(t, merged)
		if id, err := IdentifyFile(f.File); err != nil || id != identityOf(t, upper) {
			t.Errorf("%s: the open file is %s, %v", name, id, err)
		}
		other := filepath.Join(o.merged, "other")
		devtest.Run(t, "cp", "-p", merged, other)
		if identityOf(t, other) != identityOf(t, filepath.Join(o.upper, "other")) ||
			identityOf(t, other) == identityOf(t, upper) {
			t.Errorf("%s: %s is %s", name, other, identityOf(t, other))
		}
	}
}

// Layers may be given as names that are relative to a folder above.
func TestIdentifyOverlaidRelative(t *testing.T) {
	needOverlay(t)
	dir := t.TempDir()
	devtest.Run(t, "sh", "-c", `cd "$1" && mkdir -p id/merged id/upper id/work l/a && `+
		`truncate -s 1M l/a/image`, "sh", dir)
	cmd := exec.Command("mount", "-t", "overlay", "overlay", "-o",
		"lowerdir=l/a,upperdir=id/upper,workdir=id/work", "id/merged")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { devtest.Run(t, "umount", "--lazy", filepath.Join(dir, "id/merged")) })
	if a, b := identityOf(t, filepath.Join(dir, "id/merged/image")),
		identityOf(t, filepath.Join(dir, "l/a/image")); a != b {
		t.Errorf("%s, %s", a, b)
	}
}

// An overlay may lie on another one.
func TestIdentifyOverlaidTwice(t *testing.T) {
	below := overlaid(t, t.TempDir())
	top := mount(t, "-t", "overlay", "overlay", "-o", "lowerdir="+
		strings.NewReplacer(`\`, `\\`, ",", `\,`, ":", `\:`).Replace(below.merged)+":"+t.TempDir())
	if a, b := identityOf(t, image1(top)), identityOf(t, image1(below.lower)); a != b {
		t.Errorf("%s, %s", a, b)
	}
	copyUp(t, image1(below.merged))
	if a, b := identityOf(t, image1(top)), identityOf(t, image1(below.upper)); a != b {
		t.Errorf("copied up: %s, %s", a, b)
	}
}

func TestUsersOverlaid(t *testing.T) {
	o := overlaid(t, t.TempDir())
	merged, lower, upper := image1(o.merged), image1(o.lower), image1(o.upper)
	copyUp(t, merged)
	checkUsers(t, merged)
	checkUsers(t, upper)
	dev := devtest.Loop(t, merged)
	checkUsers(t, upper, "behind loop device "+dev)
	checkUsers(t, merged, "behind loop device "+dev)
	checkUsers(t, lower)
	other := devtest.Loop(t, upper)
	both := []string{"behind loop device " + dev, "behind loop device " + other}
	slices.Sort(both) // the kernel's order
	checkUsers(t, merged, both...)
	checkUsers(t, dev, "on the same storage as loop device "+other)
	hold(t, "<>", upper)
	checkUsers(t, merged, append(both, "open for writing by sh (pid N)")...)
	hold(t, "<>", merged)
	checkUsers(t, upper, append(both, "open for writing by sh (pid N)",
		"open for writing by sh (pid N)")...)
}

// What a container has open, in an overlay that is its root, is known by the name that it has
// outside.
func TestUsersOverlaidElsewhere(t *testing.T) {
	needOverlay(t)
	dir := t.TempDir()
	script := `mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir lower upper work merged && ` +
		`truncate -s 1M upper/image &&
		mount -t overlay overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" ` +
		`merged && dev=$(losetup -f --show merged/image) &&
		exec 3<>merged/image && echo $dev && read end; losetup -d $dev`
	cmd := exec.Command("sh", "-c", script, "sh", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	dev, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dev = strings.TrimSpace(dev)
	path := filepath.Join("/proc", fmt.Sprint(cmd.Process.Pid), "root", dir, "upper", "image")
	checkUsers(t, path, "behind loop device "+dev, "open for writing by sh (pid N)")
	through := filepath.Join("/proc", fmt.Sprint(cmd.Process.Pid), "root", dir, "merged", "image")
	checkUsers(t, through, "behind loop device "+dev, "open for writing by sh (pid N)")
	if got := usersOf(t, dev); len(got) != 1 ||
		!strings.HasPrefix(got[0], "open for writing by sh (pid N) through ") {
		t.Errorf("users of %s: %q", dev, got)
	}
}

// A copy that shares its blocks with the original is another file.
func TestUsersReflink(t *testing.T) {
	disk := devtest.Loop(t, devtest.Hole(t, 320<<20))
	if out, err := exec.Command("mkfs.xfs", "-q", disk).CombinedOutput(); err != nil {
		t.Skipf("no XFS here: %s", out)
	}
	dir := mount(t, disk)
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := os.WriteFile(a, devtest.Noise(1, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	devtest.Run(t, "cp", "--reflink=always", "-p", a, b)
	hold(t, "<>", a)
	devtest.Loop(t, a)
	checkUsers(t, b)
}

func TestLayersOf(t *testing.T) {
	for options, want := range map[string][]string{
		`rw,lowerdir=/a:/b\134:c::/d\040e,upperdir=/u\134\054p,workdir=/w`: {"/u,p", "/a", "/b:c",
			"/d e"},
		`ro,lowerdir+=/a:b,lowerdir+=/c\134d,datadir+=/e`: {"/a:b", `/c\d`, "/e"},
		`rw,lowerdir=/a\134\134:/b`:                       {`/a\`, "/b"},
		`rw,redirect_dir=on`:                              nil,
	} {
		got := layersOf(&mountinfo.Info{VFSOptions: options})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", options, diff)
		}
	}
}
