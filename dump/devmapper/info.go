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

	"lvmsync/dump/internal/roots"
)

// ErrNotDM means that a device number belongs to no device-mapper device.
var ErrNotDM = errors.New("not a device-mapper device")

// DevNum is the number of a block device.
type DevNum struct{ Major, Minor uint32 }

// String gives the number as tables have it: "253:1".
func (n DevNum) String() string { return fmt.Sprintf("%d:%d", n.Major, n.Minor) }

// Path is the path of the device's node by its kernel name, for example "/dev/dm-1". It exists wherever devtmpfs is
// mounted on /dev.
func (n DevNum) Path() string {
	uevent, err := os.ReadFile(filepath.Join(n.sysDir(), "uevent"))
	if err == nil {
		for line := range strings.Lines(string(uevent)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); ok {
				return filepath.Join(roots.Dev, name)
			}
		}
	}
	return filepath.Join(roots.Dev, "block", n.String())
}

// other tells whether the device is there and not device-mapper's.
func (n DevNum) other() bool {
	if _, err := os.Stat(n.sysDir()); err != nil {
		return false
	}
	_, err := os.Stat(filepath.Join(n.sysDir(), "dm"))
	return errors.Is(err, fs.ErrNotExist)
}

// gone tells whether there is no such device, or no longer one of device-mapper.
func (n DevNum) gone() bool {
	if _, err := os.Stat(filepath.Dir(n.sysDir())); err != nil {
		return false // nor does the kernel tell
	}
	_, err := os.Stat(filepath.Join(n.sysDir(), "dm"))
	return errors.Is(err, fs.ErrNotExist)
}

// args are arguments of dmsetup with those that name the device.
func (n DevNum) args(args []string) []string {
	major, minor := strconv.FormatUint(uint64(n.Major), 10), strconv.FormatUint(uint64(n.Minor), 10)
	return append(args[:len(args):len(args)], "-j", major, "-m", minor)
}

func (n DevNum) sysDir() string { return filepath.Join(roots.Sys, "dev", "block", n.String()) }

// parseDevNum reads a number as tables have it.
func parseDevNum(s string) (DevNum, error) {
	major, minor, ok := strings.Cut(s, ":")
	ma, err1 := strconv.ParseUint(major, 10, 32)
	mi, err2 := strconv.ParseUint(minor, 10, 32)
	if !ok || err1 != nil || err2 != nil {
		return DevNum{}, fmt.Errorf("%q is not a device number", s)
	}
	return DevNum{uint32(ma), uint32(mi)}, nil
}

// Device is what device-mapper knows of a device.
type Device struct {
	// Name is device-mapper's own name, for example "my--vg-s--1".
	Name string
	// UUID is device-mapper's; LVM's begin with "LVM-". It may be empty.
	UUID         string
	Major, Minor uint32
	// VG and LV are LVM's names, "my-vg" and "s-1"; empty for a device that is not LVM's.
	VG, LV string
	// Layer is LVM's name for a part of a volume that is not the volume itself, such as "real" or "cow".
	Layer string
}

// Num is the device's number.
func (d Device) Num() DevNum { return DevNum{d.Major, d.Minor} }

// Path is a path of the device's node: by name under /dev/mapper if that is there, else by number.
func (d Device) Path() string {
	path := filepath.Join(roots.Dev, "mapper", d.Name)
	if num, err := blockDeviceAt(path); err == nil && num == d.Num() {
		return path
	}
	return d.Num().Path()
}

// Exists tells whether the device is still there, by its UUID and not by its number alone, which another may have now. It
// asks the kernel, not dmsetup.
func (d Device) Exists() bool {
	uuid, err := os.ReadFile(filepath.Join(d.Num().sysDir(), "dm", "uuid"))
	return err == nil && strings.TrimSpace(string(uuid)) == d.UUID
}

// Instance tells apart the devices that have had a number one after the other, since the machine was started. It asks the
// kernel, not dmsetup; [ErrNotDM] if device-mapper has no device of that number.
func (n DevNum) Instance() (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat(filepath.Join(n.sysDir(), "dm"), &st)
	if errors.Is(err, unix.ENOENT) {
		err = ErrNotDM
	}
	if err != nil {
		return 0, fmt.Errorf("device %s: %w", n, err)
	}
	return st.Ino, nil
}

// errNotBlock means that a path leads to something that is no block device.
var errNotBlock = errors.New("not a block device")

func blockDeviceAt(path string) (DevNum, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return DevNum{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return DevNum{}, errNotBlock
	}
	return DevNum{unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))}, nil
}

// infoFields are the columns that parseDevices expects. No field but the last can have a slash in it, of which the
// kernel says so for the name, and LVM for its own.
const infoFields = "major,minor,vg_name,lv_name,lv_layer,name,uuid"

var infoArgs = []string{"info", "-c", "--noheadings", "--separator", "/", "-o", infoFields}

// Info asks for the device with that number; [ErrNotDM] if device-mapper has none.
func Info(ctx context.Context, major, minor uint32) (Device, error) {
	dev := DevNum{major, minor}
	out, err := runOn(ctx, dev, infoArgs...)
	if err != nil {
		return Device{}, err
	}
	devices, err := parseDevices(out)
	if err != nil {
		return Device{}, fmt.Errorf("ask dmsetup for device %s: %w", dev, err)
	}
	if len(devices) != 1 || devices[0].Num() != dev {
		return Device{}, fmt.Errorf("ask dmsetup for device %s: unexpected answer %q", dev, out)
	}
	return devices[0], nil
}

// OpenCount tells how often a device is open, or used by others; [ErrNotDM] if device-mapper has none of that number.
func OpenCount(ctx context.Context, num DevNum) (int, error) {
	out, err := runOn(ctx, num, "info", "-c", "--noheadings", "-o", "open")
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		return 0, fmt.Errorf("ask dmsetup how often device %s is open: unexpected answer %q", num, out)
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
func runOn(ctx context.Context, dev DevNum, args ...string) (string, error) {
	// Ask the kernel first: its answer is no text that changes, and says so on a machine without dmsetup.
	if dev.other() {
		return "", fmt.Errorf("device %s: %w", dev, ErrNotDM)
	}
	out, err := run(ctx, "dmsetup", dev.args(args)...)
	if failed := (*toolError)(nil); errors.As(err, &failed) && dev.gone() {
		return "", fmt.Errorf("device %s: %w", dev, ErrNotDM)
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
		num, err := parseDevNum(f[0] + ":" + f[1])
		if err != nil {
			return nil, err
		}
		devices = append(devices, Device{Major: num.Major, Minor: num.Minor,
			VG: f[2], LV: f[3], Layer: f[4], Name: f[5], UUID: f[6]})
	}
	return devices, nil
}
