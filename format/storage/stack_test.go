package storage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"lvmsync/format/storage/devtest"
	"lvmsync/format/storage/kernel"
)

// fakeSys puts a tree with the given files in place of /sys until the test ends.
func fakeSys(t *testing.T, files map[string]string) {
	t.Helper()
	old := kernel.Sys
	t.Cleanup(func() { kernel.Sys = old })
	kernel.Sys = fakeTree(t, files)
}

// fakeProc does the same for /proc.
func fakeProc(t *testing.T, files map[string]string) {
	t.Helper()
	old := procRoot
	t.Cleanup(func() { procRoot = old })
	procRoot = fakeTree(t, files)
}

func fakeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func device(minor uint32) ID { return numbered(253, minor) }

func numbered(major, minor uint32) ID { return DeviceID(kernel.DevNum{Major: major, Minor: minor}) }

// vda has a partition; a volume of it (dm-1) and a mirror half (dm-2) lie on that, the mirror
// (dm-3) on both, and the encrypted dm-4 on the mirror. dm-9 vanishes while it is looked at.
var diamond = map[string]string{
	"dev/block/253:0/dev":                 "253:0\n",
	"dev/block/253:0/vda1/dev":            "253:10\n",
	"dev/block/253:0/vda1/partition":      "1\n",
	"dev/block/253:0/queue/dev":           "253:99\n",
	"dev/block/253:10/holders/dm-1/dev":   "253:1\n",
	"dev/block/253:10/holders/dm-2/dev":   "253:2\n",
	"dev/block/253:1/holders/dm-3/dev":    "253:3\n",
	"dev/block/253:2/holders/dm-3/dev":    "253:3\n",
	"dev/block/253:2/holders/dm-9/gone":   "",
	"dev/block/253:3/holders/dm-4/dev":    "253:4\n",
	"dev/block/253:4/dev":                 "253:4\n",
	"dev/block/253:4/dm/name":             "vg-crypt\n",
	"dev/block/253:4/ro":                  "1\n",
	"dev/block/253:3/ro":                  "0\n",
	"dev/block/253:4/holders/dm-3/dev":    "253:3\n", // a loop, which the kernel does not allow
	"dev/block/253:4/holders/nodev/other": "",
}

func TestAbove(t *testing.T) {
	fakeSys(t, diamond)
	layers, err := above(device(0))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range layers {
		names = append(names, l.label())
	}
	if diff := cmp.Diff([]string{"dm-4 (vg-crypt)", "dm-3", "dm-1", "dm-2", "vda1"},
		names); diff != "" {
		t.Errorf("from the top down (-want +got):\n%s", diff)
	}
}

func TestAboveUnknownDevice(t *testing.T) {
	fakeSys(t, diamond)
	if layers, err := above(device(77)); err == nil ||
		!strings.Contains(err.Error(), "block device 253:77") {
		t.Errorf("above = %v, %v; want an error that names the device", layers, err)
	}
}

func TestStackedUsers(t *testing.T) {
	fakeSys(t, diamond)
	fakeProc(t, map[string]string{"self/mountinfo": "" +
		"22 1 0:20 / /proc rw,relatime - proc proc rw\n" +
		"29 1 253:4 / /mnt/a rw,relatime - ext4 /dev/mapper/vg-crypt ro\n" +
		"30 1 253:10 / /mnt/b\\040c ro,relatime - ext4 /dev/vda1 rw\n" +
		"31 1 253:0 / /mnt/d rw,relatime shared:1 - xfs /dev/vda rw\n"})
	usage, err := Users(device(0))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range usage.Users {
		got = append(got, u.String())
	}
	want := []string{
		"mounted on /mnt/d (xfs, rw)",
		"mounted on /mnt/a (ext4, ro) through dm-4 (vg-crypt)",
		"mounted on /mnt/b c (ext4, ro) through vda1",
		"in use by dm-4 (vg-crypt)", "in use by dm-3", "in use by dm-1", "in use by dm-2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	if ro := []bool{usage.Users[3].ReadOnly, usage.Users[4].ReadOnly}; !ro[0] || ro[1] {
		t.Errorf("read-only: dm-4 %v, dm-3 %v; want true, false", ro[0], ro[1])
	}
}

// btrfs shows a device number of its own in the mount table, and names one of its devices only.
func TestMountsFromBtrfs(t *testing.T) {
	devtest.NeedRoot(t)
	dir := t.TempDir()
	node := filepath.Join(dir, "dm-1")
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(253, 1))); err != nil {
		t.Fatal(err)
	}
	mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(""+
		"29 1 0:44 / /mnt/a rw,relatime - btrfs "+node+" rw\n"+
		"30 1 0:45 / /mnt/b rw,relatime - tmpfs tmpfs rw\n"+
		"31 1 0:46 / /mnt/c rw,relatime - cifs //server/share rw\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	fakeSys(t, map[string]string{
		"fs/btrfs/features/raid1c34":                  "0",
		"fs/btrfs/1111/devices/dm-8/dev":              "253:8",
		"fs/btrfs/2222-3333-4444/devices/dm-1/dev":    "253:1",
		"fs/btrfs/2222-3333-4444/devices/dm-2/dev":    "253:2",
		"fs/btrfs/2222-3333-4444/devices/dm-3/no-dev": "",
	})
	for minor, want := range map[uint32]int{1: 1, 2: 1, 8: 0, 9: 0} {
		if got := mountsFrom(mounts, device(minor)); len(got) != want {
			t.Errorf("253:%d: %d mounts, want %d", minor, len(got), want)
		}
	}
}

// A file system may be mounted from a file without a loop device.
func TestMountsFromFile(t *testing.T) {
	path := devtest.Hole(t, 4096)
	mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(""+
		"29 1 0:44 / /mnt/a ro,relatime - erofs "+path+" ro\n"+
		"30 1 0:45 / /mnt/b rw,relatime - erofs "+devtest.Hole(t, 4096)+" ro\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := mountsFrom(mounts, id); len(got) != 1 || got[0].Mountpoint != "/mnt/a" {
		t.Errorf("mounted on %v, want /mnt/a", got)
	}
}

func TestSwapAreas(t *testing.T) {
	swapFile := filepath.Join(t.TempDir(), "swap file")
	if err := os.WriteFile(swapFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fakeProc(t, map[string]string{"swaps": "" +
		"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" +
		"/no/such/device                   partition\t6000\t\t0\t\t-2\n" +
		strings.ReplaceAll(swapFile, " ", `\040`) + "                   file\t\t6000\t\t0\t\t-2\n"})
	id, err := Identify(swapFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[ID]bool{id: true}, swapAreas()); diff != "" {
		t.Errorf("swap areas (-want +got):\n%s", diff)
	}
}
