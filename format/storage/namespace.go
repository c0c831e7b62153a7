package storage

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/moby/sys/mountinfo"

	"lvmsync/format/storage/kernel"
)

// A namespace is a mount namespace that is not ours.
type namespace struct {
	pid    int    // a process in it
	root   string // where its paths begin for us
	mounts []*mountinfo.Info
}

// otherNamespaces lists the mount namespaces of other processes, as far as this one may look at
// them. (One in which no process is, or which only a thread has, is not seen.)
func otherNamespaces() []namespace {
	entries, err := os.ReadDir(procRoot)
	if err != nil {
		return nil
	}
	own, err := os.Readlink(filepath.Join(procRoot, "self", "ns", "mnt"))
	if err != nil {
		return nil
	}
	seen := map[string]bool{own: true}
	var found []namespace
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join(procRoot, e.Name())
		ns, err := os.Readlink(filepath.Join(dir, "ns", "mnt"))
		if err != nil || seen[ns] {
			continue
		}
		mounts, err := mountsIn(dir)
		if err != nil || len(mounts) == 0 { // it has ended
			continue
		}
		seen[ns] = true
		root := filepath.Join(dir, "root")
		for _, m := range mounts {
			if filepath.IsAbs(m.Source) {
				m.Source = filepath.Join(root, m.Source)
			}
		}
		found = append(found, namespace{pid, root, mounts})
	}
	return found
}

// mountsOn finds the mounts of what is on a device or file.
func mountsOn(own []*mountinfo.Info, others []namespace, id ID) (users []User) {
	ours := mountsFrom(own, id)
	for _, m := range ours {
		users = append(users, mountUser(m))
	}
	users = append(users, mountedElsewhere(others, ours, id)...)
	if fsType, ok := outOfSight(id); ok && len(users) == 0 {
		users = append(users, User{Kind: Mounted, FSType: fsType})
	}
	return users
}

// mountedElsewhere finds who has mounted the device or file id in another mount namespace, but
// where a mount of ours, one of own, says as much.
func mountedElsewhere(others []namespace, own []*mountinfo.Info, id ID) (users []User) {
	for _, ns := range others {
		for _, m := range mountsFrom(ns.mounts, id) {
			u := mountUser(m)
			isKnown := func(o *mountinfo.Info) bool {
				return o.Major == m.Major && o.Minor == m.Minor && (u.ReadOnly || !readOnlyMount(o))
			}
			isTold := func(o User) bool {
				return o.Mountpoint == u.Mountpoint && o.ReadOnly == u.ReadOnly
			}
			if slices.ContainsFunc(own, isKnown) || slices.ContainsFunc(users, isTold) {
				continue
			}
			u.PID, u.Process = ns.pid, processName(ns.pid)
			users = append(users, u)
		}
	}
	return users
}

// outOfSight tells whether the kernel has mounted a file system that is on a device itself, and of
// what type, in whatever namespace and though nothing may lead to it any more. Not all file systems
// tell.
func outOfSight(id ID) (fsType string, ok bool) {
	if !id.Device {
		return "", false
	}
	if _, inUse := btrfsMembers(id); inUse {
		return "btrfs", true
	}
	name := id.Name()
	for _, fsType := range []string{"ext4", "xfs", "f2fs", "nilfs2"} {
		if _, err := os.Stat(filepath.Join(kernel.Sys, "fs", fsType, name)); err == nil {
			return fsType, true
		}
	}
	return "", false
}

// reachable lists mounts that only other namespaces have of file systems with a device number of
// their own, such as btrfs, by a path that leads there: nothing but the mount leads to these.
func reachable(others []namespace, own []*mountinfo.Info) (found []*mountinfo.Info) {
	for _, ns := range others {
		for _, m := range ns.mounts {
			isSame := func(o *mountinfo.Info) bool {
				return o.Major == m.Major && o.Minor == m.Minor
			}
			if m.Major == 0 && filepath.IsAbs(m.Source) && !slices.ContainsFunc(own, isSame) {
				there := *m
				there.Mountpoint = filepath.Join(ns.root, m.Mountpoint)
				found = append(found, &there)
			}
		}
	}
	return found
}
