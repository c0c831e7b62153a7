package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A flock that whoever started this program has handed on is no obstacle; a range that
// another program has locked is one all the same.
func TestLockForUs(t *testing.T) {
	for name, tt := range map[string]struct {
		flock, other bool // handed on; by another program, with a range
		whole        bool
		want         error
	}{
		"flocked for us":                             {true, false, true, nil},
		"flocked for us, and used by QEMU":           {true, true, true, ErrLocked},
		"flocked for us, and a part used by QEMU":    {true, true, false, ErrLocked},
		"open at whoever started us, used by QEMU":   {false, true, true, ErrLocked},
		"open at whoever started us, used by nobody": {false, false, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
				t.Fatal(err)
			}
			inherited, err := unix.Open(path, unix.O_RDWR, 0) // not closed by exec
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(inherited)
			if tt.flock {
				if err := unix.Flock(inherited, unix.LOCK_EX|unix.LOCK_NB); err != nil {
					t.Fatal(err)
				}
			}
			if tt.other {
				f := open(t, path)
				lock := unix.Flock_t{Type: unix.F_WRLCK, Start: 100, Len: 1}
				if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
					t.Fatal(err)
				}
			}
			if err := Take(open(t, path), tt.whole); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// The lock that was handed on stays what it is, for whoever handed it on: exclusive, though only a
// part of the file is ours. A shared one keeps nobody out who has another, and is not enough.
func TestLockOfCallerStays(t *testing.T) {
	for name, tt := range map[string]struct {
		how   int
		whole bool
		want  error
	}{
		"exclusive":             {unix.LOCK_EX, true, nil},
		"exclusive, for a part": {unix.LOCK_EX, false, nil},
		"shared":                {unix.LOCK_SH, true, ErrLocked},
		"shared, for a part":    {unix.LOCK_SH, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
				t.Fatal(err)
			}
			inherited, err := unix.Open(path, unix.O_RDWR, 0) // not closed by exec
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(inherited)
			if err := unix.Flock(inherited, tt.how|unix.LOCK_NB); err != nil {
				t.Fatal(err)
			}
			if err := Take(open(t, path), tt.whole); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			exclusive := errors.Is(unix.Flock(int(open(t, path).Fd()), unix.LOCK_SH|unix.LOCK_NB),
				unix.EAGAIN)
			if exclusive != (tt.how == unix.LOCK_EX) {
				t.Errorf("others are kept from sharing it: %v", exclusive)
			}
		})
	}
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
