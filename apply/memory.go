package apply

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryOf names what keeps the files at path in the machine's memory, so that they are
// gone after a power cut; it's empty if they are on a disk, as far as can be told.
func memoryOf(path string) string {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return ""
	}
	switch int64(fs.Type) {
	case unix.TMPFS_MAGIC:
		return "memory (a tmpfs)"
	case unix.RAMFS_MAGIC:
		return "memory (a ramfs)"
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return ""
	}
	return memoryBelow(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
}

// memoryBelow does the same for a block device, by its folder in sysfs: a disk of memory,
// a file in memory, or what stands on one of these.
func memoryBelow(device string) string {
	device, err := filepath.EvalSymlinks(device)
	if err != nil {
		return "" // a file system without a device of its own, such as NFS or btrfs
	}
	if _, err := os.Stat(filepath.Join(device, "partition")); err == nil {
		device = filepath.Dir(device)
	}
	name := filepath.Base(device)
	if strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "zram") {
		return "memory (the device " + name + ")"
	}
	if file, err := os.ReadFile(filepath.Join(device, "loop", "backing_file")); err == nil {
		return memoryOf(strings.TrimSuffix(string(file), "\n"))
	}
	below, _ := filepath.Glob(filepath.Join(device, "slaves", "*"))
	for _, d := range below {
		if memory := memoryBelow(d); memory != "" {
			return memory
		}
	}
	return ""
}
