package thin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A running tells other runs that a volume is read which may be in use: what the end of that brings
// isn't known before. It ends with the run, however that ends. Its lock is of a kind that can be
// looked at without being taken.
type running struct{ f *os.File }

func runningPath(uuid string) string { return lockPath("reading-"+uuid, ".users") }

// beginRunning begins it for the volume with that UUID.
func beginRunning(uuid string) (*running, error) {
	path := runningPath(uuid)
	if err := os.MkdirAll(lockDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for locks: %w", err)
	}
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("tell that a volume is read: %w", err)
		}
		// Whoever ends has it for a moment.
		if err := setLock(f, unix.F_OFD_SETLKW, unix.F_RDLCK); err != nil {
			f.Close()
			return nil, fmt.Errorf("tell that a volume is read: lock %s: %w", path, err)
		}
		mine, err1 := f.Stat()
		named, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, named) {
			return &running{f}, nil
		}
		f.Close()
	}
}

func setLock(f *os.File, command int, kind int16) error {
	return unix.FcntlFlock(f.Fd(), command, &unix.Flock_t{Type: kind})
}

// end ends it. The last one removes the file.
func (r *running) end() error {
	if r == nil {
		return nil
	}
	defer r.f.Close()
	if err := setLock(r.f, unix.F_OFD_SETLK, unix.F_WRLCK); err != nil {
		return nil // somebody else is reading
	}
	if err := os.Remove(r.f.Name()); err != nil {
		return fmt.Errorf("tell that a volume is not read any more: %w", err)
	}
	return nil
}

// isRunning tells whether there is one for the volume with that UUID.
func isRunning(uuid string) (bool, error) {
	f, err := os.OpenFile(runningPath(uuid), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find out whether a volume is read: %w", err)
	}
	defer f.Close()
	held := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &held); err != nil {
		return false, fmt.Errorf("find out whether a volume is read: %w", err)
	}
	return held.Type != unix.F_UNLCK, nil
}
