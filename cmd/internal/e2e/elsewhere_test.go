package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// Who reads a device is told that it is mounted, and who writes to it is refused, wherever that is.
func TestMountedElsewhere(t *testing.T) {
	for name, test := range map[string]struct {
		mount   func(b *bench, dev string)
		message string
	}{
		"in another mount namespace": {func(b *bench, dev string) {
			b.unshared(`mount "$1" /mnt`, dev)
		}, "is mounted on /mnt (ext4, rw) in the mount namespace of bash (pid "},
		"lazily unmounted": {func(b *bench, dev string) {
			dir := b.T.TempDir()
			b.sh("mount", dev, dir)
			f, err := os.Create(filepath.Join(dir, "file"))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { f.Close() })
			b.sh("umount", "--lazy", dir)
		}, "is mounted (ext4) where it can't be seen"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			dev, _ := b.loop(b.image)
			b.sh("mkfs.ext4", "-q", "-F", dev)
			test.mount(b, dev)
			wantRun(t, 0, dev+" "+test.message, "lvmsync-dump", "--full", dev, "-o",
				filepath.Join(b.dir, "patch"))
			// which the file system writes to meanwhile
			for _, dest := range []string{dev, b.image} {
				wantRun(t, 1, dest+" "+test.message, "lvmsync-apply", b.full, dest)
			}
		})
	}
}
