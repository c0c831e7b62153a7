package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// startSize is how many bytes are written before the disk is to begin with them: it has less to do
// then when it is waited for.
const startSize = 8 << 20

// start has the disk begin to write what was written since the last time, if that is enough. Whether
// it arrives, Sync tells: this takes no error away from that.
func (f *File) start() error {
	f.mu.Lock()
	from, to := f.started, f.length
	if to-from < startSize {
		to = from
	}
	f.started = to
	f.mu.Unlock()
	if to == from {
		return nil
	}
	return f.fs.start(f.f, from, to-from)
}

func (fs FS) start(f *os.File, off, n int64) error {
	if fs.Start != nil {
		return fs.Start(f, off, n)
	}
	err := unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
	for _, unable := range []error{unix.ENOSYS, unix.EINVAL, unix.ESPIPE, unix.EOPNOTSUPP} {
		if err == unable {
			return nil
		}
	}
	return err
}
