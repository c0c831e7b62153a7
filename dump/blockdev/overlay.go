package blockdev

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

// A file in an overlay is another one, in one of the directories that it is laid over: the upper one, or a lower one until
// the file is first opened for writing. That is where its bytes are, and who has it by that name uses the same storage, but
// device and inode of the overlay's don't tell.

// Overlays finds the files behind those in overlays. It remembers the mounts, and is for one look at the system.
type overlays struct {
	mounts     []*mountinfo.Info // ours
	elsewhere  []namespace
	read, more bool // mounts, elsewhere have been read
}

// Real is the path of the file that has the bytes of the one at path, which is path itself but in overlays; and in one whose
// layers can't be found.
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
	m, root := o.mountOf(path)
	if m == nil {
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
	for _, base := range o.bases(m, root) {
		if found, ok := inLayers(layersOf(m), base, filepath.Join(m.Root, rel)); ok && sameInode(path, found) {
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

// bases lists where the paths of an overlay's layers may begin. They are as whoever mounted it gave them: mostly our names;
// in a container its own; or relative to a folder that is above the place where it is mounted, as Docker has it.
func (o *overlays) bases(m *mountinfo.Info, root string) []string {
	bases := []string{"/"}
	if root != "" {
		bases = append(bases, root)
	}
	for _, same := range o.mounts {
		if same.Major != m.Major || same.Minor != m.Minor || same.FSType != m.FSType {
			continue
		}
		for dir := filepath.Dir(same.Mountpoint); dir != "/" && !slices.Contains(bases, dir); dir = filepath.Dir(dir) {
			bases = append(bases, dir)
		}
	}
	return bases
}

// mountOf finds the overlay that a path leads into, and where the paths of the mount namespace that it's in begin, which
// is "" for ours; nil for a path to anything else.
func (o *overlays) mountOf(path string) (m *mountinfo.Info, root string) {
	id, ok := mountID(path)
	if !ok {
		return nil, ""
	}
	if !o.read {
		o.mounts, _ = readMounts() // who needs them has an error of his own
		o.read = true
	}
	isIt := func(m *mountinfo.Info) bool { return m.ID == id }
	if i := slices.IndexFunc(o.mounts, isIt); i >= 0 {
		return ifOverlay(o.mounts[i]), ""
	}
	for _, ns := range o.namespaces() {
		if i := slices.IndexFunc(ns.mounts, isIt); i >= 0 {
			return ifOverlay(ns.mounts[i]), ns.root
		}
	}
	return nil, ""
}

func (o *overlays) namespaces() []namespace {
	if !o.more {
		o.elsewhere = otherNamespaces()
		o.more = true
	}
	return o.elsewhere
}

func ifOverlay(m *mountinfo.Info) *mountinfo.Info {
	if m.FSType != "overlay" {
		return nil
	}
	return m
}

// mountID is the number of the mount that a path leads to, whatever namespace that is in.
func mountID(path string) (int, bool) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st); err != nil {
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

// layersOf lists the directories that an overlay consists of, the upper one first.
func layersOf(m *mountinfo.Info) []string {
	var upper, lower []string
	for option := range strings.SplitSeq(m.VFSOptions, ",") {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "upperdir":
			upper = append(upper, plain(unescapeOctal(value)))
		case "lowerdir":
			for _, dir := range splitLayers(unescapeOctal(value)) {
				lower = append(lower, plain(dir))
			}
		case "lowerdir+", "datadir+": // one each, and as they are
			lower = append(lower, unescapeOctal(value))
		}
	}
	return append(upper, lower...)
}

// splitLayers splits what the option lowerdir has, at the colons that no backslash precedes.
func splitLayers(text string) (dirs []string) {
	var dir strings.Builder
	flush := func() {
		if dir.Len() > 0 { // "::" comes before layers of data only
			dirs = append(dirs, dir.String())
		}
		dir.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == ':':
			flush()
			continue
		case text[i] == '\\' && i+1 < len(text):
			dir.WriteByte(text[i])
			i++
		}
		dir.WriteByte(text[i])
	}
	flush()
	return dirs
}

// plain takes away the backslashes by which a mount option tells characters of a path from its own.
func plain(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+1 < len(path) {
			i++
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// unescapeOctal undoes what the kernel does to options in the table of mounts.
func unescapeOctal(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// sameInode tells whether a file in an overlay is the one at path: its times are those of the inode that it stands for, to
// the nanosecond. Somebody may be writing to it.
func sameInode(inOverlay, path string) bool {
	var before, at, after unix.Statx_t
	for _, look := range []struct {
		path string
		st   *unix.Statx_t
	}{{inOverlay, &before}, {path, &at}, {inOverlay, &after}} {
		if err := unix.Statx(unix.AT_FDCWD, look.path, 0, unix.STATX_BASIC_STATS|unix.STATX_BTIME, look.st); err != nil {
			return false
		}
	}
	if before.Btime != at.Btime || before.Mode != at.Mode {
		return false
	}
	return !earlier(at.Ctime, before.Ctime) && !earlier(after.Ctime, at.Ctime) && (before.Ctime != after.Ctime || before.Size == at.Size)
}

func earlier(a, b unix.StatxTimestamp) bool {
	return a.Sec < b.Sec || a.Sec == b.Sec && a.Nsec < b.Nsec
}
