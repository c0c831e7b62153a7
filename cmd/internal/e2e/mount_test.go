package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// The kernel mounts file systems from the states of an archive, with loop devices that read
// through the page cache and past it, and finds nothing wrong with them.
func TestMountFileSystems(t *testing.T) {
	for _, fs := range []struct{ name, size, make, check, options string }{
		{"ext4", "64M", "mkfs.ext4 -q -F", "e2fsck -fn", "ro,noload"},
		{"xfs", "300M", "mkfs.xfs -q -f", "xfs_repair -n", "ro,norecovery,nouuid"},
	} {
		t.Run(fs.name, func(t *testing.T) {
			m := asRoot(t)
			dir := t.TempDir()
			image, archive := filepath.Join(dir, "disk.img"), filepath.Join(dir, "archive")
			m.sh("mkdir", archive)
			m.sh("sh", "-c", "truncate -s "+fs.size+" $0 && "+fs.make+" $0", image)
			for i, how := range []string{"--full", "--base=" + archive} {
				dev, done := m.loop(image)
				on, unmount := m.mountedUntil(dev)
				mustWrite(t, filepath.Join(on, "file"), bytes.Repeat([]byte{byte('a' + i)}, 5<<20+i))
				unmount()
				done()
				m.sh("lvmsync-dump", how, "-o", fmt.Sprintf("%s/%d.lvmpatch", archive, i), image)
			}
			for i, state := range m.mountArchive(archive).states(2) {
				for _, direct := range []string{"off", "on"} {
					dev, done := m.loop(state, "--read-only", "--direct-io="+direct)
					m.sh("sh", "-c", fs.check+" $0", dev)
					on, unmount := m.mountedUntil("-o", fs.options, dev)
					if got := mustRead(t, filepath.Join(on, "file")); len(got) != 5<<20+i ||
						bytes.Count(got, []byte{byte('a' + i)}) != len(got) {
						t.Errorf("%s, direct %s: the file has %d bytes", state, direct, len(got))
					}
					unmount()
					done()
				}
			}
		})
	}
}

// sparseArchive is a folder with a full patch of an image that has a hole, and a delta.
func sparseArchive(m machine) (archive string, states [][]byte) {
	m.Helper()
	b := &bench{machine: m, dir: m.TempDir()}
	noise := mustRead(m.T, b.noise("noise", 3, 3*mib))
	image := slices.Concat(noise[:mib], make([]byte, 60*mib), noise[mib:])
	archive = m.TempDir()
	for i, how := range []string{"--full", "--base=" + archive} {
		path := filepath.Join(b.dir, "image")
		mustWrite(m.T, path, image)
		m.sh("lvmsync-dump", how, "-o", fmt.Sprintf("%s/%d.lvmpatch", archive, i), path)
		states = append(states, slices.Clone(image))
		copy(image[30*mib:], noise[:mib])
	}
	return archive, states
}

// What copies files with holes finds those of states.
func TestMountSparse(t *testing.T) {
	m := asRoot(t)
	archive, images := sparseArchive(m)
	for i, state := range m.mountArchive(archive).states(2) {
		dir := t.TempDir()
		m.sh("cp", "--sparse=auto", state, dir+"/copy")
		m.sh("sh", "-c", `tar -C "$(dirname "$0")" -cSf - "$(basename "$0")" >"$1/tar"`, state, dir)
		if got := mustRead(t, dir+"/copy"); !bytes.Equal(got, images[i]) {
			t.Errorf("%s: the copy has %d other bytes", state, len(got))
		}
		for _, copied := range []string{"copy", "tar"} {
			st, err := os.Stat(filepath.Join(dir, copied))
			if err != nil {
				t.Fatal(err)
			}
			if room := st.Sys().(*syscall.Stat_t).Blocks * 512; room > 6*mib {
				t.Errorf("%s: %s takes %d bytes", state, copied, room)
			}
		}
	}
}

// A file under the mount is a name of the state, whatever the time zone.
func TestMountNames(t *testing.T) {
	m := asRoot(t)
	t.Setenv("TZ", "Asia/Kolkata")
	archive, images := sparseArchive(m)
	for i, state := range m.mountArchive(archive).states(2) {
		copied := filepath.Join(t.TempDir(), "copy")
		m.sh("lvmsync-apply", archive, "--state", state, "--create", copied)
		if got := mustRead(t, copied); !bytes.Equal(got, images[i]) {
			t.Errorf("%s: %d other bytes", state, len(got))
		}
	}
}

// A signal unmounts what nobody uses, at once. What is in use it unmounts as soon as it is not any
// more, and says by whom; a second one detaches it, a third one ends it.
func TestMountSignals(t *testing.T) {
	m := asRoot(t)
	archive, images := sparseArchive(m)
	idle := m.mountArchive(archive)
	idle.signal()
	idle.wantEnd(0)

	moved := m.mountArchive(archive)
	dir := filepath.Dir(moved.point)
	m.sh("mv", dir, dir+"-moved")
	moved.signal()
	moved.wantEnd(0)
	m.sh("mv", dir+"-moved", dir)

	unmounted := m.mountArchive(archive)
	m.sh("umount", unmounted.point)
	unmounted.wantEnd(0)

	busy := m.mountArchive(archive)
	dev, done := m.loop(busy.states(2)[1], "--read-only")
	busy.signal()
	busy.says(busy.point + " is in use by the loop device " + dev + ": it is unmounted as soon as")
	if got := mustRead(t, dev); !bytes.Equal(got, images[1]) {
		t.Errorf("%d bytes are wrong", len(got))
	}
	done()
	busy.wantEnd(0)

	detached := m.mountArchive(archive)
	f, err := os.Open(detached.states(2)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	detached.signal()
	detached.says(fmt.Sprintf("in use by process %d ", os.Getpid()))
	detached.signal()
	detached.says("is detached")
	b := make([]byte, len(images[0]))
	if _, err := f.ReadAt(b, 0); err != nil || !bytes.Equal(b, images[0]) {
		t.Errorf("read what is detached: %v", err)
	}
	if names, err := os.ReadDir(detached.point); err != nil || len(names) > 0 {
		t.Errorf("it is still there: %v, %v", names, err)
	}
	detached.signal()
	detached.says("it is in use, and can't be read any more")
	detached.wantEnd(1)
}

// What keeps it when it is not mounted any more is told: here a mount namespace, as of a container.
func TestMountNamespace(t *testing.T) {
	m := asRoot(t)
	archive, images := sparseArchive(m)
	for name, unmount := range map[string]func(*mountedArchive){
		"by umount":   func(a *mountedArchive) { m.sh("umount", a.point) },
		"by a signal": (*mountedArchive).signal,
	} {
		t.Run(name, func(t *testing.T) {
			a := m.mountArchive(archive)
			state := a.states(2)[1]
			container := exec.Command("unshare", "--mount", "sh", "-c",
				`echo; read x; exec cat "$0"`, state)
			in, err := container.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := container.StdoutPipe()
			if err == nil {
				err = container.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			unmount(a)
			a.says(fmt.Sprintf("%s is unmounted, but still in use by the mount namespace of "+
				"process %d (sh), where it is on %s: ", a.point, container.Process.Pid, a.point))
			in.Close()
			got, err := io.ReadAll(out)
			err = errors.Join(err, container.Wait())
			if err != nil || !bytes.Equal(got, images[1]) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			a.wantEnd(0)
		})
	}
}

// What a killed run has left is told of.
func TestMountKilled(t *testing.T) {
	m := asRoot(t)
	archive, _ := sparseArchive(m)
	a := m.mountArchive(archive)
	wantRun(t, 1, "an archive is mounted there already", "lvmsync-patch", "mount", archive, a.point)
	if err := a.cmd.Process.Kill(); err != nil { // nobody waits for it
		t.Fatal(err)
	}
	<-a.ended
	wantRun(t, 1, "hint: take it away with \"fusermount3 -u\"", "lvmsync-patch", "mount", archive,
		a.point)
	m.sh("umount", a.point)
}

// Deltas, and an undo patch that is named, are shown over a device or image that holds what they
// start from, and over no other; it is not touched.
func TestMountOverBase(t *testing.T) {
	m := asRoot(t)
	archive, images := sparseArchive(m)
	dir := t.TempDir()
	disk, delta, undo := dir+"/disk.img", archive+"/1.lvmpatch", dir+"/undo.lvmpatch"
	mustWrite(t, disk, images[0])
	over := func(want []byte, args ...string) {
		t.Helper()
		a := m.mountArchive(args...)
		if got := mustRead(t, a.states(1)[0]); !bytes.Equal(got, want) {
			t.Errorf("%q: %d bytes are wrong", args, len(got))
		}
		a.signal()
		a.wantEnd(0)
	}
	over(images[1], delta, "--base", disk)
	dev, done := m.loop(disk)
	over(images[1], delta, "--base", dev)
	done()
	if !bytes.Equal(mustRead(t, disk), images[0]) {
		t.Error("the base was changed")
	}
	m.sh("lvmsync-apply", delta, disk, "--undo", undo)
	over(images[0], undo, "--base", disk)
	point := t.TempDir()
	wantRun(t, 5, "hint: name the device that holds what the first of the patches starts from",
		"lvmsync-patch", "mount", delta, "--base", disk, point)
	wantRun(t, 5, "with --base DEVICE they are shown", "lvmsync-patch", "mount", delta, point)
	wantRun(t, 5, "with --base DEVICE they are shown", "lvmsync-patch", "mount", undo, point)
	both := m.mountArchive(archive, "--base", disk)
	both.states(2)
}

// Nobody writes by lvmsync-apply to an image that is beneath a mount, and what is written to it all
// the same makes reading an error.
func TestMountBaseWritten(t *testing.T) {
	m := asRoot(t)
	archive, images := sparseArchive(m)
	disk, delta := t.TempDir()+"/disk.img", archive+"/1.lvmpatch"
	mustWrite(t, disk, images[0])
	a := m.mountArchive(delta, "--base", disk)
	state := a.states(1)[0]
	mustRead(t, state)
	wantRun(t, 1, "locked by another program", "lvmsync-apply", delta, disk)
	mustWrite(t, disk, images[0])
	m.sh("touch", "--date=2001-01-01", disk)
	if _, err := os.ReadFile(state); !errors.Is(err, syscall.EIO) {
		t.Errorf("read: %v", err)
	}
	a.signal()
	a.wantEnd(0)
}

// A state whose patches may not follow one another is shown to who names all of them, and to
// nobody else.
func TestMountDoubt(t *testing.T) {
	m := asRoot(t)
	dir := t.TempDir()
	archive, volume, old := dir+"/bk", dir+"/volume.img", dir+"/old.img"
	full, delta := archive+"/full", archive+"/delta"
	_, images := sparseArchive(m)
	mustWrite(t, volume, images[0])
	mustWrite(t, old, images[0])
	m.sh("mkdir", archive)
	m.sh("lvmsync-dump", "--full", volume, "-o", full)
	mustWrite(t, volume, images[1])
	m.sh("lvmsync-dump", "--base", old, volume, "-o", delta)
	a := m.mountArchive(archive)
	a.says("is left out, with what only leads to it: the way to the state is in doubt: ")
	a.states(1)
	a.signal()
	a.wantEnd(0)
	a = m.mountArchive(full, delta)
	a.says("is shown, for all of its patches are named: ")
	if got := mustRead(t, a.states(2)[1]); !bytes.Equal(got, images[1]) {
		t.Error("the named state is wrong")
	}
}
