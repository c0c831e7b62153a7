package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"

	"lvmsync/format/storage/kernel"
)

// readMounts lists the mounts that this process can see.
func readMounts() ([]*mountinfo.Info, error) {
	mounts, err := mountsIn(filepath.Join(procRoot, "self"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoProc
	}
	return mounts, err
}

// mountsIn lists the mounts that the process with this folder can see.
func mountsIn(process string) ([]*mountinfo.Info, error) {
	f, err := os.Open(filepath.Join(process, "mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("list the mounts: %w", err)
	}
	defer f.Close()
	mounts, err := mountinfo.GetMountsFromReader(f, nil)
	if err != nil {
		return nil, fmt.Errorf("list the mounts: %w", err)
	}
	return mounts, nil
}

// mountsFrom picks the mounts whose file system keeps its data on the block device or, without a
// loop device, in the file id.
func mountsFrom(mounts []*mountinfo.Info, id ID) []*mountinfo.Info {
	var found []*mountinfo.Info
	if !id.Device {
		for _, m := range mounts { // erofs, from Linux 6.12 on
			if src, err := Identify(m.Source); filepath.IsAbs(m.Source) && err == nil && src == id {
				found = append(found, m)
			}
		}
		return found
	}
	members, _ := btrfsMembers(id)
	for _, m := range mounts {
		switch {
		case uint32(m.Major) == id.Major && uint32(m.Minor) == id.Minor:
			found = append(found, m)
		// btrfs and others with a device number of their own
		case m.Major == 0 && filepath.IsAbs(m.Source):
			if src, err := Identify(m.Source); err == nil && members[src] {
				found = append(found, m)
			}
		}
	}
	return found
}

// btrfsMembers gives id and the other devices of the btrfs file system in use that id is part of,
// if it is. The mount table names only one of them.
func btrfsMembers(id ID) (members map[ID]bool, inUse bool) {
	// fails for a bad pattern only
	dirs, _ := filepath.Glob(filepath.Join(kernel.Sys, "fs", "btrfs", "*", "devices"))
	for _, dir := range dirs {
		devices, err := os.ReadDir(dir)
		if err != nil {
			continue // unmounted just now
		}
		all := make(map[ID]bool)
		for _, d := range devices {
			if dev, ok := kernel.At(filepath.Join(dir, d.Name())); ok {
				all[DeviceID(dev)] = true
			}
		}
		if all[id] {
			return all, true
		}
	}
	return map[ID]bool{id: true}, false
}

// readOnlyMount tells whether nothing can be written through the mount: it, or its whole file
// system, is read-only.
func readOnlyMount(m *mountinfo.Info) bool {
	return hasOption(m.Options, "ro") || hasOption(m.VFSOptions, "ro")
}

func hasOption(options, want string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == want {
			return true
		}
	}
	return false
}
