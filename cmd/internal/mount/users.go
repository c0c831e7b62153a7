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
	return append(loops(under), processes(under)...)
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
			name, _ := os.ReadFile(dir + "/comm")
			users = append(users, fmt.Sprintf("process %s (%s)", filepath.Base(dir),
				strings.TrimSpace(string(name))))
			break
		}
	}
	return users
}
