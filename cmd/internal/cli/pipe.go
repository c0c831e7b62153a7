package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is how much a pipe shall hold, in bytes: what the kernel lets anybody have. With its
// default of 64 KiB, each end would wait for the other one again and again.
const pipeSize = 1 << 20

// widen has a pipe hold more. What is no pipe, or may not, stays as it is.
func widen(f *os.File) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		if n, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0); err == nil && n < pipeSize {
			_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize)
		}
	})
}
