package storage

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"lvmsync/format/storage/devtest"
)

// asNobody runs fn in a process without any privileges and gives the first line that it prints.
// That process runs the same test from its beginning, so the call has to come first but for what
// that process should do, too.
func asNobody(t *testing.T, fn func()) string {
	t.Helper()
	if os.Getenv("TEST_AS_NOBODY") != "" {
		fn()
		os.Exit(0)
	}
	devtest.NeedRoot(t)
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

// mkfs makes an ext4 file system on a device, all of its metadata at once.
func mkfs(t *testing.T, dev string) {
	t.Helper()
	devtest.Run(t, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", dev)
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
	devtest.Run(t, "mount", append(args, point)...)
	t.Cleanup(func() { devtest.Run(t, "umount", "--lazy", point) })
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
