package storage

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// probeDir is where all programs of this kind find the lock below. A variable, for tests.
var probeDir = "/run/lvmsync"

// probe opens a device for a moment as if to claim it, and gives what came of that. Another program
// that probes the same device has it claimed for that moment: so one at a time does. Who may not
// make the lock probes without.
func probe(path string) error {
	if f := probeLock(); f != nil {
		defer f.Close()
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_EXCL|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// probeLock waits until nobody else probes; nil if there is no lock.
func probeLock() *os.File {
	if os.MkdirAll(probeDir, 0o700) != nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(probeDir, "probe.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			return f // locked or not, close it
		}
	}
}
