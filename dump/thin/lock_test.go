package thin

import (
	"context"
	"testing"
	"time"

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
	for _, d := range []devmapper.Device{{Name: "a"}, {Name: "b"}, {Name: "c", UUID: "LVM-x-tpoo"}, {Name: "d", UUID: "a"}} {
		l, err := (&pool{device: d}).lock(ctx)
		if err != nil {
			t.Fatalf("%+v has the lock of another pool: %v", d, err)
		}
		defer l.close()
	}
}
