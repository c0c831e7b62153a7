package thin

import (
	"context"
	"testing"
)

// One run has a lock at a time, and what it noted is there for the next.
func TestLock(t *testing.T) {
	defer func(dir string) { lockDir = dir }(lockDir)
	lockDir = t.TempDir()
	type note struct{ Block, Sum uint64 }
	noted := note{Block: 7, Sum: 9}
	l, err := takeLock(t.Context(), "LVM-x/y-tpool")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.note(noted); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := takeLock(ctx, "LVM-x/y-tpool"); err != context.Canceled {
		t.Errorf("a second run got the lock: %v", err)
	}
	l.close()
	if l, err = takeLock(t.Context(), "LVM-x/y-tpool"); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	var got note
	if l.read(&got); got != noted {
		t.Errorf("the note is %v, want %v", got, noted)
	}
}
