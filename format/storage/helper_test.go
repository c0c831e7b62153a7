package storage

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// needRoot skips a test that needs loop devices or mounts.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may make loop devices and mount file systems")
	}
}

// run runs a program that has to succeed and gives what it wrote to standard output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// losetup puts a loop device in front of a file or device until the test ends. --partscan lets its
// partitions go with it, and rids it of those that a test that was killed has left.
func losetup(t *testing.T, backing string, options ...string) string {
	t.Helper()
	needRoot(t)
	dev := run(t, "flock", append(append([]string{"/dev/loop-control", "losetup"}, options...),
		"--find", "--show", "--partscan", backing)...)
	t.Cleanup(func() { run(t, "losetup", "--detach", dev) })
	return dev
}

// asNobody runs fn in a process without any privileges and gives the first line that it prints.
// That process runs the same test from its beginning, so the call has to come first but for what
// that process should do, too.
func asNobody(t *testing.T, fn func()) string {
	t.Helper()
	if os.Getenv("TEST_AS_NOBODY") != "" {
		fn()
		os.Exit(0)
	}
	needRoot(t)
	// the path may not be open to nobody
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "TEST_AS_NOBODY=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("as nobody: %v: %s", err, out)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// image makes an image file of size bytes that is one hole.
func image(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

// imageOf makes an image file with the given content.
func imageOf(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// noise makes n bytes that are the same for the same seed.
func noise(seed uint64, n int) []byte {
	p := make([]byte, n)
	var key [32]byte
	key[0] = byte(seed)
	_, _ = rand.NewChaCha8(key).Read(p) // never fails
	return p
}

// mkfs makes an ext4 file system on a device, all of its metadata at once.
func mkfs(t *testing.T, dev string) {
	t.Helper()
	run(t, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", dev)
}

// mount mounts a device, or another source, on a new folder until the test ends.
func mount(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	mountOn(t, dir, args...)
	return dir
}

func mountOn(t *testing.T, point string, args ...string) {
	t.Helper()
	run(t, "mount", append(args, point)...)
	t.Cleanup(func() { run(t, "umount", "--lazy", point) })
}

// opened is an open device or file.
type opened struct {
	*os.File
	id ID
}

func (o opened) ID() ID       { return o.id }
func (o opened) Flush() error { return Flush(o.File, o.id) }

// open opens a source until the test ends.
func open(t *testing.T, path string) opened {
	t.Helper()
	f, id, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // some tests close it themselves
	return opened{f, id}
}

// write writes a file without flushing it, and keeps it open until the test ends.
func write(t *testing.T, path string, flag int, p []byte) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(p); err != nil && len(p) > 0 {
		t.Fatal(err)
	}
	return f
}
