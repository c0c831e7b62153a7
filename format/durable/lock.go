package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var (
	// ErrLocked means that another program holds the lock of a folder.
	ErrLocked = errors.New("it is in use")
	// ErrNoLock means that a folder can't be locked: its file system has no locks, or it may not
	// be read.
	ErrNoLock = errors.New("it can't be locked")
)

// A FolderLock keeps programs apart that write into a folder and that remove from it. It is on the
// folder itself: no file is made for it, and it ends with the program.
type FolderLock struct{ f *os.File }

// LockFolder locks the folder at path and doesn't wait for it: shared with others, for whoever adds
// files, or exclusive, for whoever removes some. It fails with ErrLocked if another one holds a
// lock that does not go with it, with ErrNoLock if there are no locks there.
func LockFolder(path string, exclusive bool) (*FolderLock, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w: %w", ErrNoLock, Cause(err))
	case err != nil:
		return nil, Cause(err)
	}
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	for {
		err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case err == nil:
		return &FolderLock{f}, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		err = ErrLocked
	default: // EBADF of NFS, which wants a file that is open for writing; ENOLCK, ENOTSUP, ...
		err = fmt.Errorf("%w: %w", ErrNoLock, err)
	}
	f.Close()
	return nil, err
}

// Unlock lets others have the folder. One that is nil does nothing.
func (l *FolderLock) Unlock() {
	if l != nil {
		l.f.Close()
	}
}
