package mount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Nobody is cut off by unmounting what they use; they are named. Once it is detached they go on,
// and nobody else comes.
func TestBusy(t *testing.T) {
	c := newChain(t, 300, 0)
	m := mount(t, c.volumes())
	f := m.open(0)
	if err := m.Unmount(); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	self := fmt.Sprintf("process %d ", os.Getpid())
	if users := m.Users(); !slices.ContainsFunc(users, func(u string) bool {
		return len(u) > len(self) && u[:len(self)] == self
	}) {
		t.Errorf("users %q", users)
	}
	if err := m.Detach(); err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if _, err := os.Stat(m.files[0]); err == nil {
		t.Error("it is still there")
	}
	b := make([]byte, len(c.images[0]))
	if _, err := f.ReadAt(b, 0); err != nil || !bytes.Equal(b, c.images[0]) {
		t.Error(err)
	}
	f.Close()
	wait(t, m)
}

// What somebody else unmounts has ended; what they mount in its place is left alone.
func TestUnmountedByOthers(t *testing.T) {
	c := newChain(t, 300, 0)
	m := mount(t, c.volumes())
	f := m.open(0)
	if err := unix.Unmount(m.point, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	other := mount(t, c.volumes(), func(o *Options) { o.Point = m.point })
	if err := m.Unmount(); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if _, err := os.Stat(other.files[0]); err != nil {
		t.Error(err)
	}
	f.Close()
	wait(t, m)
}

// What somebody mounts on top of it is not taken away for it.
func TestCovered(t *testing.T) {
	m := mount(t, newChain(t, 300, 0).volumes())
	if err := unix.Mount("cover", m.point, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if at, err := mountAt(m.point); err != nil || at == nil || at.FSType != "tmpfs" {
		t.Error(at, err)
	}
	if err := unix.Unmount(m.point, 0); err != nil {
		t.Fatal(err)
	}
}

func wait(t *testing.T, m *mounted) {
	t.Helper()
	select {
	case <-m.Done():
	case <-time.After(30 * time.Second):
		t.Error("it has not ended")
	}
}

// Where nothing can be mounted, that is said, and what to do.
func TestCheckPoint(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newChain(t, 10, 0)
	there, dead := mount(t, c.volumes()), mount(t, c.volumes())
	dead.abort()
	wait(t, dead)
	for path, want := range map[string]error{
		dir + "/missing": ErrNoPoint,
		file:             ErrNotFolder,
		dir:              ErrNotEmpty,
		there.point:      ErrMounted,
		dead.point:       ErrStale,
	} {
		_, err := CheckPoint(path)
		if !errors.Is(err, want) || Hint(err) == "" && want != ErrNotFolder {
			t.Errorf("%s: %v, hint %q", path, err, Hint(err))
		}
	}
	if err := unix.Unmount(dead.point, 0); err != nil {
		t.Error(err)
	}
	link := dir + "/link"
	if err := os.Symlink(dead.point, link); err != nil {
		t.Fatal(err)
	}
	if got, err := CheckPoint(link); got != dead.point || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}
