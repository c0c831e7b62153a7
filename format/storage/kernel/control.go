// Package kernel asks the kernel what it knows of block devices.
package kernel

import "os"

// Control calls fn with the descriptor of a file, which stays open until fn returns. Unlike
// [os.File.Fd] it notices a closed file, and concurrent calls do not wait for each other.
func Control(f *os.File, fn func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return err
	}
	return inner
}
