package durable

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A PlaceError says that no file can be kept at a path.
type PlaceError struct {
	Path string
	// Devices is true if that is among the devices, so that one may be meant that does not
	// exist.
	Devices bool
}

// Error says why.
func (e *PlaceError) Error() string {
	if e.Devices {
		return e.Path + " is a name among devices: a file there would be kept in memory, " +
			"and be gone after a restart"
	}
	return e.Path + " lies where the kernel shows itself: no file can be kept there"
}

// kernelsOwn are the file systems that keep no files.
var kernelsOwn = map[int64]bool{
	unix.PROC_SUPER_MAGIC: true, unix.SYSFS_MAGIC: true, unix.DEVPTS_SUPER_MAGIC: true,
	unix.DEBUGFS_MAGIC: true, unix.TRACEFS_MAGIC: true, unix.SECURITYFS_MAGIC: true,
	unix.CGROUP_SUPER_MAGIC: true, unix.CGROUP2_SUPER_MAGIC: true, unix.PSTOREFS_MAGIC: true,
	unix.BPF_FS_MAGIC: true, unix.EFIVARFS_MAGIC: true, unix.HUGETLBFS_MAGIC: true,
	unix.BINFMTFS_MAGIC: true, unix.SELINUX_MAGIC: true, unix.SMACK_MAGIC: true,
	0x19800202: true, 0x62656570: true, 0x65735543: true, // mqueue, configfs, fusectl
}

// CheckPlace refuses a path for a file that shall be made or replaced if no file can be
// kept there, with a [*PlaceError]. Whether its folder is there, and takes files, shows
// when the file is made.
func CheckPlace(path string) error {
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil
	}
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		folder = real
	}
	if strings.HasPrefix(folder+"/", "/dev/") && !strings.HasPrefix(folder+"/", "/dev/shm/") {
		return &PlaceError{path, true}
	}
	var fs unix.Statfs_t
	if unix.Statfs(folder, &fs) != nil {
		return nil
	}
	if kernelsOwn[int64(fs.Type)] {
		return &PlaceError{path, false}
	}
	if g, err := GroundOf(folder); err == nil && g.mount != nil && g.mount.FSType == "devtmpfs" {
		return &PlaceError{path, true}
	}
	return nil
}

// Memory names what keeps the files of a folder, or the file, at path in the machine's
// memory, so that they are gone after a power cut; it's empty if they are on a disk, as far
// as can be told.
func Memory(path string) string {
	g, err := GroundOf(path)
	if err != nil {
		return ""
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(g.Folder, &fs); err != nil {
		return ""
	}
	switch int64(fs.Type) {
	case unix.TMPFS_MAGIC:
		return "memory (a tmpfs)"
	case unix.RAMFS_MAGIC:
		return "memory (a ramfs)"
	}
	for _, dev := range g.Devices {
		if memory := memoryBelow(fmt.Sprintf("/sys/dev/block/%d:%d",
			unix.Major(dev), unix.Minor(dev))); memory != "" {
			return memory
		}
	}
	return ""
}

// memoryBelow names the memory that a block device stands on, by its folder in sysfs: it is a
// disk of memory, one of a file in memory, or stands on one of these.
func memoryBelow(device string) string {
	device, err := filepath.EvalSymlinks(device)
	if err != nil {
		return "" // gone just now
	}
	if _, err := os.Stat(filepath.Join(device, "partition")); err == nil {
		device = filepath.Dir(device)
	}
	name := filepath.Base(device)
	if strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "zram") {
		return "memory (the device " + name + ")"
	}
	if file, err := os.ReadFile(filepath.Join(device, "loop", "backing_file")); err == nil {
		return Memory(strings.TrimSuffix(string(file), "\n"))
	}
	below, _ := filepath.Glob(filepath.Join(device, "slaves", "*"))
	for _, d := range below {
		if memory := memoryBelow(d); memory != "" {
			return memory
		}
	}
	return ""
}
