package storage

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"lvmsync/format/storage/kernel"
)

// ID identifies a block device or a regular file on this machine, whatever path leads to it. Two
// IDs are equal if and only if they mean the same device or file.
type ID struct {
	// Device is true for a block device, false for a regular file.
	Device bool
	// DevNum is the number of the block device itself, or of the device that holds the file.
	kernel.DevNum
	// Inode is the file's inode number, and 0 for a block device.
	Inode uint64
}

// DeviceID is the identity of the block device with that number.
func DeviceID(num kernel.DevNum) ID { return ID{Device: true, DevNum: num} }

// String describes the identity, for example "block device 253:3".
func (id ID) String() string {
	if id.Device {
		return fmt.Sprintf("block device %s", id.DevNum)
	}
	return fmt.Sprintf("file with inode %d on device %s", id.Inode, id.DevNum)
}

// Identify finds the identity of the block device or regular file at path, following symbolic
// links, without opening it. A file in an overlay is the one that has its bytes now, in the upper
// directory or a lower one. For anything else the error says what it is.
func Identify(path string) (ID, error) { return new(overlays).identify(path) }

// IdentifyFile is Identify for an open file.
func IdentifyFile(f *os.File) (ID, error) {
	info, err := f.Stat()
	if err != nil {
		return ID{}, err
	}
	id, err := identify(f.Name(), info)
	if err == nil && id.mayBeOverlaid() {
		err = kernel.Control(f, func(fd int) (err error) {
			id, err = Identify(filepath.Join("/proc/self/fd", strconv.Itoa(fd)))
			return err
		})
	}
	return id, err
}

func (o *overlays) identify(path string) (ID, error) {
	id, err := identifyAsNamed(path)
	if err != nil || !o.mayHave(id) {
		return id, err
	}
	if real := o.real(path); real != path {
		return identifyAsNamed(real)
	}
	return id, nil
}

// identifyAsNamed takes a file in an overlay for one of its own.
func identifyAsNamed(path string) (ID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return ID{}, err
	}
	return identify(path, info)
}

// mayBeOverlaid tells whether a file may be one in an overlay, which has no device.
func (id ID) mayBeOverlaid() bool { return !id.Device && id.Major == 0 }

func identify(path string, info fs.FileInfo) (ID, error) {
	mode := info.Mode()
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return ID{}, fmt.Errorf("%s: the system does not tell its device number", path)
	case mode.IsRegular():
		return ID{DevNum: kernel.Of(uint64(st.Dev)), Inode: st.Ino}, nil
	case mode&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice:
		return DeviceID(kernel.Of(uint64(st.Rdev))), nil
	}
	return ID{}, fmt.Errorf("%s is %s, not a block device or regular file", path, kindOf(mode))
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeCharDevice != 0:
		return "a character device"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	}
	return "something else"
}
