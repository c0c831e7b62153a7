package storage

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"lvmsync/format/storage/devtest"
	"lvmsync/format/storage/kernel"
)

// serve shows a folder in another one as a FUSE file system, of a process of its own, which is
// stopped and goes on as wanted: one that serves itself could not be killed while it waits.
func serve(t *testing.T) (server *os.Process, folder, at string) {
	t.Helper()
	if os.Getenv("TEST_SERVES") != "" {
		root, err := fs.NewLoopbackRoot(os.Getenv("TEST_SERVES"))
		if err != nil {
			t.Fatal(err)
		}
		server, err := fs.Mount(os.Getenv("TEST_SERVES_AT"), root,
			&fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true}})
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("ready\n")
		server.Wait()
		os.Exit(0)
	}
	devtest.NeedRoot(t)
	folder, at = t.TempDir(), t.TempDir()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "TEST_SERVES="+folder, "TEST_SERVES_AT="+at)
	runtime.LockOSThread() // it goes with this thread, if nothing else ends it
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		unix.Unmount(at, unix.MNT_DETACH)
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Skipf("no FUSE here: %q", line)
	}
	return cmd.Process, folder, at
}

// silentLoop makes a loop device over a file of a file system that has stopped to answer, until
// wake is called or the test ends.
func silentLoop(t *testing.T) (dev, at string, wake func()) {
	t.Helper()
	server, folder, at := serve(t)
	if err := os.WriteFile(filepath.Join(folder, "image"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	dev = devtest.Loop(t, filepath.Join(at, "image"))
	before := patience
	t.Cleanup(func() { patience = before })
	patience = 100 * time.Millisecond
	wake = func() { server.Signal(unix.SIGCONT) }
	t.Cleanup(wake)
	if err := server.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return dev, at, wake
}

// A loop device over a file whose file system doesn't answer, as on a server that is gone, is not
// waited for by who has nothing to do with it. What it lies on itself is not known.
func TestLoopWithoutAnswer(t *testing.T) {
	silent, at, wake := silentLoop(t)
	path := devtest.Hole(t, 1<<20)
	dev := devtest.Loop(t, path)
	id := identityOf(t, silent)
	f, err := os.Open(silent)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkUsers(t, path, "behind loop device "+dev)
	patience = time.Minute // it has been waited for, and isn't again
	ask := func(what string, ask func() error) error {
		t.Helper()
		got := make(chan error, 1)
		go func() { got <- ask() }()
		select {
		case err := <-got:
			return err
		case <-time.After(patience / 3):
			wake()
			t.Fatalf("%s waits", what)
			return nil
		}
	}
	stranger := identityOf(t, dev)
	for name, look := range map[string]func() error{
		"Of":    func() error { _, err := Of(stranger); return err },
		"Users": func() error { _, err := Users(stranger); return err },
		"OpenBacking": func() error {
			files, _, err := OpenBacking(dev)
			if len(files) == 1 {
				files[0].Close()
			}
			return err
		},
	} {
		if err := ask(name, look); err != nil {
			t.Errorf("%s of another one: %v", name, err)
		}
	}
	want := filepath.Base(silent) + " does not answer: the file system of its file " +
		filepath.Join(at, "image") + " may hang"
	for name, look := range map[string]func() error{
		"Of":          func() error { _, err := Of(id); return err },
		"MayShare":    func() error { _, err := MayShare(stranger, id); return err },
		"Users":       func() error { _, err := Users(id); return err },
		"Flush":       func() error { return Flush(f, id) },
		"OpenBacking": func() error { _, _, err := OpenBacking(silent); return err },
		"LiesOn":      func() error { _, err := LiesOn(path, id); return err },
		"ThinParts":   func() error { _, err := ThinParts(id); return err },
		"SharesWith": func() error {
			_, err := SharesWith(stranger, Describe(silent, id))
			return err
		},
	} {
		if err := ask(name, look); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wake()
	begin := time.Now()
	for _, err = Of(id); err != nil && time.Since(begin) < patience; _, err = Of(id) {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("it answers again: %v", err)
	}
}

// A silent loop device may lie on a file of the file system that its own is on. One that no server
// or program has doesn't explain the silence: then it may lie on anything.
func TestSilentMayLieOn(t *testing.T) {
	fakeProc(t, map[string]string{"self/mountinfo": "" +
		"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n" +
		"21 20 0:6 / /dev rw - devtmpfs none rw\n" +
		"22 20 0:40 / /mnt/nfs rw - nfs4 server:/ rw\n" +
		"23 22 8:2 / /mnt/nfs/on\\040disk rw - xfs /dev/sda2 rw\n" +
		"24 20 0:41 / /mnt/fuse rw - fuse.sshfs host: rw\n"})
	file := func(major, minor uint32) ID {
		return ID{DevNum: kernel.DevNum{Major: major, Minor: minor}, Inode: 7}
	}
	for name, want := range map[string][]ID{
		"/mnt/nfs/image":           {file(0, 40)},
		"/mnt/nfs/image (deleted)": {file(0, 40)},
		"/mnt/fuse/image":          {file(0, 41)},
		"/mnt/nfs/on disk/image":   {file(0, 40), file(0, 41), file(8, 1), file(8, 2), device(1)},
		"/mnt/nfs-other/image":     {file(0, 40), file(0, 41), file(8, 1), file(8, 2), device(1)},
		"/image":                   {file(0, 40), file(0, 41), file(8, 1), file(8, 2), device(1)},
		"/dev/sdb":                 {file(0, 40), file(0, 41), file(8, 1), file(8, 2), device(1)},
	} {
		fakeSys(t, map[string]string{"dev/block/7:0/loop/backing_file": name + "\n"})
		failure := errors.New("it does not answer")
		loops := loopDevices{silent: []silent{new(overlays).silence(numbered(7, 0), failure)}}
		for _, id := range []ID{file(0, 40), file(0, 41), file(8, 1), file(8, 2), device(1)} {
			_, err := loops.over(id)
			if may := errors.Is(err, failure); may != slices.Contains(want, id) {
				t.Errorf("%s: may it lie on %s? %v", name, id, may)
			}
		}
	}
}
