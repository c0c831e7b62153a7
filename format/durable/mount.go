package durable

import (
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// maxLayers is how many overlays on one another are looked through. An upper layer may be
// named as another mount namespace sees it, and lead anywhere in this one.
const maxLayers = 8

// Ground is what a file system keeps its files on.
type Ground struct {
	Folder  string   // in the file system that has the files: of an overlay, the upper layer
	Devices []uint64 // numbers of the block devices of that, as far as it tells
	mount   *mountinfo.Info
}

// GroundOf finds what the file system of path, which must exist, keeps its files on. Of a
// file system that tells nothing, as those of a network don't, there are no devices.
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
			if err := unix.Stat(g.mount.Source, &st); err == nil && filepath.IsAbs(g.mount.Source) && st.Mode&unix.S_IFMT == unix.S_IFBLK {
				g.Devices = []uint64{st.Rdev} // such as of btrfs
			}
			return g, nil
		}
		upper := upperLayer(g.mount.VFSOptions)
		if unix.Stat(upper, &st) != nil || !filepath.IsAbs(upper) {
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

// upperLayer is the folder that an overlay writes to, from its options.
func upperLayer(options string) string {
	for o := range strings.SplitSeq(options, ",") {
		if upper, ok := strings.CutPrefix(o, "upperdir="); ok {
			return ofOverlay.Replace(ofKernel.Replace(upper))
		}
	}
	return ""
}

// The kernel writes some characters of an option in digits, and before that whoever mounts
// an overlay escapes others.
var (
	ofKernel  = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\054`, ",", `\075`, "=")
	ofOverlay = strings.NewReplacer(`\\`, `\`, `\,`, ",", `\:`, ":")
)
