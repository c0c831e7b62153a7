package apply

import (
	"fmt"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/durable"
)

// What goes into a window, in bytes.
const (
	windowData  = 32 << 20
	windowZeros = 256 << 20
)

// A window is what is brought to the destination in one go, while the next one is
// filled: errors show up soon, the page cache doesn't fill, and the last flush is
// short. Its zeros are not made before that, for a device or a file system takes its
// time for them, most of all while it flushes.
type window struct {
	start, end int64           // of what was written
	written    int64           // bytes within that
	zeros      []format.Extent // to be made
	zeroed     int64           // length of them in bytes
}

// write writes b at off.
func (d *destination) write(b []byte, off int64) error {
	if len(b) == 0 {
		return nil
	}
	d.touched = true
	if err := d.settle(off, off+int64(len(b))); err != nil {
		return err
	}
	if err := d.writeAt(b, off); err != nil {
		return d.fail(err)
	}
	w := &d.window
	if w.written == 0 {
		w.start = off
	}
	w.end = off + int64(len(b))
	w.written += int64(len(b))
	if w.written < windowData {
		return nil
	}
	return d.turn()
}

// writeAt writes b at off, for what is accounted for already.
func (d *destination) writeAt(b []byte, off int64) error {
	if n, err := d.f.WriteAt(b, off); err != nil {
		return d.writeError(off+int64(n), err)
	}
	return nil
}

func (d *destination) writeError(off int64, err error) error {
	return fmt.Errorf("write to %s at byte %d: %w", d.path, off, durable.Cause(err))
}

// turn waits for the window before and has the current one brought to the
// destination.
func (d *destination) turn() error {
	if err := d.flushing.wait(); err != nil {
		return d.fail(err)
	}
	w := d.window
	d.window = window{}
	d.flushing = begin(func() error { return d.bring(w) })
	return nil
}

// bring brings a window to the destination.
func (d *destination) bring(w window) error {
	err := d.makeZeros(w.zeros)
	if err == nil {
		err = d.flush()
	}
	if w.written > 0 {
		// Best effort: what is on the device needn't stay in memory.
		_ = unix.Fadvise(int(d.f.Fd()), w.start, w.end-w.start, unix.FADV_DONTNEED)
	}
	return err
}

// flush waits until what was written is on the device, and past the device's own
// cache; and so is the name of a new file.
func (d *destination) flush() error {
	if d.file != nil {
		if err := d.file.Sync(); err != nil {
			return fmt.Errorf("flush %s: %w", d.path, err)
		}
		return nil
	}
	for {
		switch err := unix.Fdatasync(int(d.f.Fd())); err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("flush %s: %w", d.path, err)
		}
	}
}

// sync makes everything durable, the name of a new file included. Once something has
// failed it's refused: the kernel tells of a lost write once only, so that a later
// success would say nothing.
func (d *destination) sync() error {
	if d.failed != nil {
		return d.failed
	}
	w := d.window
	d.window = window{}
	err := d.flushing.wait()
	if err == nil {
		err = d.makeZeros(w.zeros)
	}
	if err == nil {
		err = d.flush()
	}
	if err != nil {
		return d.fail(err)
	}
	return nil
}

// fail remembers that the destination failed.
func (d *destination) fail(err error) error {
	d.failed = err
	return err
}
