package apply

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/durable"
	"lvmsync/format/storage"
)

// A destination is the device or file to write to. It's nobody else's as long
// as it is open, unless that was forced.
type destination struct {
	path     string
	f        *os.File      // nil: a dry run of creating it, or base
	base     io.ReaderAt   // what is only looked at instead; mostly nil
	file     *durable.File // the same, if it was created
	in       *direct       // what it is read through; nil if f is
	backing  []storage.BackingFile
	size     int64 // in bytes
	isDevice bool
	isThin   bool
	blocks   poolBlocks
	created  bool
	touched  bool // a write was tried
	unseen   bool // what it holds is not known: there is none yet
	complete bool // it holds all that it shall

	window   window
	flushing outcome // of the window before
	failed   error   // the first error of writing or flushing
}

// isNew tells whether there was nothing before, and so no earlier run either that
// may have been interrupted.
func (d *destination) isNew() bool { return d.f == nil || d.created }

// openDestination opens the destination and makes sure that it may take the
// patch. It changes nothing but, where that is asked for, to create a file.
func openDestination(patches []format.Header, o Options) (*destination, error) {
	st, err := os.Stat(o.Destination)
	if errors.Is(err, fs.ErrNotExist) {
		return createDestination(patches, o)
	}
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", o.Destination, durable.Cause(err))
	}
	d := &destination{path: o.Destination}
	switch st.Mode().Type() {
	case fs.ModeDevice:
		d.isDevice = true
	case 0:
	default:
		return nil, fmt.Errorf("%s is neither a block device nor a regular file", d.path)
	}
	for _, h := range patches {
		if err := checkSource(d.path, h, len(patches) > 1, o); err != nil {
			return nil, err
		}
	}
	err = d.open(o)
	for _, h := range patches {
		if err == nil {
			err = checkStack(d.path, h, len(patches) > 1, o)
		}
	}
	if err == nil {
		err = d.check(st, patches, o)
	}
	if err == nil {
		d.in, err = openDirect(d)
	}
	if err != nil {
		d.closeFiles()
		return nil, err
	}
	return d, nil
}

// room is how much of an extent the destination has room for, in bytes. The rest is cut off.
func (d *destination) room(e format.Extent) int64 { return max(0, min(e.Len, d.size-e.Off)) }

// volumeSize is the size of the volume, in bytes, that the patches are about. It
// may have grown from one to the next.
func volumeSize(patches []format.Header) int64 {
	size := int64(0)
	for _, h := range patches {
		size = max(size, h.VolumeSize)
	}
	return size
}

// sizeBehind is the size of the volume, in bytes, where the patches lead to. It may have become
// smaller: what was behind its end is no part of it any more, and needs no room.
func sizeBehind(patches []format.Header) int64 {
	return patches[len(patches)-1].Last().VolumeSize
}

// open opens the destination for our use alone. O_EXCL keeps out what the kernel
// knows of on a device: mounts, swap, other devices above this one, a second
// apply.
func (d *destination) open(o Options) (err error) {
	flags := os.O_RDWR
	if d.isDevice {
		if isReadOnly(d.path) { // most drivers let it be opened all the same
			return fmt.Errorf("open %s: the device is read-only", d.path)
		}
		flags |= unix.O_EXCL
	}
	d.f, err = os.OpenFile(d.path, flags, 0)
	claimed := d.isDevice && errors.Is(err, unix.EBUSY)
	if claimed && o.Force {
		d.f, err = os.OpenFile(d.path, os.O_RDWR, 0)
	}
	switch {
	case claimed && !o.Force:
		return checkUsers(d.path, claimed, o)
	case err != nil:
		return fmt.Errorf("open %s: %w", d.path, durable.Cause(err))
	}
	if err := d.lock(o); err != nil {
		return err
	}
	return checkUsers(d.path, claimed, o)
}

// check makes sure that the open destination is what st told of, that its name
// still leads to it, and that it can hold the volume.
func (d *destination) check(st fs.FileInfo, patches []format.Header, o Options) error {
	opened, err := d.f.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", d.path, durable.Cause(err))
	}
	now, err := os.Stat(d.path)
	if err != nil || !os.SameFile(st, opened) || !os.SameFile(opened, now) {
		return fmt.Errorf("%s was replaced or removed while it was opened", d.path)
	}
	if d.size, err = d.f.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("find the size of %s: %w", d.path, durable.Cause(err))
	}
	d.dropCache(o)
	if err := d.findThin(o); err != nil {
		return err
	}
	return d.checkSize(sizeBehind(patches), volumeSize(patches), o)
}

// stillNamed makes sure that the name of a file that was written still leads to it: else
// nobody will find there what was written.
func stillNamed(path string, f *os.File) error {
	opened, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, durable.Cause(err))
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(opened, now) {
		return fmt.Errorf("%s was removed or replaced while it was written", path)
	}
	return nil
}

// dropCache brings to the device what others have written, so that an error of
// theirs is not taken for one of ours, and empties the page cache as far as it can.
// What lies there after writes that failed is not only wrong to read (see direct):
// ext4 takes it for allocated, and what is written over it is lost without an error.
func (d *destination) dropCache(o Options) {
	_ = d.f.Sync()
	_ = unix.Fadvise(int(d.f.Fd()), 0, 0, unix.FADV_DONTNEED)
	if d.isDevice {
		o.system.dropCache(d.f)
	}
	for _, b := range d.backing { // a loop device reads them through the cache
		_ = unix.Fadvise(int(b.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
}

// isReadOnly tells whether the kernel refuses to write to a block device.
func isReadOnly(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	ro, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKROGET)
	return err == nil && ro != 0
}

// close closes the destination, and removes it if it was created and nothing
// came of it. It has no error to return: what matters was flushed before.
func (d *destination) close(o Options) {
	if d.f == nil {
		return
	}
	_ = d.flushing.wait() // it uses the file
	if d.created && !d.touched && !d.complete {
		// It's still locked: nobody can have begun to use it.
		if err := d.file.Remove(); err != nil {
			o.Warn(fmt.Sprintf("%s was created and could not be removed again: %v", d.path, err))
		}
	}
	d.closeFiles()
}

func (d *destination) closeFiles() {
	if d.in != nil {
		d.in.close()
	}
	d.blocks.close()
	for _, b := range d.backing {
		b.Close()
	}
	if d.file != nil {
		d.file.Close()
	}
	d.f.Close()
}
