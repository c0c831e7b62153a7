package apply

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctlRange does an ioctl of a block device that takes start and length in
// bytes (linux/fs.h: BLKDISCARD).
func ioctlRange(f *os.File, request uintptr, startAndLength *[2]uint64) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request,
		uintptr(unsafe.Pointer(startAndLength)))
	if errno != 0 {
		return errno
	}
	return nil
}
