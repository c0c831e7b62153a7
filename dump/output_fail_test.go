package dump

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format/durable"
	"lvmsync/format/storage/devtest"
)

// A disk that fails once and then works leaves the old file as it was, and nothing of the
// new one. A new name that may not last is told of, too.
func TestOutputFailsOnce(t *testing.T) {
	for _, test := range []struct{ kind, message, left string }{
		{"nothing", "", "new"},
		{"write", "write the patch file x: no space left on device", "old"},
		{"sync", "finish the patch file x: input/output error", "old"},
		{"rename", "finish the patch file x: input/output error", "old"},
		{"folder", "the patch file x is whole, but may not outlive a crash: flush its folder: " +
			"input/output error", "new"},
	} {
		t.Run(test.kind, func(t *testing.T) {
			t.Chdir(t.TempDir())
			writeFile(t, "x", "old")
			failed := false
			fails := func(kind string) bool {
				now := kind == test.kind && !failed
				failed = failed || now
				return now
			}
			o, err := createOutput("patch", "x", durable.FS{
				Write: func(f *os.File, b []byte) (int, error) {
					if fails("write") {
						return 0, unix.ENOSPC
					}
					return f.Write(b)
				},
				Sync: func(f *os.File) error {
					if st, err := f.Stat(); err == nil && st.IsDir() && fails("folder") ||
						err == nil && !st.IsDir() && fails("sync") {
						return unix.EIO
					}
					return f.Sync()
				},
				Rename: func(from, to string) error {
					if fails("rename") {
						return unix.EIO
					}
					return os.Rename(from, to)
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = o.Write([]byte("new"))
			if _, again := o.Write(nil); err == nil {
				err = o.Commit()
			} else if again == nil {
				t.Error("a second write succeeds")
			}
			if err != nil && o.Commit() == nil {
				t.Error("a second Commit succeeds")
			}
			if got := errorText(err); got != test.message {
				t.Errorf("error %q, want %q", got, test.message)
			}
			if err := o.Cleanup(); err != nil {
				t.Error(err)
			}
			checkTree(t, ".", map[string]string{"x": test.left})
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// fullDevice mounts an ext4 of 64 MiB on a device that can store a part of it only: what
// it can't is lost, and the kernel learns of that when it writes its cache back.
func fullDevice(t *testing.T) (dir string) {
	t.Helper()
	disk := filepath.Join(mount(t, "size=8m"), "disk")
	writeFile(t, disk, "")
	if err := os.Truncate(disk, 64*mib); err != nil {
		t.Fatal(err)
	}
	devtest.Run(t, "mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard", disk)
	dev := devtest.Loop(t, disk)
	dir = t.TempDir()
	devtest.Run(t, "mount", dev, dir)
	t.Cleanup(func() { devtest.Run(t, "umount", "--lazy", dir) })
	return dir
}

// All writes succeed, for the file system has room. Only the flush tells that nothing
// came of them.
func TestOutputOnFullDevice(t *testing.T) {
	dir := fullDevice(t)
	path := filepath.Join(dir, "x")
	if err := output(t, path, "old"); err != nil {
		t.Fatal(err)
	}
	o, err := CreateOutput("patch", path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 32 {
		if _, err := o.Write([]byte(strings.Repeat(string(rune('a'+i)), mib))); err != nil {
			t.Fatal(err)
		}
	}
	err = o.Commit() // loop devices give one or the other
	if !errors.Is(err, unix.EIO) && !errors.Is(err, unix.ENOSPC) ||
		!strings.HasPrefix(errorText(err), "finish the patch file "+path+": ") {
		t.Errorf("error %v", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 2 || content(t, path) != "old" { // and lost+found
		t.Errorf("left: %v (%v)", names, err)
	}
}
