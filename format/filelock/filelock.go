// Package filelock locks files against other programs.
package filelock

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked means that another program has locked a file.
var ErrLocked = errors.New("locked by another program")

// Take takes both kinds of lock that programs use on image files: QEMU takes byte ranges of
// the file, others flock it. They last as long as f is open. A file of which only a part is
// ours (whole is false) is locked so that others who want all of it notice, but not who wants
// another part. An error other than ErrLocked means that f can't be locked where it is.
func Take(f *os.File, whole bool) error {
	how := unix.LOCK_EX
	if !whole {
		how = unix.LOCK_SH
	}
	if err := lockRange(f, whole); err != nil { // nobody hands on such a lock
		return lockError(err)
	}
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EAGAIN) && lockedForUs(f) {
		return nil
	}
	return lockError(err)
}

func lockError(err error) error {
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrLocked
	}
	return err
}

// lockedForUs tells whether a file is flocked, against everybody else, by whoever started this
// program, so that this program may use it: a script that keeps others out has handed on the
// descriptor. It is only looked at: to flock it again would make an exclusive lock a shared one,
// for the script, too.
func lockedForUs(f *os.File) bool {
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
		if err != nil || flagErr != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // opened by this program itself
		}
		inherited, err := os.Stat("/proc/self/fd/" + e.Name())
		if err == nil && os.SameFile(mine, inherited) && hasExclusive(e.Name()) {
			return true
		}
	}
	return false
}

// hasExclusive tells whether an exclusive flock was taken through a descriptor, or one that is a
// copy of it.
func hasExclusive(fd string) bool {
	info, err := os.ReadFile("/proc/self/fdinfo/" + fd)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(info)) {
		f := strings.Fields(line) // lock: 1: FLOCK ADVISORY WRITE ...
		if len(f) > 4 && f[0] == "lock:" && f[2] == "FLOCK" && f[4] == "WRITE" {
			return true
		}
	}
	return false
}

// lockRange takes a lock of all bytes, or finds out that nobody has one of any.
func lockRange(f *os.File, whole bool) error {
	all := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if whole {
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
