package storage

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// errNoSysfs: there is nothing to see in sysfs, which does not mean that there is nothing.
var errNoSysfs = errors.New("sysfs is not mounted on /sys, so loop devices and other block devices can't be seen")

// checkSysfs makes sure that what sysfs says of devices can be seen.
func checkSysfs() error {
	for _, dir := range []string{"block", "dev/block"} {
		if !isSysfs(filepath.Join(sysRoot, dir)) {
			return errNoSysfs
		}
	}
	return nil
}

// isSysfs is a variable so that tests can show what this machine does not have.
var isSysfs = func(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Type == unix.SYSFS_MAGIC
}
