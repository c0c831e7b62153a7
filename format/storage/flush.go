package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"lvmsync/format/durable"
	"lvmsync/format/storage/kernel"
)

// ramdiskMajor is the device number of brd, whose BLKFLSBUF threw the content away before Linux
// 4.14.
const ramdiskMajor = 1

// Flush writes everything that is still in memory above an open device, or image file, down to it:
// the file systems mounted from it and the page cache of its block device, and before them those of
// all devices stacked on it (partitions, dm-crypt, volume groups, loop devices, ...), from the top
// down; and those of the devices that it stands on, and of others on the same storage, as far as it
// may open them. Without it a list of changes misses what was written but not yet flushed. Whatever
// is written while Flush runs may or may not be included.
//
// File systems that are mounted in another mount namespace only, or lazily unmounted, are flushed
// too if the caller is root; except btrfs where no mount leads to it, which the kernel does not
// flush through its device.
//
// What was written to loop devices of an image file can't be flushed where sysfs is not mounted.
// That is no error, for there is seldom any; [Users] gives one.
//
// The error names the mount or device that could not be flushed. What it lies on is then unflushed,
// too.
func Flush(f *os.File, id ID) error {
	s, err := around(id)
	if errors.Is(err, ErrNoSysfs) && !id.Device {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("flush %s: %w", f.Name(), err)
	}
	mounts, err := readMounts()
	if err != nil {
		return fmt.Errorf("flush %s: %w", f.Name(), err)
	}
	mounts = append(mounts, reachable(otherNamespaces(), mounts)...)
	for _, l := range s.above {
		if err := flushLayer(l, mounts); err != nil {
			return fmt.Errorf("flush %s: %s, which is stacked on it: %w", f.Name(), l.label(), err)
		}
	}
	if err := flushDevice(f, id, mounts); err != nil {
		return fmt.Errorf("flush %s: %w", f.Name(), err)
	}
	for _, l := range s.beside {
		if err := flushLayer(l, mounts); err != nil {
			return fmt.Errorf("flush %s: %s: %w", f.Name(), l.onTheSame(), err)
		}
	}
	for _, l := range s.below {
		if err := flushBelow(l); err != nil {
			return fmt.Errorf("flush %s: %s: %w", f.Name(), l.beneath(), err)
		}
	}
	return nil
}

// flushBelow flushes the page cache of a device that the one to be read stands on, for what is
// there would not be read, and empties it as far as it may: a loop device on it reads through it,
// even with O_DIRECT, and it may have what was there before others wrote to the storage. A file
// needs none of it: who reads it reads its page cache. What this process may not open, such as the
// disk of a volume that it was given, it can't flush.
func flushBelow(l layer) error {
	if !l.id.Device {
		return nil
	}
	f, err := openNode(l)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, unix.ENXIO) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("fsync: %w", durable.Cause(err))
	}
	DropCache(f)
	return nil
}

func flushLayer(l layer, mounts []*mountinfo.Info) error {
	f, err := openNode(l)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOMEDIUM) ||
		err != nil && !l.id.Exists() {
		return nil // there is nothing behind the node any more, or no node
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return flushDevice(f, l.id, mounts)
}

// openNode opens the device node that the kernel gave to a layer. Reading suffices for fsync.
func openNode(l layer) (*os.File, error) {
	return openAs(l.id, l.id.Path())
}

// flushDevice flushes the file systems on an open device, then the device's own page cache.
func flushDevice(f *os.File, id ID, mounts []*mountinfo.Info) error {
	hidden, err := syncMounts(mountsFrom(mounts, id))
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("fsync: %w", durable.Cause(err))
	}
	if !id.Device || id.Major == ramdiskMajor {
		return nil
	}
	// fsync knows the device's own cache only. This flushes the file system, wherever that is
	// mounted.
	err = flushBuffers(f)
	switch {
	case err == nil:
		return nil
	// not root: what is in sight has been flushed
	case errors.Is(err, unix.EACCES) && hidden == nil:
		return nil
	case hidden != nil:
		return fmt.Errorf("the file system on %s lies hidden below another mount: %w",
			hidden.Mountpoint, err)
	}
	return fmt.Errorf("flush its buffers: %w", err)
}

// flushBuffers is a variable so that tests see when it isn't called.
var flushBuffers = func(device *os.File) error {
	return kernel.Control(device, func(fd int) error {
		return unix.IoctlSetInt(fd, unix.BLKFLSBUF, 0)
	})
}

// DropCache empties the page cache of an open block device, what other openers of it keep there
// included, as far as the caller may: it takes root. What has not been written yet is written
// first. A ramdisk is left alone, for its page cache was all that there is of it before Linux 4.14.
func DropCache(device *os.File) {
	if id, err := IdentifyFile(device); err == nil && id.Device && id.Major != ramdiskMajor {
		_ = flushBuffers(device)
	}
}

// syncMounts flushes the file system of each mount, once. It gives a mount whose file system could
// not be reached because another mount hides it, and that has a device through which it can be
// flushed instead.
func syncMounts(mounts []*mountinfo.Info) (hidden *mountinfo.Info, err error) {
	synced := make(map[[2]int]bool)
	for _, m := range mounts {
		fsys := [2]int{m.Major, m.Minor}
		if synced[fsys] {
			continue
		}
		synced[fsys], err = syncMount(m)
		if err != nil {
			return nil, fmt.Errorf("sync the file system mounted on %s: %w", m.Mountpoint, err)
		}
	}
	for _, m := range mounts {
		switch {
		case synced[[2]int{m.Major, m.Minor}]:
		case m.Major == 0:
			return nil, fmt.Errorf("the file system mounted on %s lies hidden below another mount",
				m.Mountpoint)
		default:
			hidden = m
		}
	}
	return hidden, nil
}

// syncMount flushes the file system of a mount. It reports false if the mount cannot be reached by
// its path.
func syncMount(m *mountinfo.Info) (bool, error) {
	f, err := openMount(m)
	if f == nil {
		return false, err
	}
	defer f.Close()
	return true, kernel.Control(f, unix.Syncfs)
}

// openMount opens the directory or file on which m is mounted. It gives nil if something else is
// there by now.
func openMount(m *mountinfo.Info) (*os.File, error) {
	f, err := os.OpenFile(m.Mountpoint, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	// a bind mount of a file; O_NONBLOCK for the pipe that has taken its place
	if errors.Is(err, unix.ENOTDIR) {
		f, err = os.OpenFile(m.Mountpoint, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, durable.Cause(err)
	}
	if !onMount(f, m.ID) {
		return nil, f.Close()
	}
	return f, nil
}

// onMount tells whether an open file lies on the mount with that number in the mount table.
func onMount(f *os.File, mountID int) bool {
	id, ok := mountOfFile(f)
	return ok && id == mountID
}

// mountOfFile is the number of the mount that an open file lies on.
func mountOfFile(f *os.File) (id int, ok bool) {
	var info []byte
	// no info: not on the mount, as far as anybody can tell
	_ = kernel.Control(f, func(fd int) (err error) {
		info, err = os.ReadFile(filepath.Join("/proc/self/fdinfo", strconv.Itoa(fd)))
		return err
	})
	for line := range strings.Lines(string(info)) {
		if number, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			id, err := strconv.Atoi(strings.TrimSpace(number))
			return id, err == nil
		}
	}
	return 0, false
}
