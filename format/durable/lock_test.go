package durable

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestLockFolder(t *testing.T) {
	for name, tt := range map[string]struct {
		held, wanted bool // exclusively
		want         error
	}{
		"two that add":          {false, false, nil},
		"one adds, one removes": {false, true, ErrLocked},
		"one removes, one adds": {true, false, ErrLocked},
		"two that remove":       {true, true, ErrLocked},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			held, err := LockFolder(dir, tt.held)
			if err != nil {
				t.Fatal(err)
			}
			second, err := LockFolder(dir, tt.wanted)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			second.Unlock()
			held.Unlock()
			if again, err := LockFolder(dir, true); err != nil {
				t.Error("after it was unlocked:", err)
			} else {
				again.Unlock()
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left: %v (%v)", left, err)
			}
		})
	}
	dir := t.TempDir()
	if _, err := LockFolder(filepath.Join(dir, "gone"), true); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := LockFolder("/proc/self/exe", true); err == nil {
		t.Error("a file was locked")
	}
}
