//go:build lvm

package lvmtest

import (
	"path/filepath"
	"strings"
	"testing"
)

// An undo patch on the destination, or on a volume of the disk that is overwritten, would be lost;
// on another volume of the same group, or of the same thin pool, it is not.
func TestUndoOnVolumes(t *testing.T) {
	vg := newVG(t, "undo", 1)
	sh(t, "lvcreate", "-qq", "-y", "-L", "32m", "-T", vg+"/pool")
	for _, name := range []string{"thin1", "thin2"} {
		sh(t, "lvcreate", "-qq", "-y", "-V", "8m", "-T", vg+"/pool", "-n", name)
	}
	for _, name := range []string{"one", "two", "source"} {
		plain(t, vg, name, 8*mib)
	}
	patch := filepath.Join(t.TempDir(), "patch")
	sh(t, "sh", "-c", "yes | head -c 1M >/dev/undo/source")
	run(t, nil, "lvmsync-dump", "--full", "/dev/undo/source", "-o", patch).want(t, 0, "")
	sh(t, "sh", "-c", "cat /dev/zero >/dev/undo/two || true") // so that the undo patch is small
	for _, names := range [][2]string{{"one", "two"}, {"thin1", "thin2"}} {
		used, other := "/dev/undo/"+names[0], "/dev/undo/"+names[1]
		sh(t, "mkfs.ext4", "-q", "-F", used)
		undo := filepath.Join(mount(t, used), "undo")
		run(t, nil, "lvmsync-apply", "--force", "--undo", undo, patch, used).want(t, 1,
			"would be overwritten: "+used)
		run(t, nil, "lvmsync-apply", "--undo", undo, patch, other).want(t, 0, "takes it back")
		pv := strings.TrimSpace(sh(t, "vgs", "--noheadings", "-o", "pv_name", vg))
		run(t, nil, "lvmsync-apply", "--force", "--undo", undo+"2", patch, pv).want(t, 1,
			"would be overwritten: "+pv)
	}
}
