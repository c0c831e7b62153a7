package devmapper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/kernel"
)

// isOther tells whether the device is there and not device-mapper's.
func isOther(n kernel.DevNum) bool {
	if _, err := os.Stat(n.Dir()); err != nil {
		return false
	}
	_, err := os.Stat(filepath.Join(n.Dir(), "dm"))
	return errors.Is(err, fs.ErrNotExist)
}

// isGone tells whether there is no such device, or no longer one of device-mapper.
func isGone(n kernel.DevNum) bool {
	if _, err := os.Stat(filepath.Dir(n.Dir())); err != nil {
		return false // nor does the kernel tell
	}
	_, err := os.Stat(filepath.Join(n.Dir(), "dm"))
	return errors.Is(err, fs.ErrNotExist)
}

// argsFor are arguments of dmsetup with those that name the device.
func argsFor(n kernel.DevNum, args []string) []string {
	major, minor := strconv.FormatUint(uint64(n.Major), 10), strconv.FormatUint(uint64(n.Minor), 10)
	return append(args[:len(args):len(args)], "-j", major, "-m", minor)
}

// Device is what device-mapper knows of a device.
type Device struct {
	// Name is device-mapper's own name, for example "my--vg-s--1".
	Name string
	// UUID is device-mapper's; LVM's begin with "LVM-". It may be empty.
	UUID string
	Num  kernel.DevNum
	// VG and LV are LVM's names, "my-vg" and "s-1"; empty for a device that is not LVM's.
	VG, LV string
	// Layer is LVM's name for a part of a volume that is not the volume itself, such as "real" or
	// "cow".
	Layer string
}

// Path is a path of the device's node: by name under /dev/mapper if that is there, else by number.
func (d Device) Path() string {
	path := filepath.Join(kernel.Dev, "mapper", d.Name)
	if num, err := blockDeviceAt(path); err == nil && num == d.Num {
		return path
	}
	return d.Num.Path()
}

// Exists tells whether the device is still there, by its UUID and not by its number alone, which
// another may have now. It asks the kernel, not dmsetup.
func (d Device) Exists() bool {
	return d.Num.IsMapped() && d.Num.UUID() == d.UUID
}

// errNotBlock means that a path leads to something that is no block device.
var errNotBlock = errors.New("not a block device")

func blockDeviceAt(path string) (kernel.DevNum, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return kernel.DevNum{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return kernel.DevNum{}, errNotBlock
	}
	return kernel.Of(uint64(st.Rdev)), nil
}

// infoFields are the columns that parseDevices expects. No field but the last can have a slash in
// it, of which the kernel says so for the name, and LVM for its own.
const infoFields = "major,minor,vg_name,lv_name,lv_layer,name,uuid"

var infoArgs = []string{"info", "-c", "--noheadings", "--separator", "/", "-o", infoFields}

// Info asks for the device with that number; [kernel.ErrNotDM] if device-mapper has none.
func Info(ctx context.Context, dev kernel.DevNum) (Device, error) {
	out, err := runOn(ctx, dev, infoArgs...)
	if err != nil {
		return Device{}, err
	}
	devices, err := parseDevices(out)
	if err != nil {
		return Device{}, fmt.Errorf("ask dmsetup for device %s: %w", dev, err)
	}
	if len(devices) != 1 || devices[0].Num != dev {
		return Device{}, fmt.Errorf("ask dmsetup for device %s: unexpected answer %q", dev, out)
	}
	return devices[0], nil
}

// OpenCount tells how often a device is open, or used by others; [kernel.ErrNotDM] if device-mapper
// has none of that number.
func OpenCount(ctx context.Context, num kernel.DevNum) (int, error) {
	out, err := runOn(ctx, num, "info", "-c", "--noheadings", "-o", "open")
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		return 0, fmt.Errorf("ask dmsetup how often device %s is open: unexpected answer %q", num,
			out)
	}
	return n, nil
}

func allDevices(ctx context.Context) ([]Device, error) {
	out, err := run(ctx, "dmsetup", infoArgs...)
	if err != nil {
		return nil, err
	}
	devices, err := parseDevices(out)
	if err != nil {
		return nil, fmt.Errorf("ask dmsetup for all devices: %w", err)
	}
	return devices, nil
}

// runOn asks dmsetup about one device.
func runOn(ctx context.Context, dev kernel.DevNum, args ...string) (string, error) {
	// Ask the kernel first: its answer is no text that changes, and says so on a machine without
	// dmsetup.
	if isOther(dev) {
		return "", fmt.Errorf("device %s: %w", dev, kernel.ErrNotDM)
	}
	out, err := run(ctx, "dmsetup", argsFor(dev, args)...)
	if failed := (*toolError)(nil); errors.As(err, &failed) && isGone(dev) {
		return "", fmt.Errorf("device %s: %w", dev, kernel.ErrNotDM)
	}
	return out, err
}

// noDevices is what dmsetup prints instead of an empty list.
const noDevices = "No devices found"

func parseDevices(out string) ([]Device, error) {
	var devices []Device
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimSpace(line) == noDevices {
			continue
		}
		f := strings.SplitN(line, "/", 7)
		if len(f) != 7 || f[5] == "" {
			return nil, fmt.Errorf("%q has not the fields %s", line, infoFields)
		}
		num, err := kernel.Parse(f[0] + ":" + f[1])
		if err != nil {
			return nil, err
		}
		devices = append(devices, Device{Num: num,
			VG: f[2], LV: f[3], Layer: f[4], Name: f[5], UUID: f[6]})
	}
	return devices, nil
}
