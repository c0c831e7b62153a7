package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A file in an overlay is another one, in one of the directories that it is laid over: the upper
// one, or a lower one until the file is first opened for writing. That is where its bytes are, and
// who has it by that name uses the same storage, but device and inode of the overlay's don't tell.

// Overlays finds the files behind those in overlays. It remembers the mounts, and is for one look
// at the system.
type overlays struct {
	own        []*mountinfo.Info
	elsewhere  []namespace
	read, more bool            // own, elsewhere have been read
	mounts     map[int]mountAt // all of them by their number
	plain      map[[2]int]bool // devices of file systems that are no overlays
}

// A mountAt is a mount and where the paths of its mount namespace begin; "" for ours.
type mountAt struct {
	*mountinfo.Info
	root string
}

// mayHave tells whether a file may be one in an overlay, as far as that is known without looking at
// it: to look at one keeps its file system from being unmounted at that moment.
func (o *overlays) mayHave(id ID) bool {
	if !id.mayBeOverlaid() {
		return false
	}
	o.readOwn()
	return !o.plain[[2]int{int(id.Major), int(id.Minor)}]
}

// Real is the path of the file that has the bytes of the one at path, which is path itself but in
// overlays; and in one whose layers can't be found.
func (o *overlays) real(path string) string {
	for range 8 { // an overlay may lie on others; the kernel allows two
		below, ok := o.below(path)
		if !ok {
			break
		}
		path = below
	}
	return path
}

// below finds the file that an overlay has at path.
func (o *overlays) below(path string) (string, bool) {
	m, ok := o.mountOf(path)
	if !ok {
		return "", false
	}
	name, err := placeOf(path)
	if err != nil {
		return "", false
	}
	rel, ok := strings.CutPrefix(name+"/", strings.TrimSuffix(m.Mountpoint, "/")+"/")
	if !ok {
		return "", false
	}
	for _, base := range o.bases(m) {
		if found, ok := inLayers(layersOf(m.Info), base, filepath.Join(m.Root, rel)); ok &&
			sameInode(path, found) {
			return found, true
		}
	}
	return "", false
}

// inLayers finds the first of the layers that has rel. Paths of layers begin at base.
func inLayers(layers []string, base, rel string) (string, bool) {
	for _, layer := range layers {
		path := filepath.Join(base, layer, rel)
		st, err := os.Lstat(path)
		if err == nil {
			return path, st.Mode().IsRegular()
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			return "", false
		}
	}
	return "", false
}

// bases lists where the paths of an overlay's layers may begin. They are as whoever mounted it gave
// them: mostly our names; in a container its own; or relative to a folder that is above the place
// where it is mounted, as Docker has it.
func (o *overlays) bases(m mountAt) []string {
	bases := []string{"/"}
	if m.root != "" {
		bases = append(bases, m.root)
	}
	for _, same := range o.own {
		if same.Major != m.Major || same.Minor != m.Minor || same.FSType != m.FSType {
			continue
		}
		dir := filepath.Dir(same.Mountpoint)
		for ; dir != "/" && !slices.Contains(bases, dir); dir = filepath.Dir(dir) {
			bases = append(bases, dir)
		}
	}
	return bases
}

// mountOf finds the overlay that a path leads into. It gives false for a path to anything else.
func (o *overlays) mountOf(path string) (mountAt, bool) {
	id, ok := mountID(path)
	if !ok {
		return mountAt{}, false
	}
	o.readOwn()
	m, known := o.mounts[id]
	if !known {
		o.namespaces()
		m, known = o.mounts[id]
	}
	return m, known && m.FSType == "overlay"
}

func (o *overlays) readOwn() {
	if !o.read {
		o.own, _ = readMounts() // who needs them has an error of his own
		o.read = true
		o.note(o.own, "")
	}
}

// namespaces lists the other mount namespaces.
func (o *overlays) namespaces() []namespace {
	if !o.more {
		o.elsewhere = otherNamespaces()
		o.more = true
		for _, ns := range o.elsewhere {
			o.note(ns.mounts, ns.root)
		}
	}
	return o.elsewhere
}

func (o *overlays) note(mounts []*mountinfo.Info, root string) {
	if o.mounts == nil {
		o.mounts, o.plain = make(map[int]mountAt), make(map[[2]int]bool)
	}
	for _, m := range mounts {
		o.mounts[m.ID] = mountAt{m, root}
		if m.FSType != "overlay" {
			o.plain[[2]int{m.Major, m.Minor}] = true
		}
	}
}

// mountID is the number of the mount that a path leads to, whatever namespace that is in.
func mountID(path string) (int, bool) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID,
		&st); err != nil {
		return 0, false
	}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		return int(st.Mnt_id), true
	}
	f, err := openPlace(path) // before Linux 5.8
	if err != nil {
		return 0, false
	}
	defer f.Close()
	return mountOfFile(f)
}

// placeOf is the full path of what path leads to, from our root or that of its mount namespace.
func placeOf(path string) (string, error) {
	f, err := openPlace(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return os.Readlink(filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd()))))
}

// openPlace opens a path without opening what is there.
func openPlace(path string) (*os.File, error) { return os.OpenFile(path, unix.O_PATH, 0) }

// sameInode tells whether a file in an overlay is the one at path: its times are those of the inode
// that it stands for, to the nanosecond. Somebody may be writing to it.
func sameInode(inOverlay, path string) bool {
	var before, at, after unix.Statx_t
	for _, look := range []struct {
		path string
		st   *unix.Statx_t
	}{{inOverlay, &before}, {path, &at}, {inOverlay, &after}} {
		if err := unix.Statx(unix.AT_FDCWD, look.path, 0, unix.STATX_BASIC_STATS|unix.STATX_BTIME,
			look.st); err != nil {
			return false
		}
	}
	if before.Btime != at.Btime || before.Mode != at.Mode {
		return false
	}
	return !earlier(at.Ctime, before.Ctime) && !earlier(after.Ctime, at.Ctime) &&
		(before.Ctime != after.Ctime || before.Size == at.Size)
}

func earlier(a, b unix.StatxTimestamp) bool {
	return a.Sec < b.Sec || a.Sec == b.Sec && a.Nsec < b.Nsec
}
