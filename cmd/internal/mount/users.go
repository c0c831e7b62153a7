package mount

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// Users names who uses the mount, as far as that can be seen.
func (m *Mount) Users() []string {
	places, _ := m.places()
	under := func(path string) bool {
		return slices.ContainsFunc(places, func(p place) bool {
			return path == p.path || strings.HasPrefix(path, strings.TrimSuffix(p.path, "/")+"/")
		})
	}
	return slices.Concat(loops(under), processes(under), m.namespaces())
}

// namespaces are the mount namespaces of others that have it mounted: a container or service has a
// copy of all that was mounted when it began, and keeps it.
func (m *Mount) namespaces() (users []string) {
	own, _ := os.Readlink("/proc/self/ns/mnt")
	seen := map[string]bool{own: true, "": true}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		id, _ := os.Readlink(dir + "/ns/mnt")
		if seen[id] {
			continue
		}
		seen[id] = true
		f, err := os.Open(dir + "/mountinfo")
		if err != nil {
			continue
		}
		at, _ := mountinfo.GetMountsFromReader(f, func(at *mountinfo.Info) (skip, stop bool) {
			return device(at) != m.device, false
		})
		f.Close()
		if len(at) > 0 {
			users = append(users, fmt.Sprintf("the mount namespace of %s, where it is on %s",
				process(dir), at[0].Mountpoint))
		}
	}
	return users
}

// process names one, by its folder.
func process(dir string) string {
	name, _ := os.ReadFile(dir + "/comm")
	return fmt.Sprintf("process %s (%s)", filepath.Base(dir), strings.TrimSpace(string(name)))
}

// loops are the loop devices of files.
func loops(under func(string) bool) (users []string) {
	// fails for a bad pattern only
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !under(strings.TrimSuffix(string(text), "\n")) {
			continue
		}
		device := "/dev/" + filepath.Base(filepath.Dir(filepath.Dir(file)))
		user := "the loop device " + device
		if where := mountsOf(device); len(where) > 0 {
			user += ", which is mounted on " + strings.Join(where, " and ")
		}
		users = append(users, user)
	}
	return users
}

// mountsOf is where a device, or a partition of it, is mounted.
func mountsOf(device string) (where []string) {
	all, _ := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.Source != device && !strings.HasPrefix(m.Source, device+"p"), false
	})
	for _, m := range all {
		where = append(where, m.Mountpoint)
	}
	return where
}

// processes are those that have files open, or are there. No file of the mount is looked at for
// that, only names.
func processes(under func(string) bool) (users []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		links, _ := filepath.Glob(dir + "/fd/*")
		for _, link := range append(links, dir+"/cwd", dir+"/root", dir+"/exe") {
			to, err := os.Readlink(link)
			if err != nil || !under(to) {
				continue
			}
			users = append(users, process(dir))
			break
		}
	}
	return users
}
