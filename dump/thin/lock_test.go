package thin

import (
	"context"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvmsync/dump/devmapper"
)

// One run has a lock at a time, and what it noted is there for the next.
func TestLock(t *testing.T) {
	defer func(dir string) { lockDir = dir }(lockDir)
	lockDir = t.TempDir()
	type note struct{ Block, Sum uint64 }
	noted := note{Block: 7, Sum: 9}
	l, err := takeLock(t.Context(), "LVM-x/y-tpool", "do something")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.note(noted); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := takeLock(ctx, "LVM-x/y-tpool", "do something"); err != context.Canceled {
		t.Errorf("a second run got the lock: %v", err)
	}
	l.close()
	if l, err = takeLock(t.Context(), "LVM-x/y-tpool", "do something"); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	var got note
	if l.read(&got); got != noted {
		t.Errorf("the note is %v, want %v", got, noted)
	}
}

// A run that is killed while it replaces a note leaves the old one or the new one, never none.
func TestNoteReplacedHalfWay(t *testing.T) {
	type note struct{ Block, Sum uint64 }
	first, second := note{1 << 60, 1 << 60}, note{Block: 7}
	for name, seal := range map[string]int{
		"before it is written": unix.F_SEAL_WRITE,
		"before it is cut":     unix.F_SEAL_SHRINK,
	} {
		t.Run(name, func(t *testing.T) {
			fd, err := unix.MemfdCreate("lock", unix.MFD_ALLOW_SEALING)
			if err != nil {
				t.Fatal(err)
			}
			l := &lock{f: os.NewFile(uintptr(fd), "lock")}
			defer l.close()
			if err := l.note(first); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seal); err != nil {
				t.Fatal(err)
			}
			if err := l.note(second); err == nil {
				t.Fatal("the note was replaced")
			}
			var got note
			if l.read(&got); got != first && got != second {
				t.Errorf("the note is %v, want %v or %v", got, first, second)
			}
		})
	}
}

// Whoever waits for another run is told what for.
func TestWaitingIsTold(t *testing.T) {
	f := newFakePool(t, ":", ":") // which has the lock
	defer func(old time.Duration) { patience = old }(patience)
	patience = 0
	ctx, cancel := context.WithCancel(t.Context())
	said := ""
	ctx = WithWaiting(ctx, func(what string) {
		said = what
		cancel()
	})
	if l, err := f.lock(ctx); l != nil || err != context.Canceled {
		t.Errorf("the lock was taken twice: %v", err)
	}
	if want := "another dump to read the metadata of the pool vg-pool-tpool"; said != want {
		t.Errorf("%q was told, want %q", said, want)
	}
}

// Two pools never share a lock, with a UUID or without.
func TestLocksOfPools(t *testing.T) {
	newFakePool(t, ":", ":") // which has its own
	defer func(old time.Duration) { patience = old }(patience)
	patience = 0
	ctx, cancel := context.WithCancel(t.Context())
	ctx = WithWaiting(ctx, func(string) { cancel() }) // which it must not come to
	for _, d := range []devmapper.Device{
		{Name: "a"}, {Name: "b"}, {Name: "c", UUID: "LVM-x-tpoo"}, {Name: "d", UUID: "a"},
	} {
		l, err := (&pool{device: d}).lock(ctx)
		if err != nil {
			t.Fatalf("%+v has the lock of another pool: %v", d, err)
		}
		defer l.close()
	}
}
