package apply

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// lock locks the destination against others who take it for a file: it, if it is
// one, and the files that it stands on. A file of which it is only a part is locked
// so that others who want all of it notice, but not who wants another part.
func (d *destination) lock(o Options) (err error) {
	if !d.isDevice {
		if err := lockFile(BackingFile{d.f, d.path, true}, d.path, o); err != nil {
			return err
		}
	}
	if d.backing, err = o.System.Backing(d.path, o.Warn); err != nil {
		if err = fmt.Errorf("find the files behind %s: %w", d.path, err); !o.Force {
			return err
		}
		o.Warn("forced: " + err.Error())
	}
	for _, b := range d.backing {
		if err := lockFile(b, fmt.Sprintf("%s, on which %s lies,", b.Path, d.path), o); err != nil {
			return err
		}
	}
	return nil
}

// lockFile takes both kinds of lock that programs use on image files: QEMU takes
// byte ranges of the file, others flock it. what is the file in messages.
func lockFile(f BackingFile, what string, o Options) error {
	how := unix.LOCK_EX
	err := lockRange(f)
	if !f.Whole {
		how = unix.LOCK_SH
	}
	if err == nil {
		err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	}
	if errors.Is(err, unix.EAGAIN) && lockedForUs(f, how) {
		return nil
	}
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES):
		o.Warn(fmt.Sprintf("%s can't be locked here (%v): make sure that nobody else uses it", what, err))
		return nil
	case o.Force:
		o.Warn(fmt.Sprintf("forced: %s is locked by another program", what))
		return nil
	}
	return fmt.Errorf("%w: %s is locked by another program", ErrInUse, what)
}

// lockedForUs tells whether a file is flocked by whoever started this program, so that this
// program may use it: a script that keeps others out has handed on the descriptor.
func lockedForUs(f BackingFile, how int) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return false
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		flags, flagErr := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flagErr != nil || flags&unix.FD_CLOEXEC != 0 { // opened by this program itself
			continue
		}
		inherited, err := os.Stat("/proc/self/fd/" + e.Name())
		if err == nil && os.SameFile(mine, inherited) && unix.Flock(fd, how|unix.LOCK_NB) == nil {
			return true // who has the lock gets it again
		}
	}
	return false
}

// lockRange takes a lock of all bytes, or finds out that nobody has one of any.
func lockRange(f BackingFile) error {
	all := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if f.Whole {
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &all)
		if !errors.Is(err, unix.EBADF) { // it could be opened for reading only
			return err
		}
	}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &all)
	if err == nil && all.Type != unix.F_UNLCK {
		return unix.EAGAIN
	}
	return err
}
