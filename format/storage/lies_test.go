package storage

import (
	"path/filepath"
	"testing"

	"lvmsync/format/storage/devtest"
)

// A file is known to lie on a device through the file systems, image files and loop devices
// between the two.
func TestLiesOn(t *testing.T) {
	devtest.NeedRoot(t)
	dir := t.TempDir()
	onDisk := func(path, size string) (dev, mounted string) {
		devtest.Run(t, "truncate", "--size", size, path)
		devtest.Run(t, "mkfs.ext4", "-q", path)
		dev, mounted = devtest.Loop(t, path), t.TempDir()
		devtest.Run(t, "mount", dev, mounted)
		t.Cleanup(func() { devtest.Run(t, "umount", "--lazy", mounted) })
		return dev, mounted
	}
	image := filepath.Join(dir, "image")
	dev, mounted := onDisk(image, "40M")
	inner := filepath.Join(mounted, "inner")
	innerDev, innerMounted := onDisk(inner, "20M")
	for _, test := range []struct {
		path, device string
		want         bool
	}{
		{mounted, dev, true},
		{mounted + "/inner", dev, true},
		{mounted, image, true},
		{innerMounted, innerDev, true},
		{innerMounted, inner, true},
		{innerMounted, dev, true},
		{innerMounted, image, true},
		{mounted, innerDev, false},
		{mounted, inner, false},
		{dir, dev, false},
		{dir, image, false},
		{mounted + "/missing", dev, false},
		{"/proc", dev, false},
	} {
		id, err := Identify(test.device)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := LiesOn(test.path, id); err != nil || got != test.want {
			t.Errorf("%s on %s: %v, want %v (%v)", test.path, test.device, got, test.want, err)
		}
	}
}
