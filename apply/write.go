package apply

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// windowSize is how much is written before the kernel is told to bring it to
// the device, in bytes. The window before is then waited for: errors show up
// soon, the page cache doesn't fill, and the last flush is short.
const windowSize = 32 << 20

// A window is a range of the destination that has been written to.
type window struct {
	start, end         int64
	bytes              int64 // written within it
	lastStart, lastEnd int64 // the one before, on its way to the device
}

// write writes b at off.
func (d *destination) write(b []byte, off int64) error {
	if len(b) == 0 {
		return nil
	}
	d.touched = true
	if n, err := d.f.WriteAt(b, off); err != nil {
		return d.fail(fmt.Errorf("write to %s at byte %d: %w", d.path, off+int64(n), cause(err)))
	}
	w := &d.window
	if w.bytes == 0 {
		w.start = off
	}
	w.end = off + int64(len(b))
	w.bytes += int64(len(b))
	if w.bytes < windowSize {
		return nil
	}
	return d.turn()
}

// turn starts writing back the current window and waits for the one before.
func (d *destination) turn() error {
	w := &d.window
	if err := d.syncRange(w.start, w.end, unix.SYNC_FILE_RANGE_WRITE); err != nil {
		return err
	}
	if w.lastEnd > w.lastStart {
		const wait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
		if err := d.syncRange(w.lastStart, w.lastEnd, wait); err != nil {
			return err
		}
		// Best effort: what is on the device needn't stay in memory.
		_ = unix.Fadvise(int(d.f.Fd()), w.lastStart, w.lastEnd-w.lastStart, unix.FADV_DONTNEED)
	}
	*w = window{lastStart: w.start, lastEnd: w.end}
	return nil
}

// syncRange brings a range to the device, but not past the device's own cache:
// that is left to sync. It's a matter of speed only where it's missing. Any
// other error may be that of a lost write, which nobody will be told again.
func (d *destination) syncRange(start, end int64, flags int) error {
	err := unix.SyncFileRange(int(d.f.Fd()), start, end-start, flags)
	if err == nil || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return d.fail(fmt.Errorf("flush the bytes [%d, %d) of %s: %w", start, end, d.path, err))
}
