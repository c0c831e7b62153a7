// Package blockdev reads block devices and image files as they really are.
//
// A block device is always read with O_DIRECT. The kernel writes a snapshot's COW device beneath
// the block device's page cache, and a mounted file system writes its device beneath it too, so a
// buffered read can return what was there yesterday. Image files are read through the page cache,
// which is coherent for them.
//
// What somebody has written to the page cache of a device, of a file system on it, or of anything
// else above it is not on the device yet: call [File.Flush] before believing a list of changes.
package blockdev

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"lvmsync/format/durable"
	"lvmsync/format/storage"
	"lvmsync/format/storage/kernel"
)

// minAlign is the smallest alignment used for direct reads, in bytes. The kernel counts devices in
// sectors of 512.
const minAlign = 512

// File is a block device or a regular file, opened for reading. Its methods, except Close, may be
// called concurrently.
type File struct {
	f     *os.File
	name  string
	id    storage.ID
	size  int64 // bytes, at the time it was opened
	align int   // bytes; offset, length and memory of a direct read are multiples of it
}

// Open opens the block device or regular file at path for reading. A block device is opened with
// O_DIRECT; there is no silent fall-back to buffered reads. Directories, character devices, sockets
// and pipes are refused, without opening them. The caller closes the File.
func Open(path string) (*File, error) {
	f, id, err := storage.Open(path)
	if err != nil {
		return nil, err
	}
	b := &File{f: f, name: path, id: id, align: minAlign}
	if err := b.measure(); err != nil {
		f.Close()
		return nil, err
	}
	return b, nil
}

// measure finds size and alignment.
func (b *File) measure() error {
	size, err := b.currentSize()
	if err != nil {
		return err
	}
	b.size = size
	if !b.id.Device {
		return nil
	}
	block, err := ioctlInt(b.f, unix.BLKSSZGET)
	if err != nil {
		return fmt.Errorf("logical block size of %s: %w", b.name, err)
	}
	if block <= 0 || block&(block-1) != 0 || block > bounceSize {
		return fmt.Errorf("logical block size of %s: %d bytes is not a size this "+
			"program can read in", b.name, block)
	}
	b.align = max(block, minAlign)
	return nil
}

func (b *File) currentSize() (int64, error) {
	size, err := b.f.Seek(0, unix.SEEK_END) // a block device's stat says 0
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", b.name, durable.Cause(err))
	}
	return size, nil
}

// CheckSize makes sure that the device or file is no smaller than when it was opened, as one is
// that has gone.
func (b *File) CheckSize() error {
	size, err := b.currentSize()
	if err == nil && size < b.size {
		err = fmt.Errorf("%s has become smaller: %d bytes of %d are left: %w", b.name, size, b.size,
			io.ErrUnexpectedEOF)
	}
	return err
}

// Flush writes down everything that is still in memory above the device or file, see
// [storage.Flush].
func (b *File) Flush() error { return storage.Flush(b.f, b.id) }

// Close closes the file. One that was never opened, nil, is closed.
func (b *File) Close() error {
	if b == nil {
		return nil
	}
	return b.f.Close()
}

// Size is the size in bytes that the device or file had when it was opened.
func (b *File) Size() int64 { return b.size }

// Name is the path given to Open.
func (b *File) Name() string { return b.name }

// IsDevice tells a block device from a regular file.
func (b *File) IsDevice() bool { return b.id.Device }

// ID is the identity of the device or file, whatever path it was opened by.
func (b *File) ID() storage.ID { return b.id }

// LogicalBlockSize is the unit, in bytes, in which the device can be addressed, and at least 512.
// Reads whose offset, length and memory are multiples of it need no copy. It is 512 for a regular
// file, where it means nothing.
func (b *File) LogicalBlockSize() int { return b.align }

// ioctlInt calls an ioctl that stores a C int, through the file's descriptor.
func ioctlInt(f *os.File, request uint) (int, error) {
	var value uint32
	err := kernel.Control(f, func(fd int) (err error) {
		value, err = unix.IoctlGetUint32(fd, request)
		return err
	})
	return int(value), err
}
