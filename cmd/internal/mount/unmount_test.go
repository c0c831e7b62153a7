package mount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	if err := m.Unmount(); !errors.Is(err, ErrDetached) {
		t.Error(err)
	}
	if err := m.Detach(); err != nil {
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
	if err := m.Unmount(); !errors.Is(err, ErrDetached) {
		t.Error(err)
	}
	if err := m.Detach(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(other.files[0]); err != nil {
		t.Error(err)
	}
	f.Close()
	wait(t, m)
}

// What was mounted, but can't be served, is taken away again; what was there before stays.
func TestNotServed(t *testing.T) {
	m := mount(t, newChain(t, 10, 0).volumes())
	if _, err := New(Options{Point: m.point, Source: "not\x00mounted"}); err == nil {
		t.Fatal("mounted")
	}
	if _, err := os.Stat(m.files[0]); err != nil {
		t.Error(err)
	}
	point := t.TempDir()
	for len(point) < 4000 {
		point += "/" + strings.Repeat("x", 50)
	}
	point += "/" + strings.Repeat("y", 4085-len(point)) // no file in it has a path
	if err := os.MkdirAll(point, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Point: point}); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("%v", err)
	}
	if at, err := mountAt(point); at != nil || err != nil {
		t.Errorf("left there: %v, %v; %v", at, err, unix.Unmount(point, unix.MNT_DETACH))
	}
}

// What somebody else mounts over it is left alone, and so is what is beneath.
func TestHidden(t *testing.T) {
	m := mount(t, newChain(t, 10, 0).volumes())
	over := func(kind string) {
		t.Helper()
		if err := unix.Mount(kind, m.point, kind, 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	over("tmpfs")
	for name, f := range map[string]func() error{"unmount": m.Unmount, "detach": m.Detach} {
		if err := f(); !errors.Is(err, ErrHidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if at, err := mountAt(m.point); err != nil || at == nil || at.FSType != "tmpfs" {
		t.Errorf("there is %v, %v", at, err)
	} else if err := unix.Unmount(m.point, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.files[0]); err != nil {
		t.Error(err)
	}
}

// It is unmounted where it is now, be that elsewhere or at several places, and who uses it there
// is named.
func TestMoved(t *testing.T) {
	dir, bound := t.TempDir(), t.TempDir()
	point := dir + "/old/mnt"
	if err := os.MkdirAll(point, 0o700); err != nil {
		t.Fatal(err)
	}
	m := mount(t, newChain(t, 10, 0).volumes(), func(o *Options) { o.Point = point })
	if err := os.Rename(dir+"/old", dir+"/new"); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dir + "/new/mnt/" + filepath.Base(m.files[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := m.Unmount(); !errors.Is(err, ErrBusy) || len(m.Users()) == 0 {
		t.Errorf("%v, used by %q", err, m.Users())
	}
	f.Close()
	if err := unix.Mount(dir+"/new/mnt", bound, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
	wait(t, m)
	if places, err := m.places(); err != nil || len(places) > 0 {
		t.Errorf("it is still at %v, %v", places, err)
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
