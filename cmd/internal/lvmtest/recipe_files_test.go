//go:build lvm

package lvmtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Files come back out of LVM in a volume, though its group is there, too, and in use. An image that
// must not be changed is left alone.
func TestRecipeFilesInLVM(t *testing.T) {
	newVG(t, "rfiles", 1)
	// A loop device, as the disk of a virtual machine: LVM does not look for groups on volumes.
	disk := strings.TrimSpace(sh(t, "losetup", "--find", "--show",
		plain(t, "rfiles", "outer", 64*mib)))
	t.Cleanup(func() { sh(t, "losetup", "--detach", disk) })
	inner, image, folder := "rinner", filepath.Join(t.TempDir(), "image"), t.TempDir()
	sh(t, "vgcreate", "-qq", "-y", inner, disk) // whatever was in the extents before
	t.Cleanup(func() { sh(t, "vgremove", "-qq", "-y", inner) })
	sh(t, "lvcreate", "-qq", "-y", "-Wn", "-L", "40M", "-n", "root", inner)
	sh(t, "mkfs.ext4", "-q", "/dev/rinner/root")
	on := t.TempDir()
	sh(t, "mount", "/dev/rinner/root", on)
	t.Cleanup(func() { sh(t, "umount", on) })
	if err := os.WriteFile(filepath.Join(on, "file"), []byte("backed up"), 0o600); err != nil {
		t.Fatal(err)
	}
	sh(t, "sync", "--file-system", on)
	recipe(t, "backup", "rfiles/outer", folder)

	failedRecipe(t, "\"overlay files\" shows", "with-state", folder, "files", "true")
	sh(t, "lvmsync-apply", "--create", folder, image) // there is no QEMU here for overlay
	t.Setenv("THROWAWAY", "yes")
	r := runRecipe(t, "files", image, "cat", "lv-root/file")
	r.want(t, 0, "")
	if r.stdout != "backed up" {
		t.Errorf("%q came back", r.stdout)
	}
	recipe(t, "files", image, "--fsck")
	sh(t, "lvs", "rinner/root") // by its name there is the true one only
}
