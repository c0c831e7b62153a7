package blockdev

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/devtest"
	"lvmsync/format/storage/kernel"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]string{
		dir: dir + " is a directory, not a block device or regular file",
		"/dev/null": "/dev/null is a character device, " +
			"not a block device or regular file",
		pipe:                         pipe + " is a pipe, not a block device or regular file",
		socket:                       socket + " is a socket, not a block device or regular file",
		filepath.Join(dir, "nosuch"): "nosuch: no such file or directory",
	} {
		f, err := Open(path)
		if err == nil {
			f.Close()
			t.Errorf("Open(%s) succeeded", path)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Open(%s): error %q, want one line with %q", path, err, want)
		}
	}
}

func TestOpenFile(t *testing.T) {
	path := devtest.Image(t, devtest.Noise(1, 1234))
	f := open(t, path)
	if f.Size() != 1234 || f.Name() != path || f.IsDevice() || f.LogicalBlockSize() != 512 {
		t.Errorf("size %d, name %s, device %v, block size %d", f.Size(), f.Name(), f.IsDevice(),
			f.LogicalBlockSize())
	}
	if flags := statusFlags(t, f); flags&unix.O_DIRECT != 0 {
		t.Error("a regular file is opened with O_DIRECT")
	}
}

func TestOpenDevice(t *testing.T) {
	dev := devtest.Loop(t, devtest.Image(t, devtest.Noise(1, 512*2049)))
	f := open(t, dev)
	if f.Size() != 512*2049 || f.Name() != dev || !f.IsDevice() || f.LogicalBlockSize() != 512 {
		t.Errorf("size %d, name %s, device %v, block size %d", f.Size(), f.Name(), f.IsDevice(),
			f.LogicalBlockSize())
	}
	if flags := statusFlags(t, f); flags&unix.O_DIRECT == 0 {
		t.Error("a block device is opened without O_DIRECT")
	}
}

func TestOpenDeviceOf4096ByteSectors(t *testing.T) {
	f := open(t, devtest.Loop(t, devtest.Hole(t, 1<<20), "--sector-size", "4096"))
	if got := f.LogicalBlockSize(); got != 4096 {
		t.Errorf("LogicalBlockSize() = %d, want 4096", got)
	}
}

func statusFlags(t *testing.T, f *File) int {
	t.Helper()
	var flags int
	err := kernel.Control(f.f, func(fd int) (err error) {
		flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return flags
}
