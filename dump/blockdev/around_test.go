package blockdev

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

func TestUsersOfTheSameFile(t *testing.T) {
	path := image(t, fsSize)
	one := losetup(t, path)
	mkfs(t, one)
	two := losetup(t, path)
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
		"on the same storage as loop device "+two, "open for writing by sh (pid N) through "+name+", on the same storage")
	checkUsers(t, two, "mounted on "+dir+" (ext4, rw)", "on the same storage as loop device "+one,
		"open for writing by sh (pid N)")
}

func TestUsersOfBackingFile(t *testing.T) {
	path := image(t, 1<<20)
	low := losetup(t, path)
	top := losetup(t, low)
	hold(t, "<", path)
	checkUsers(t, top)
	hold(t, "<>", path)
	want := "open for writing by sh (pid N) through " + path + ", beneath it"
	checkUsers(t, low, "behind loop device "+top, want)
	checkUsers(t, top, want)
	if err := os.Remove(path); err != nil { // it's the same file without a name
		t.Fatal(err)
	}
	id, _, _ := LoopBacking(identityOf(t, low))
	checkUsers(t, top, "open for writing by sh (pid N) through "+id.String()+", beneath it")
}

func TestUsersOfWholeDisk(t *testing.T) {
	dev := losetup(t, image(t, fsSize+1<<20))
	part := addPartition(t, dev)
	hold(t, "<>", dev)
	checkUsers(t, part, "open for writing by sh (pid N) through "+filepath.Base(dev)+", beneath it")
}

// What lies on the same disk or file but on other bytes doesn't count.
func TestUsersOfOtherParts(t *testing.T) {
	path := image(t, 3*fsSize)
	disk := losetup(t, path)
	sectors := strconv.Itoa(fsSize >> 9)
	for i, start := range []int{0, fsSize >> 9} {
		n := strconv.Itoa(i + 1)
		run(t, "addpart", disk, n, strconv.Itoa(start), sectors)
		t.Cleanup(func() { run(t, "delpart", disk, n) })
	}
	window := func(off, size int) string {
		return losetup(t, path, "--offset", strconv.Itoa(off), "--sizelimit", strconv.Itoa(size))
	}
	first, second := window(0, fsSize), window(fsSize, fsSize)
	across := window(2*fsSize-4096, 8192)
	mkfs(t, first)
	mkfs(t, disk+"p2")
	dir := mount(t, disk+"p2")
	hold(t, "<>", first)

	mounted := "mounted on " + dir + " (ext4, rw) through " + filepath.Base(disk) + "p2, on the same storage"
	held := "open for writing by sh (pid N) through " + filepath.Base(first) + ", on the same storage"
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

// A mount that this process can't see keeps its device claimed.
func TestUsersOutOfSight(t *testing.T) {
	disk := losetup(t, image(t, fsSize+1<<20))
	part := addPartition(t, disk)
	mkfs(t, part)
	window := losetup(t, disk, "--offset", strconv.Itoa(1<<20))
	checkUsers(t, window)
	mountOutOfSight(t, part)
	checkUsers(t, window, "claimed by the kernel or another program through "+filepath.Base(part)+", on the same storage")

	low := losetup(t, image(t, fsSize))
	mkfs(t, low)
	top := losetup(t, low)
	checkUsers(t, top)
	mountOutOfSight(t, low)
	checkUsers(t, top, "claimed by the kernel or another program through "+filepath.Base(low)+", beneath it")
}

// mountOutOfSight mounts a device in a mount namespace of its own until the test ends.
func mountOutOfSight(t *testing.T, dev string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", `mount "$1" "$2" && echo mounted && read end`, "sh", dev, t.TempDir())
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
}

// What was written to the whole disk is in its page cache, where nobody who reads a partition finds it.
func TestFlushWholeDisk(t *testing.T) {
	disk := image(t, fsSize+1<<20)
	dev := losetup(t, disk)
	part := addPartition(t, dev)
	f := write(t, dev, os.O_WRONLY, nil)
	if _, err := f.WriteAt(marker(), 2<<20); err != nil {
		t.Fatal(err)
	}
	checkFlush(t, part, disk)
}

func TestFlushOtherLoopDevice(t *testing.T) {
	disk := image(t, fsSize)
	one, two := losetup(t, disk), losetup(t, disk)
	mkfs(t, two)
	write(t, filepath.Join(mount(t, two), "file"), os.O_CREATE|os.O_WRONLY, marker())
	checkFlush(t, one, disk)
}
