package thin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockDir is where the locks are. What is in it is gone after a restart, as is what their notes are
// about.
var lockDir = "/run/lvmsync"

// lockPause is how long to wait before a lock is tried again.
const lockPause = 50 * time.Millisecond

// patience is how long a run may wait for another one unnoticed.
var patience = 3 * time.Second

type waitingKey struct{} // key of a context's value: a func(string)

// WithWaiting gives a context with which notify is told, if it takes a while, what of another run
// is waited for: "another dump to read the metadata of ...".
func WithWaiting(ctx context.Context, notify func(what string)) context.Context {
	return context.WithValue(ctx, waitingKey{}, notify)
}

// A lock keeps two runs from changing the state of one pool or volume at once. Its file has a note
// of what a run is about to change or has changed, for the next one, should it be killed.
type lock struct{ f *os.File }

// lockPath is the path of a file for what is locked.
func lockPath(name, suffix string) string {
	return filepath.Join(lockDir, strings.ReplaceAll(name, "/", "_")+suffix)
}

// takeLock waits until no other run has the lock of that name, which is to do what is told.
func takeLock(ctx context.Context, name, what string) (*lock, error) {
	if err := os.MkdirAll(lockDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for locks: %w", err)
	}
	path := lockPath(name, ".lock")
	notify, _ := ctx.Value(waitingKey{}).(func(string))
	for long := time.After(patience); ; {
		l, err := tryLock(path)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-time.After(lockPause):
		case <-long:
			if notify != nil {
				notify("another dump to " + what)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryLock takes the lock, or nothing if another run has it.
func tryLock(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("take the lock %s: %w", path, err)
	}
	// The one who had it may have removed it meanwhile.
	mine, err1 := f.Stat()
	named, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(mine, named) {
		f.Close()
		return nil, nil
	}
	return &lock{f: f}, nil
}

// read reads the note. What can't be read proves nothing.
func (l *lock) read(note any) {
	// What follows is left of an older note.
	_ = json.NewDecoder(io.NewSectionReader(l.f, 0, 4096)).Decode(note)
}

// note replaces the note. Should the run be killed meanwhile, there is the old one or the new one.
func (l *lock) note(note any) error {
	text, err := json.Marshal(note)
	if err == nil {
		_, err = l.f.WriteAt(text, 0)
	}
	if err == nil {
		err = l.f.Truncate(int64(len(text)))
	}
	if err != nil {
		return fmt.Errorf("write the lock %s: %w", l.f.Name(), err)
	}
	return nil
}

// remove removes the lock's file with the note.
func (l *lock) remove() error {
	if err := os.Remove(l.f.Name()); err != nil {
		return fmt.Errorf("remove a lock: %w", err)
	}
	return nil
}

func (l *lock) close() { l.f.Close() }

// end gives up a lock that leaves no note.
func (l *lock) end() error {
	defer l.close()
	return l.remove()
}
