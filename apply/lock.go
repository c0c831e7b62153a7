package apply

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// lock takes both kinds of lock that programs use on image files: QEMU takes
// byte ranges of the file, others flock it.
func (d *destination) lock(o Options) error {
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err := unix.FcntlFlock(d.f.Fd(), unix.F_OFD_SETLK, &whole)
	if err == nil {
		err = unix.Flock(int(d.f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES):
		o.Warn(fmt.Sprintf("%s can't be locked here (%v): make sure that nobody else uses it", d.path, err))
		return nil
	case o.Force:
		o.Warn(fmt.Sprintf("forced: %s is locked by another program", d.path))
		return nil
	}
	return fmt.Errorf("%w: %s is locked by another program", ErrInUse, d.path)
}
