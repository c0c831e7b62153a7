package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"lvmsync/format/durable"
)

// ErrReport means that the report of --json could not be written.
var ErrReport = errors.New("the report could not be written")

// A StdoutError means that what was written to standard output is not whole there.
type StdoutError struct{ Err error }

// Error says so.
func (e *StdoutError) Error() string {
	return fmt.Sprintf("standard output: %v; what was written there is not whole", e.Err)
}

// Unwrap gives the cause.
func (e *StdoutError) Unwrap() error { return e.Err }

var errClosed = errors.New("it is closed (or /dev/null, opened to be read as well)")

// A stdout is standard output, for what was asked for. The first error sticks: nothing that comes
// later makes up for it.
type stdout struct {
	ctx  context.Context
	f    *os.File
	used bool
	err  error
}

// Write implements [io.Writer].
func (s *stdout) Write(b []byte) (n int, err error) {
	if !s.used && s.err == nil && isClosed(s.f) {
		s.err = &StdoutError{errClosed}
	}
	s.used = true
	if s.err != nil {
		return 0, s.err
	}
	if n, err = InterruptibleWriter(s.ctx, s.f).Write(b); err != nil {
		s.err = &StdoutError{durable.Cause(err)}
	}
	return n, s.err
}

// sync makes durable what was written, where that means anything: only then has a disk told whether
// it has it.
func (s *stdout) sync() error {
	if !s.used || s.err != nil || !IsStored(s.f) {
		return s.err
	}
	flush := func() (struct{}, error) { return struct{}{}, s.f.Sync() }
	if _, err := Await(s.ctx, flush); err != nil { // a disk may be silent, too
		s.err = &StdoutError{durable.Cause(err)}
	}
	return s.err
}

// Out is standard output, for what was asked for. Whether that has arrived is checked in the end.
func (inv *Invocation) Out() io.Writer { return inv.out }

// SyncOut makes durable what was written to standard output so far, where that means anything.
func (inv *Invocation) SyncOut() error { return inv.out.sync() }

// IsStored tells whether f is a regular file or a block device: what is written there is to be
// found there later, and can be read twice.
func IsStored(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && (st.Mode().IsRegular() || st.Mode().Type() == fs.ModeDevice)
}

// isClosed tells whether a standard file was closed when the program was started: then the runtime
// has opened /dev/null in its place, for reading and writing, as whoever wants to have nothing
// doesn't, unless for several of the standard files at once.
func isClosed(f *os.File) bool {
	var null, st unix.Stat_t
	fd := int(f.Fd())
	if unix.Stat(os.DevNull, &null) != nil || unix.Fstat(fd, &st) != nil ||
		st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != null.Rdev {
		return false
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE == unix.O_RDWR && !isShared(fd)
}

// isShared tells whether another of the standard files is the same open file as fd.
func isShared(fd int) bool {
	pid := uintptr(os.Getpid())
	for other := range 3 {
		const file = 0 // KCMP_FILE
		if other == fd {
			continue
		}
		order, _, errno := unix.Syscall6(unix.SYS_KCMP,
			pid, pid, file, uintptr(fd), uintptr(other), 0)
		if errno == 0 && order == 0 {
			return true
		}
	}
	return false
}

// IsFull tells whether there was no room for what was to be written.
func IsFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
