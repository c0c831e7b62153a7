package thin

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"lvmsync/dump/devmapper"
)

// A use tells other runs that this one reads a volume which one of them has activated: whoever is
// the last deactivates it. It ends with the run, however that ends. Whoever begins or ends one has
// the volume's lock.
type use struct{ f *os.File }

func usePath(lv *devmapper.LogicalVolume) string { return lockPath(volumeLock(lv), ".users") }

func beginUse(lv *devmapper.LogicalVolume) (*use, error) {
	f, err := os.OpenFile(usePath(lv), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("note that a volume is used: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("note that a volume is used: lock %s: %w", f.Name(), err)
	}
	return &use{f}, nil
}

// end ends it and tells whether it was the last one.
func (u *use) end() (last bool, err error) {
	defer u.f.Close()
	err = unix.Flock(int(u.f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err == nil {
		err = os.Remove(u.f.Name())
	}
	if err != nil {
		return true, fmt.Errorf("note that a volume is not used any more: %w", err)
	}
	return true, nil
}
