package storage

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lvmsync/format/storage/devtest"

	"golang.org/x/sys/unix"
)

func TestUsersOfTheSameFile(t *testing.T) {
	path := devtest.Hole(t, fsSize)
	one := devtest.Loop(t, path)
	mkfs(t, one)
	two := devtest.Loop(t, path)
	name := filepath.Base(two)
	checkUsers(t, one, "on the same storage as loop device "+two)
	both := []string{"behind loop device " + one, "behind loop device " + two}
	slices.Sort(both) // the kernel's order
	checkUsers(t, path, both...)
	dir := mount(t, two)
	checkUsers(t, one, "mounted on "+dir+" (ext4, rw) through "+name+", on the same storage",
		"on the same storage as loop device "+two)
	hold(t, "<>", two)
	checkUsers(t, one, "mounted on "+dir+" (ext4, rw) through "+name+", on the same storage",
		"on the same storage as loop device "+two, "open for writing by sh (pid N) through "+
			name+", on the same storage")
	checkUsers(t, two, "mounted on "+dir+" (ext4, rw)", "on the same storage as loop device "+one,
		"open for writing by sh (pid N)")
}

func TestUsersOfBackingFile(t *testing.T) {
	path := devtest.Hole(t, 1<<20)
	low := devtest.Loop(t, path)
	top := devtest.Loop(t, low)
	hold(t, "<", path)
	checkUsers(t, top)
	hold(t, "<>", path)
	want := "open for writing by sh (pid N) through " + path + ", beneath it"
	checkUsers(t, low, "behind loop device "+top, want)
	checkUsers(t, top, want)
	if err := os.Remove(path); err != nil { // it's the same file without a name
		t.Fatal(err)
	}
	on, _, _ := new(overlays).loopBacking(identityOf(t, low))
	checkUsers(t, top, "open for writing by sh (pid N) through "+on.id.String()+", beneath it")
}

func TestUsersOfWholeDisk(t *testing.T) {
	dev := devtest.Loop(t, devtest.Hole(t, fsSize+1<<20))
	part := addPartition(t, dev)
	hold(t, "<>", dev)
	checkUsers(t, part, "open for writing by sh (pid N) through "+filepath.Base(dev)+", beneath it")
}

// What lies on the same disk or file but on other bytes doesn't count.
func TestUsersOfOtherParts(t *testing.T) {
	path := devtest.Hole(t, 3*fsSize)
	disk := devtest.Loop(t, path)
	sectors := strconv.Itoa(fsSize >> 9)
	for i, start := range []int{0, fsSize >> 9} {
		n := strconv.Itoa(i + 1)
		devtest.Run(t, "addpart", disk, n, strconv.Itoa(start), sectors)
	}
	window := func(off, size int) string {
		return devtest.Loop(t, path,
			"--offset", strconv.Itoa(off), "--sizelimit", strconv.Itoa(size))
	}
	first, second := window(0, fsSize), window(fsSize, fsSize)
	across := window(2*fsSize-4096, 8192)
	mkfs(t, first)
	mkfs(t, disk+"p2")
	dir := mount(t, disk+"p2")
	hold(t, "<>", first)

	mounted := "mounted on " + dir + " (ext4, rw) through " + filepath.Base(disk) +
		"p2, on the same storage"
	held := "open for writing by sh (pid N) through " + filepath.Base(first) +
		", on the same storage"
	same := func(devices ...string) (users []string) {
		slices.Sort(devices) // the kernel's order
		for _, dev := range devices {
			users = append(users, "on the same storage as loop device "+dev)
		}
		return users
	}
	checkUsers(t, disk+"p1", append(same(first), held)...)
	checkUsers(t, first, append(same(disk), "open for writing by sh (pid N)")...)
	checkUsers(t, second, append([]string{mounted}, same(disk, across)...)...)
	checkUsers(t, across, append([]string{mounted}, same(disk, second)...)...)
}

// A mount is known in whatever mount namespace it is.
func TestUsersInOtherNamespace(t *testing.T) {
	disk := devtest.Loop(t, devtest.Hole(t, fsSize+1<<20))
	part := addPartition(t, disk)
	mkfs(t, part)
	window := devtest.Loop(t, disk, "--offset", strconv.Itoa(1<<20))
	checkUsers(t, window)
	dir := mountElsewhere(t, part, "rw")
	mounted := "mounted on " + dir + " (ext4, rw) in the mount namespace of sh (pid N)"
	checkUsers(t, part, mounted, "on the same storage as loop device "+window)
	checkUsers(t, disk, mounted+" through "+filepath.Base(part), "behind loop device "+window)
	checkUsers(t, window, mounted+" through "+filepath.Base(part)+", on the same storage")

	low := devtest.Loop(t, devtest.Hole(t, fsSize))
	mkfs(t, low)
	top := devtest.Loop(t, low)
	checkUsers(t, top)
	dir = mountElsewhere(t, low, "ro")
	checkUsers(t, top, "mounted on "+dir+" (ext4, ro) in the mount namespace of sh (pid N) "+
		"through "+filepath.Base(low)+", beneath it")
}

// A namespace that has what ours has, as most do, is no more users.
func TestUsersInSeveralNamespaces(t *testing.T) {
	dev := devtest.Loop(t, devtest.Hole(t, fsSize))
	mkfs(t, dev)
	dir := mount(t, dev)
	another := devtest.Loop(t, devtest.Hole(t, fsSize))
	mkfs(t, another)
	mountElsewhere(t, another, "rw")
	checkUsers(t, dev, "mounted on "+dir+" (ext4, rw)")
	mountElsewhere(t, dev, "rw")
	checkUsers(t, dev, "mounted on "+dir+" (ext4, rw)")
	devtest.Run(t, "mount", "-o", "remount,bind,ro", dir) // but not what others have
	if got := usersOf(t, dev); len(got) != 3 ||
		!strings.HasSuffix(got[1], " (ext4, rw) in the mount namespace of sh (pid N)") {
		t.Errorf("users of %s: %q", dev, got)
	}
}

// A file system that is lazily unmounted lives on as long as a file in it is open.
func TestUsersLazilyUnmounted(t *testing.T) {
	dev := devtest.Loop(t, devtest.Hole(t, fsSize))
	mkfs(t, dev)
	dir := t.TempDir()
	devtest.Run(t, "mount", dev, dir)
	f := devtest.Write(t, filepath.Join(dir, "file"), os.O_CREATE|os.O_WRONLY, marker())
	devtest.Run(t, "umount", "--lazy", dir)
	checkUsers(t, dev, "mounted (ext4) where it can't be seen")
	top := devtest.Loop(t, dev)
	checkUsers(t, top, "mounted (ext4) where it can't be seen through "+
		filepath.Base(dev)+", beneath it")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Who only reads asks nobody who would have to answer by refusing others.
func TestUsersAndClaims(t *testing.T) {
	low := devtest.Loop(t, devtest.Hole(t, 1<<20))
	top := devtest.Loop(t, low)
	f, err := os.OpenFile(low, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkUsers(t, top)
	usage, err := UsersAndClaims(identityOf(t, top))
	if err != nil || len(usage.Users) != 1 ||
		usage.Users[0].String() != "claimed by the kernel or another program through "+
			filepath.Base(low)+", beneath it" {
		t.Errorf("%v, %v", usage, err)
	}
}

// The kernel flushes btrfs through no device: it takes a way to the mount.
func TestFlushBtrfsInOtherNamespace(t *testing.T) {
	disk := devtest.Hole(t, 128<<20)
	dev := devtest.Loop(t, disk)
	if out, err := exec.Command("mkfs.btrfs", "-q", dev).CombinedOutput(); err != nil {
		t.Skipf("no btrfs here: %s", out)
	}
	dir := mountElsewhere(t, dev, "rw")
	users := usersOf(t, dev)
	if len(users) != 1 || users[0] != "mounted on "+
		dir+" (btrfs, rw) in the mount namespace of sh (pid N)" {
		t.Fatalf("users of %s: %q", dev, users)
	}
	usage, err := Users(identityOf(t, dev))
	if err != nil || len(usage.Users) != 1 {
		t.Fatalf("%v, %v", usage, err)
	}
	there := filepath.Join("/proc", strconv.Itoa(usage.Users[0].PID), "root", dir, "file")
	devtest.Write(t, there, os.O_CREATE|os.O_WRONLY, marker()).Close()
	checkFlush(t, dev, disk)
}

// mountElsewhere mounts a device in a mount namespace of its own until the test ends.
func mountElsewhere(t *testing.T, dev, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.Command("sh", "-c", `mount -o "$3" "$1" "$2" && echo mounted && read end`, "sh",
		dev, dir, options)
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
		_ = cmd.Wait() // read fails at the end of input
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "mounted\n" {
		t.Fatalf("child said %q, %v", line, err)
	}
	return dir
}

// What was written to the whole disk is in its page cache, where nobody who reads a partition finds
// it.
func TestFlushWholeDisk(t *testing.T) {
	disk := devtest.Hole(t, fsSize+1<<20)
	dev := devtest.Loop(t, disk)
	part := addPartition(t, dev)
	f := devtest.Write(t, dev, os.O_WRONLY, nil)
	if _, err := f.WriteAt(marker(), 2<<20); err != nil {
		t.Fatal(err)
	}
	checkFlush(t, part, disk)
}

func TestFlushOtherLoopDevice(t *testing.T) {
	disk := devtest.Hole(t, fsSize)
	one, two := devtest.Loop(t, disk), devtest.Loop(t, disk)
	mkfs(t, two)
	devtest.Write(t, filepath.Join(mount(t, two), "file"), os.O_CREATE|os.O_WRONLY, marker())
	checkFlush(t, one, disk)
}
