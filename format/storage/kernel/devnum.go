package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Where kernel and udev keep what they know of devices. Variables, so that tests can show devices
// that this machine does not have.
var (
	Sys = "/sys" // sysfs
	Dev = "/dev" // the devices' nodes
)

// ErrNotDM means that a device number belongs to no device-mapper device.
var ErrNotDM = errors.New("not a device-mapper device")

// DevNum is the number of a block device.
type DevNum struct{ Major, Minor uint32 }

// Of takes apart a device number as stat(2) and others have it.
func Of(dev uint64) DevNum { return DevNum{unix.Major(dev), unix.Minor(dev)} }

// Parse reads a number as the kernel prints it, for example "253:3".
func Parse(text string) (DevNum, error) {
	major, minor, ok := strings.Cut(text, ":")
	ma, err1 := strconv.ParseUint(major, 10, 32)
	mi, err2 := strconv.ParseUint(minor, 10, 32)
	if !ok || err1 != nil || err2 != nil {
		return DevNum{}, fmt.Errorf("%q is not a device number", text)
	}
	return DevNum{uint32(ma), uint32(mi)}, nil
}

// At reads the number of the device that a folder of sysfs is about.
func At(dir string) (DevNum, bool) {
	n, err := Parse(Line(dir + "/dev")) // dir may go up from a symbolic link, which Join would undo
	return n, err == nil
}

// Mapped lists the devices of device-mapper.
func Mapped() (nums []DevNum) {
	dirs, _ := filepath.Glob(filepath.Join(Sys, "block", "dm-*")) // fails for a bad pattern only
	for _, dir := range dirs {
		if n, ok := At(dir); ok {
			nums = append(nums, n)
		}
	}
	return nums
}

// ByUUID finds the device with a device-mapper UUID; [ErrNotDM] if there is none.
func ByUUID(uuid string) (DevNum, error) {
	entries, err := os.ReadDir(filepath.Join(Sys, "dev", "block"))
	if err != nil {
		return DevNum{}, fmt.Errorf("find the device %s: %w", uuid, err)
	}
	for _, e := range entries {
		if n, err := Parse(e.Name()); err == nil && uuid != "" && n.UUID() == uuid {
			return n, nil
		}
	}
	return DevNum{}, fmt.Errorf("%w: there is none with the UUID %s", ErrNotDM, uuid)
}

// LVMUUID is what device-mapper has as the UUID of a logical volume, by those that LVM prints of
// its group and of itself.
func LVMUUID(vg, lv string) string { return "LVM-" + strings.ReplaceAll(vg+lv, "-", "") }

// String gives the number as tables have it: "253:1".
func (n DevNum) String() string { return fmt.Sprintf("%d:%d", n.Major, n.Minor) }

// Dir is the folder of sysfs that is about the device.
func (n DevNum) Dir() string { return filepath.Join(Sys, "dev", "block", n.String()) }

// Exists tells whether the kernel knows such a device.
func (n DevNum) Exists() bool { return n.Attr("dev") != "" }

// IsMapped tells whether it is one of device-mapper.
func (n DevNum) IsMapped() bool { return n.Has("dm") }

// UUID is that of device-mapper; LVM's begin with "LVM-". It is empty if there is none.
func (n DevNum) UUID() string { return n.Attr("dm/uuid") }

// Instance tells apart the devices of device-mapper that have had a number one after the other,
// since the machine was started; [ErrNotDM] if there is none of that number.
func (n DevNum) Instance() (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat(n.Dir()+"/dm", &st)
	if errors.Is(err, unix.ENOENT) {
		err = ErrNotDM
	}
	if err != nil {
		return 0, fmt.Errorf("device %s: %w", n, err)
	}
	return st.Ino, nil
}

// Name is the kernel's name of the device, for example "dm-1"; the number of one that has gone.
func (n DevNum) Name() string {
	if real, err := filepath.EvalSymlinks(n.Dir()); err == nil {
		return filepath.Base(real)
	}
	return n.String()
}

// Path is the path of the device's node: the one that the kernel says it made, for example
// "/dev/dm-1"; else that of the kernel's name, if it's there, or of the number.
func (n DevNum) Path() string {
	for line := range strings.Lines(n.Attr("uevent")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); ok {
			return filepath.Join(Dev, name)
		}
	}
	path := filepath.Join(Dev, strings.ReplaceAll(n.Name(), "!", "/"))
	var st unix.Stat_t
	if unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && Of(st.Rdev) == n {
		return path
	}
	return filepath.Join(Dev, "block", n.String())
}

// Attr is what sysfs has of the device in one file; empty if there is none.
func (n DevNum) Attr(name string) string { return Line(n.Dir() + "/" + name) }

// Number is a number of sysfs that isn't negative; -1 if there is none.
func (n DevNum) Number(name string) int64 {
	v, err := strconv.ParseInt(n.Attr(name), 10, 54) // it may be one of sectors
	if err != nil {
		return -1
	}
	return v
}

// Below lists the devices that a driver made the device of. Those of partitions and loop devices
// are not among them.
func (n DevNum) Below() ([]DevNum, error) {
	dir := n.Dir() + "/slaves"
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var nums []DevNum
	for _, e := range entries {
		num, ok := At(dir + "/" + e.Name())
		if !ok {
			if _, err := os.Lstat(dir + "/" + e.Name()); os.IsNotExist(err) {
				return n.Below() // it was let go of just now
			}
			return nil, fmt.Errorf("device %s stands on %s, whose number is not known", n, e.Name())
		}
		nums = append(nums, num)
	}
	return nums, nil
}

// Has tells whether sysfs has that of the device.
func (n DevNum) Has(name string) bool {
	_, err := os.Stat(n.Dir() + "/" + name)
	return err == nil
}

// Line reads a file of sysfs or procfs, without the end of its last line; empty if there is none.
func Line(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(text), "\n")
}
