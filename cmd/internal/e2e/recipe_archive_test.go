package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// recipe runs one of docs/recipes as it stands, and wants that exit status and a message. It
// returns its output. losetup is as in machine.loop.
func (m machine) recipe(status int, message, name string, args ...string) (output string) {
	m.Helper()
	losetup, err := exec.LookPath("losetup")
	if err != nil {
		m.Fatal(err)
	}
	bin := m.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nexec flock /dev/loop-control %s \"$@\"\n", losetup)
	if err := os.WriteFile(filepath.Join(bin, "losetup"), []byte(script), 0o700); err != nil {
		m.Fatal(err)
	}
	left := m.TempDir() // what it makes for itself, of which nothing may be left
	var out bytes.Buffer
	cmd := exec.Command("../../../docs/recipes/"+name, args...)
	cmd.Stdout = &out
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "TMPDIR="+left,
		"SPOOL="+left, "CACHE="+left)
	got, messages := runCommand(m.T, cmd)
	if got != status || !strings.Contains(messages, message) {
		m.Errorf("%s %q: status %d, want %d with %q: %s", name, args, got, status, message,
			messages)
	}
	if rest, err := os.ReadDir(left); err != nil || len(rest) > 0 {
		m.Errorf("%s %q has left %v; %v", name, args, rest, err)
		m.unmountBelow(left)
	}
	return out.String()
}

// unmountBelow unmounts what a recipe that is wrong has left.
func (m machine) unmountBelow(dir string) {
	m.Helper()
	for line := range strings.Lines(string(mustRead(m.T, "/proc/mounts"))) {
		if point := strings.Fields(line)[1]; strings.HasPrefix(point, dir+"/") {
			m.sh("umount", "--lazy", point)
		}
	}
}

// A diskArchive is a folder with two states of an image.
type diskArchive struct {
	bench
	folder, sums string
}

func newDiskArchive(m machine, image string, change func()) *diskArchive {
	m.Helper()
	a := &diskArchive{bench: bench{machine: m, image: image, dir: m.TempDir()},
		folder: m.TempDir()}
	m.sh("lvmsync-dump", "--full", image, "-o", a.folder+"/0.lvmpatch")
	change()
	m.sh("lvmsync-dump", "--base", a.folder, image, "-o", a.folder+"/1.lvmpatch")
	a.sums = m.sh("sha256sum", a.folder+"/0.lvmpatch", a.folder+"/1.lvmpatch")
	return a
}

// fileSystems is an archive of a disk with ext4 and xfs in partitions, whose files say what state
// it is: "old" or "new". If it is in use, what is new is in the journals.
func fileSystems(m machine, inUse bool) *diskArchive {
	m.Helper()
	image := filepath.Join(m.TempDir(), "disk.img")
	m.sh("truncate", "-s", "400M", image)
	m.partitions(image, 1, 64, 65, 390)
	dev, _ := m.loop(image)
	m.sh("partx", "--update", dev)
	m.sh("mkfs.ext4", "-q", "-F", dev+"p1")
	m.sh("mkfs.xfs", "-q", "-f", dev+"p2")
	write := func(part, text string) (done func()) {
		on, done := m.mountedUntil(dev + part)
		mustWrite(m.T, filepath.Join(on, text), []byte(text))
		m.sh("sync", "--file-system", on)
		return done
	}
	for _, part := range []string{"p1", "p2"} {
		write(part, "old")()
	}
	return newDiskArchive(m, image, func() {
		for _, part := range []string{"p1", "p2"} {
			if done := write(part, "new"); !inUse {
				done()
			}
		}
	})
}

// partitions writes a table of partitions, of which the first and the last MiB are given.
func (m machine) partitions(image string, bounds ...int) {
	m.Helper()
	table := make([]byte, 512)
	for i := 0; i < len(bounds); i += 2 {
		entry := table[446+8*i:]
		entry[4] = 0x83 // Linux
		binary.LittleEndian.PutUint32(entry[8:], uint32(bounds[i]*mib>>9))
		binary.LittleEndian.PutUint32(entry[12:], uint32((bounds[i+1]-bounds[i])*mib>>9))
	}
	copy(table[510:], "\x55\xaa")
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		m.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(table, 0); err != nil {
		m.Fatal(err)
	}
}

// unchanged wants that the patches still are what they were.
func (a *diskArchive) unchanged() {
	a.Helper()
	if got := a.sh("sha256sum", a.folder+"/0.lvmpatch", a.folder+"/1.lvmpatch"); got != a.sums {
		a.Error("the archive has changed")
	}
	a.sh("lvmsync-patch", "list", "--check", a.folder)
}

// One file comes back from the newest state and from an older one, and nothing is left mounted.
func TestRecipeFiles(t *testing.T) {
	a := fileSystems(asRoot(t), false)
	for _, part := range []string{"p1", "p2"} {
		to := filepath.Join(t.TempDir(), "file")
		a.recipe(0, "", "with-state", a.folder, "files", "cp", part+"/new", to)
		if got := string(mustRead(t, to)); got != "new" {
			t.Errorf("%s: %q came back", part, got)
		}
		a.recipe(1, "Read-only file system", "with-state", a.folder, "files", "touch", part+"/x")
	}
	a.recipe(1, "Read-only file system", "with-state", a.folder, "files", "cp", "p1/new", ".")
	a.recipe(3, "", "with-state", a.folder, "files", "sh", "-c", "exit 3")
	t.Setenv("STATE", "2000")
	a.recipe(1, "begins with \"2000\"; there are:\n  2", "with-state", a.folder, "files", "true")
	t.Setenv("STATE", a.names()[0])
	if got := a.recipe(0, "", "with-state", a.folder, "files", "ls", "p1", "p2"); strings.Contains(
		got, "new") || strings.Count(got, "old") != 2 {
		t.Errorf("the older state has %s", got)
	}
	t.Setenv("STATE", "")
	a.sh("lvmsync-dump", "--full", a.noise("other", 7, mib), "-o", a.folder+"/other.lvmpatch")
	a.recipe(1, "begins with \"\"; there are:\n  ", "with-state", a.folder, "true")
	m := a.mountArchive(a.folder)
	volumes, err := filepath.Glob(m.point + "/*other")
	m.stop()
	if err != nil || len(volumes) != 1 {
		t.Fatal(volumes, err)
	}
	t.Setenv("STATE", filepath.Base(volumes[0])+"/")
	if got := a.recipe(0, "", "with-state", a.folder, "du", "-b"); !strings.HasPrefix(got,
		"1048576\t") {
		t.Errorf("the other volume is %s", got)
	}
	a.recipe(1, "no file system found", "files", a.noise("noise", 5, mib), "true")
}

// names are those of the states, the oldest first.
func (a *diskArchive) names() (names []string) {
	a.Helper()
	m := a.mountArchive(a.folder)
	for _, path := range m.states(2) {
		names = append(names, filepath.Base(path))
	}
	m.stop()
	return names
}

// What is in a journal only is seen above an overlay, which can be written to; the archive is as
// it was then.
func TestRecipeOverlay(t *testing.T) {
	a := fileSystems(asRoot(t), true)
	list := []string{"sh", "-c", "cat p1/new p2/new"}
	a.recipe(1, "No such file", "with-state", append([]string{a.folder, "files"}, list...)...)
	got := a.recipe(0, "", "with-state", append([]string{a.folder, "overlay", "files"}, list...)...)
	if got != "newnew" {
		t.Errorf("read %q", got)
	}
	write := filepath.Join(t.TempDir(), "write")
	mustWrite(t, write, []byte(`#!/bin/bash
set -e
head -c 9M /dev/zero | tr '\0' x | dd of="$1" conv=notrunc status=none
[ "$(head -c 9M "$1" | tr -d x | wc -c)" = 0 ]`))
	a.sh("chmod", "+x", write)
	a.recipe(0, "", "with-state", a.folder, "overlay", write)
	a.unchanged()
}

// The monthly check says nothing of an archive that is right, and what is wrong with another.
func TestRecipeCheck(t *testing.T) {
	a := fileSystems(asRoot(t), true)
	quiet := func() {
		t.Helper()
		if got := a.recipe(0, "", "check", a.folder, a.folder); got != "" {
			t.Errorf("it says %q", got)
		}
	}
	quiet()

	// A file system that is broken inside patches that are right: the bitmap of inodes.
	bad := newDiskArchive(a.machine, a.image, func() {
		m := a.machine
		dev, done := m.loop(a.image)
		m.sh("partx", "--update", dev)
		_, unmount := m.mountedUntil(dev + "p1") // replays its journal
		unmount()
		m.sh("debugfs", "-w", "-R", "clri <12>", dev+"p1")
		done()
	})
	a.recipe(1, "e2fsck -fn ", "check", a.folder, bad.folder)

	delta := filepath.Join(a.folder, "1.lvmpatch")
	whole := mustRead(t, delta)
	whole[len(whole)/2] ^= 1
	mustWrite(t, delta, whole)
	a.recipe(1, "list --check "+a.folder+" failed:", "check", a.folder)
	a.recipe(1, "list --check "+a.folder+".none failed", "check", a.folder+".none")
}
