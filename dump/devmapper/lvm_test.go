package devmapper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format/storage/devtest"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// needLVM skips a test where there is no LVM to test with.
func needLVM(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may make logical volumes")
	}
	if devices, err := os.ReadFile("/proc/devices"); err != nil ||
		!strings.Contains(string(devices), "device-mapper") {
		t.Skip("this kernel has no device-mapper: make lvm runs it in the guest")
	}
}

// newVG makes a volume group on a loop device until the test ends.
func newVG(t *testing.T) string {
	t.Helper()
	needLVM(t)
	pv := devtest.Loop(t, devtest.Hole(t, 64<<20))
	vg := fmt.Sprintf("test-vg+%d", os.Getpid())
	devtest.Run(t, "vgcreate", "-q", "-s", "4k", vg, pv)
	t.Cleanup(func() { devtest.Run(t, "vgremove", "-q", "-f", vg) })
	return vg
}

// deviceAt is what device-mapper says of the device that a name leads to.
func deviceAt(t *testing.T, name string) Device {
	t.Helper()
	path, err := Resolve(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	num, err := blockDeviceAt(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Info(context.Background(), num)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRealSnapshot(t *testing.T) {
	ctx := context.Background()
	vg := newVG(t)
	devtest.Run(t, "lvcreate", "-q", "-y", "-Zn", "-l", "1501", "-n", "or-ig", vg)
	devtest.Run(t, "lvcreate", "-q", "-s", "-c", "64k", "-l", "900", "-n", "s-1.x", vg+"/or-ig")
	devtest.Run(t, "dd", "if=/dev/urandom", "of=/dev/"+vg+"/or-ig", "bs=64k", "count=3",
		"oflag=direct", "status=none")

	snap := deviceAt(t, vg+"/s-1.x")
	if snap.VG != vg || snap.LV != "s-1.x" || snap.Layer != "" ||
		!strings.HasPrefix(snap.UUID, "LVM-") {
		t.Errorf("Info of the snapshot: %+v", snap)
	}
	for _, name := range []string{"/dev/" + vg + "/s-1.x", "/dev/mapper/" + snap.Name,
		snap.Num.Path(), snap.Path()} {
		if diff := cmp.Diff(snap, deviceAt(t, name)); diff != "" {
			t.Errorf("Info of %s differs:\n%s", name, diff)
		}
	}
	table, err := TableOf(ctx, snap.Num)
	if err != nil || len(table) != 1 || table[0].LengthSectors != 12008 {
		t.Fatalf("TableOf = %+v, %v", table, err)
	}
	parts, err := dmtable.ParseSnapshot(table[0])
	if err != nil || parts.Merge || parts.Persistent != "P" || parts.ChunkSectors != 128 ||
		len(parts.Features) != 0 {
		t.Errorf("ParseSnapshotTarget = %+v, %v", parts, err)
	}
	cow, err := Info(ctx, parts.COW)
	if err != nil || cow.VG != vg || cow.LV != "s-1.x" || cow.Layer != "cow" {
		t.Errorf("Info of the COW device = %+v, %v", cow, err)
	}
	status, err := StatusOfSnapshot(ctx, snap.Num)
	if err != nil || status.State != Active || status.Exceptions(128) != 3 ||
		status.TotalSectors != 7200 {
		t.Errorf("StatusOfSnapshot = %+v, %v; want 3 exceptions", status, err)
	}
	checkOrigin(t, vg, parts.Real)
	lv, err := LV(ctx, vg, "s-1.x")
	if err != nil || lv.Origin != "or-ig" || lv.ChunkSize != 65536 || lv.OriginSize != 6148096 ||
		lv.Num != snap.Num || lv.Merging || lv.SnapshotInvalid {
		t.Errorf("LV = %+v, %v", lv, err)
	}
}

// checkOrigin finds the origin by the device with its data, as a dump does.
func checkOrigin(t *testing.T, vg string, realDev kernel.DevNum) {
	t.Helper()
	tables, err := Tables(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range tables {
		if len(d.Table) == 1 && d.Table[0].Type == "snapshot-origin" &&
			d.Table[0].Args[0] == realDev.String() {
			if diff := cmp.Diff(deviceAt(t, vg+"/or-ig"), d.Device); diff != "" {
				t.Errorf("origin (-want +got):\n%s", diff)
			}
			return
		}
	}
	t.Errorf("no origin on %s in %+v", realDev, tables)
}

func TestRealDelayedMerge(t *testing.T) {
	vg := newVG(t)
	devtest.Run(t, "lvcreate", "-q", "-y", "-Zn", "-l", "100", "-n", "origin", vg)
	devtest.Run(t, "lvcreate", "-q", "-s", "-c", "4k", "-l", "50", "-n", "snap", vg+"/origin")
	inUse, err := os.Open("/dev/" + vg + "/origin")
	if err != nil {
		t.Fatal(err)
	}
	defer inUse.Close()
	devtest.Run(t, "lvconvert", "-q", "--merge", vg+"/snap")
	lv, err := LV(context.Background(), vg, "snap")
	if err != nil || !lv.Merging || lv.Name != "snap" || lv.Origin != "origin" {
		t.Errorf("LV = %+v, %v; want it merging", lv, err)
	}
}

func TestRealInactive(t *testing.T) {
	vg := newVG(t)
	devtest.Run(t, "lvcreate", "-q", "-y", "-Zn", "-l", "100", "-n", "origin", vg)
	devtest.Run(t, "lvcreate", "-q", "-s", "-c", "4k", "-l", "50", "-n", "snap", vg+"/origin")
	devtest.Run(t, "lvchange", "-q", "-y", "-an", vg+"/origin")
	_, err := Resolve(context.Background(), vg+"/snap")
	if !errors.Is(err, ErrInactive) {
		t.Fatalf("error %v is not ErrInactive", err)
	}
	_, command, _ := strings.Cut(strings.TrimSuffix(err.Error(), `"`), `"`)
	words := strings.Fields(command)
	devtest.Run(t, words[0], words[1:]...)
	deviceAt(t, vg+"/snap")
	if _, err := Resolve(context.Background(), vg+"/nosuch"); !errors.Is(err, ErrNotFound) ||
		errors.Is(err, ErrInactive) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}

func TestRealDeviceThatIsNot(t *testing.T) {
	needLVM(t)
	if _, err := Info(context.Background(),
		kernel.DevNum{Major: 7, Minor: 0}); !errors.Is(err, kernel.ErrNotDM) {
		t.Errorf("a loop device: error %v is not ErrNotDM", err)
	}
	// Now it is as if the device had gone when dmsetup is asked.
	noSys(t)
	if err := os.MkdirAll(filepath.Join(kernel.Sys, "dev", "block"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, ask := range []func(context.Context, kernel.DevNum) (dmtable.Table, error){
		TableOf, StatusOf} {
		if _, err := ask(context.Background(),
			kernel.DevNum{Major: 7}); !errors.Is(err, kernel.ErrNotDM) {
			t.Errorf("a loop device: error %v is not ErrNotDM", err)
		}
	}
}
