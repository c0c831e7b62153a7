package durable

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// maxLayers is how many overlays on one another are looked through. An upper layer may be named as
// another mount namespace sees it, and lead anywhere in this one.
const maxLayers = 8

// Ground is what a file system keeps its files on.
type Ground struct {
	Folder  string   // in the file system that has the files: of an overlay, the upper layer
	Devices []uint64 // numbers of the block devices of that, as far as it tells
	mount   *mountinfo.Info
}

// GroundOf finds what the file system of path, which must exist, keeps its files on. Of a file
// system that tells nothing, as those of a network don't, there are no devices.
func GroundOf(path string) (Ground, error) {
	g := Ground{Folder: path}
	for range maxLayers {
		var st unix.Stat_t
		if err := unix.Stat(g.Folder, &st); err != nil {
			return g, err
		}
		g.Devices, g.mount = []uint64{st.Dev}, mountOf(g.Folder, st.Dev)
		if unix.Major(st.Dev) != 0 {
			return g, nil
		}
		g.Devices = nil
		if g.mount == nil {
			return g, nil
		}
		if g.mount.FSType != "overlay" {
			if err := unix.Stat(g.mount.Source, &st); err == nil &&
				filepath.IsAbs(g.mount.Source) && st.Mode&unix.S_IFMT == unix.S_IFBLK {
				g.Devices = []uint64{st.Rdev} // such as of btrfs
			}
			return g, nil
		}
		upper := upperLayer(g.mount)
		if upper == "" || unix.Stat(upper, &st) != nil {
			return g, nil // read-only, or out of sight
		}
		g.Folder = upper
	}
	return g, nil
}

// mountOf finds the mount that path lies in, in a file system with that number.
func mountOf(path string, dev uint64) *mountinfo.Info {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st)
	known := err == nil && st.Mask&unix.STATX_MNT_ID != 0 // from Linux 5.8 on
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		if known {
			return uint64(m.ID) != st.Mnt_id, false
		}
		return unix.Mkdev(uint32(m.Major), uint32(m.Minor)) != dev, false
	})
	if err != nil || len(mounts) == 0 {
		return nil
	}
	return mounts[len(mounts)-1]
}

// upperLayer is the folder that an overlay writes to; empty if there is none, or it's out of sight.
// It may be relative to the folder that was the current one of whoever mounted it: that is looked
// for above the place where it is mounted, and in our own, and must have its workdir, too.
func upperLayer(overlay *mountinfo.Info) string {
	upper, work := layerOption(overlay, "upperdir"), layerOption(overlay, "workdir")
	if upper == "" || filepath.IsAbs(upper) {
		return upper
	}
	folders := []string{"."}
	for dir := filepath.Dir(overlay.Mountpoint); ; dir = filepath.Dir(dir) {
		folders = append(folders, dir)
		if dir == "/" {
			break
		}
	}
	for _, dir := range folders {
		if isFolder(filepath.Join(dir, upper)) &&
			(filepath.IsAbs(work) || isFolder(filepath.Join(dir, work, "work"))) {
			return filepath.Join(dir, upper)
		}
	}
	return ""
}

func isFolder(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func layerOption(overlay *mountinfo.Info, key string) string {
	for o := range strings.SplitSeq(overlay.VFSOptions, ",") {
		if folder, ok := strings.CutPrefix(o, key+"="); ok {
			return ofOverlay.Replace(ofKernel.Replace(folder))
		}
	}
	return ""
}

// The kernel writes some characters of an option in digits, and before that whoever mounts an
// overlay escapes others.
var (
	ofKernel = strings.NewReplacer(
		`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\054`, ",", `\075`, "=")
	ofOverlay = strings.NewReplacer(`\\`, `\`, `\,`, ",", `\:`, ":")
)
