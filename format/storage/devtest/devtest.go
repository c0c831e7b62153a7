// Package devtest makes storage for tests: images, and devices of a real kernel over them.
package devtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// NeedRoot skips a test that needs loop devices or mounts.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may make loop devices and mount file systems")
	}
}

// Run runs a program that has to succeed and gives what it wrote to standard output.
func Run(t testing.TB, name string, args ...string) string {
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

// Loop puts a loop device in front of a file or device until the test ends. It waits for others
// that look for a free one, who might else open it. --partscan lets its partitions go with it, and
// rids it of those that a test that was killed has left.
func Loop(t testing.TB, backing string, options ...string) string {
	t.Helper()
	NeedRoot(t)
	dev := Run(t, "flock", append(append([]string{"/dev/loop-control", "losetup"}, options...),
		"--find", "--show", "--partscan", backing)...)
	t.Cleanup(func() { Run(t, "losetup", "--detach", dev) })
	return dev
}

// DeviceMapper makes a device-mapper device from a table until the test ends, and gives its path.
func DeviceMapper(t testing.TB, name, table string) string {
	t.Helper()
	NeedRoot(t)
	if devices, err := os.ReadFile("/proc/devices"); err != nil ||
		!strings.Contains(string(devices), "device-mapper") {
		t.Skip("this kernel has no device-mapper: make lvm runs it in the guest")
	}
	name = fmt.Sprintf("test-%s-%d", name, os.Getpid())
	Run(t, "dmsetup", "create", name, "--table", table)
	t.Cleanup(func() { Run(t, "dmsetup", "remove", "--retry", name) })
	Run(t, "dmsetup", "mknodes", name) // there may be no udev
	return "/dev/mapper/" + name
}

// Hole makes an image file of size bytes that is one hole.
func Hole(t testing.TB, size int64) string {
	t.Helper()
	path := Image(t, nil)
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

// Image makes an image file with the given content.
func Image(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Noise makes n bytes that are the same for the same seed.
func Noise(seed uint64, n int) []byte {
	p := make([]byte, n)
	var key [32]byte
	key[0] = byte(seed)
	_, _ = rand.NewChaCha8(key).Read(p) // never fails
	return p
}

// Write writes a file without flushing it, and keeps it open until the test ends.
func Write(t testing.TB, path string, flag int, p []byte) *os.File {
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
