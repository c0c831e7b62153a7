package blockdev

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/moby/sys/mountinfo"
)

// A namespace is a mount namespace that is not ours.
type namespace struct {
	pid    int    // a process in it
	root   string // where its paths begin for us
	mounts []*mountinfo.Info
}

// otherNamespaces lists the mount namespaces of other processes, as far as this one may look at them. (One in which no
// process is, or which only a thread has, is not seen.)
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
		if mounts, err := mountsIn(dir); err == nil && len(mounts) > 0 {
			seen[ns] = true
			found = append(found, namespace{pid, filepath.Join(dir, "root"), mounts})
		}
	}
	return found
}
