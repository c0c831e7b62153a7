package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A machine is what only root can do with this one.
type machine struct{ *testing.T }

func asRoot(t *testing.T) machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may make loop devices and mount file systems")
	}
	return machine{t}
}

// sh runs a command that must succeed, and returns what it prints.
func (m machine) sh(name string, args ...string) string {
	m.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		m.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// loop makes a loop device, which ends with the test or when done is called. --partscan lets its
// partitions go with it, and rids it of those that a test that was killed has left: the kernel
// keeps them otherwise, for whoever gets the device next. The lock keeps one losetup from opening
// the device that another, of a test at the same time, was told to be free, and has taken.
func (m machine) loop(file string, options ...string) (dev string, done func()) {
	m.Helper()
	dev = m.sh("flock", append(append([]string{"/dev/loop-control", "losetup"}, options...),
		"--find", "--show", "--partscan", file)...)
	return dev, m.once("losetup", "--detach", dev)
}

// partition makes a part of a loop device, which ends with it or when done is called.
func (m machine) partition(dev string, number, start, size int) (done func()) {
	m.Helper()
	m.sh("addpart", dev, fmt.Sprint(number), fmt.Sprint(start>>9), fmt.Sprint(size>>9))
	return func() { m.sh("delpart", dev, fmt.Sprint(number)) }
}

// once runs a command when the test ends, or when what is returned is called first.
func (m machine) once(name string, args ...string) (now func()) {
	now = sync.OnceFunc(func() { m.Helper(); m.sh(name, args...) })
	m.Cleanup(now)
	return now
}

// mount makes a file system on a device, and mounts it until the test ends.
func (m machine) mount(dev string) (dir string) {
	m.Helper()
	m.sh("mkfs.ext4", "-q", "-F", dev)
	return m.mounted(dev)
}

// mounted mounts what the arguments say, until the test ends.
func (m machine) mounted(args ...string) (dir string) {
	m.Helper()
	dir = m.TempDir()
	m.sh("mount", append(args, dir)...)
	m.once("umount", "--lazy", dir)
	return dir
}

// mountedUntil mounts what the arguments say, until the test ends or done is called.
func (m machine) mountedUntil(args ...string) (dir string, done func()) {
	m.Helper()
	dir = m.TempDir()
	m.sh("mount", append(args, dir)...)
	return dir, m.once("umount", dir)
}

// overlay mounts an overlay of the directories lower and upper of a folder until the test ends.
func (m machine) overlay(on string) (merged string) {
	m.Helper()
	merged = m.TempDir()
	m.sh("mkdir", "-p", on+"/lower", on+"/upper", on+"/work")
	layers := fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", on, on, on)
	if out, err := exec.Command("mount", "-t", "overlay", "overlay", "-o", layers,
		merged).CombinedOutput(); err != nil {
		m.Skipf("no overlay file system here: %s", out)
	}
	m.once("umount", "--lazy", merged)
	return merged
}

// flock locks a file until the test ends.
func (m machine) flock(path string, how int) {
	m.Helper()
	f, err := os.Open(path)
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { f.Close() })
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		m.Fatal(err)
	}
}

// held opens a file, until the test ends, in another process, which says so.
func (m machine) held(script, path string) {
	m.Helper()
	m.until(exec.Command("bash", "-c", script+`; echo ready; read end`, "bash", path), path)
}

// unshared does something with a file or device in a mount namespace that lives until the test
// ends.
func (m machine) unshared(script, path string) {
	m.Helper()
	m.until(exec.Command("unshare", "--mount", "bash", "-c", script+` && echo ready && read end`,
		"bash", path), path)
}

// until has a process, which says when it's ready, run until the test ends.
func (m machine) until(cmd *exec.Cmd, path string) {
	m.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		m.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		m.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // read fails at the end of input
	})
	if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
		m.Fatalf("the process that holds %s: %v", path, err)
	}
}
