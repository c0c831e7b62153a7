package storage

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/kernel"
)

var (
	// ErrNoSysfs: there is nothing to see in sysfs, which does not mean that there is nothing.
	ErrNoSysfs = errors.New("sysfs is not mounted on /sys, so loop devices and other block " +
		"devices can't be seen")
	// ErrNoProc means the same of proc.
	ErrNoProc = errors.New("proc is not mounted on /proc, so mounts and processes can't be seen")
)

// checkSysfs makes sure that what sysfs says of devices can be seen.
func checkSysfs() error {
	for _, dir := range []string{"block", "dev/block"} {
		if !isSysfs(filepath.Join(kernel.Sys, dir)) {
			return ErrNoSysfs
		}
	}
	return nil
}

// isSysfs takes what tests show in place of sysfs for it.
func isSysfs(dir string) bool {
	var st unix.Statfs_t
	return kernel.Sys != "/sys" || unix.Statfs(dir, &st) == nil && st.Type == unix.SYSFS_MAGIC
}
