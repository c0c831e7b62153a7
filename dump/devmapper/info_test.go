package devmapper

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format/storage/kernel"
)

func TestParseDevices(t *testing.T) {
	devices, err := parseDevices(captured(t, "all.info"))
	if err != nil {
		t.Fatal(err)
	}
	byNum := make(map[uint32]Device)
	for _, d := range devices {
		byNum[d.Num.Minor] = d
	}
	const lvm = "LVM-KZSzrxD1CRD4IDMwG9WkUCnj2nZrP1CB"
	for minor, want := range map[uint32]Device{
		0: {Name: "my--vg-or--ig", UUID: lvm + "h4qWfDFitCglgyhfGwNJ1c9zoEktkG0K",
			VG: "my-vg", LV: "or-ig"},
		1: {Name: "my--vg-or--ig-real", UUID: lvm + "h4qWfDFitCglgyhfGwNJ1c9zoEktkG0K-real",
			VG: "my-vg", LV: "or-ig", Layer: "real"},
		2: {Name: "my--vg-s--1-cow", UUID: lvm + "2QuqP91MPhdObDhkjEEJkCrgmMUiht7P-cow",
			VG: "my-vg", LV: "s-1", Layer: "cow"},
		9: {Name: "my--vg-st.snap+x_1", UUID: lvm + "ZRagPx91HW2ktzrmA6Eu0rbUpnDLPTh0",
			VG: "my-vg", LV: "st.snap+x_1"},
		24: {Name: "odd: name|1"},
		25: {Name: "empty"},
	} {
		want.Num = kernel.DevNum{Major: 253, Minor: minor}
		if diff := cmp.Diff(want, byNum[minor]); diff != "" {
			t.Errorf("253:%d (-want +got):\n%s", minor, diff)
		}
	}
	if none, err := parseDevices(captured(t, "none.info")); len(none) != 0 || err != nil {
		t.Errorf("with no devices: %+v, %v", none, err)
	}
}

func TestParseDevicesRefuses(t *testing.T) {
	for _, text := range []string{"\n", "253/0/my-vg/or-ig//my--vg-or--ig\n",
		"x/0/vg/lv//vg-lv/uuid\n", "253/-1/vg/lv//vg-lv/uuid\n", "253/0/vg/lv///uuid\n"} {
		if devices, err := parseDevices(text); err == nil {
			t.Errorf("%q: got %+v", text, devices)
		}
	}
}

func TestInfo(t *testing.T) {
	noSys(t)
	argsFile := fakeTool(t, "dmsetup", "253/3/my-vg/s-1//my--vg-s--1/LVM-abc\n", "", "0")
	got, err := Info(context.Background(), kernel.DevNum{Major: 253, Minor: 3})
	want := Device{Name: "my--vg-s--1", UUID: "LVM-abc", Num: kernel.DevNum{Major: 253, Minor: 3},
		VG: "my-vg", LV: "s-1"}
	if got != want || err != nil {
		t.Errorf("Info = %+v, %v", got, err)
	}
	args, err := os.ReadFile(argsFile)
	if err != nil {
		t.Fatal(err)
	}
	if want := "C info -c --noheadings --separator / -o " + infoFields +
		" -j 253 -m 3\n"; string(args) != want {
		t.Errorf("LC_ALL and arguments %q, want %q", args, want)
	}
	for _, out := range []string{"", "253/4/my-vg/s-1//my--vg-s--1/LVM-abc\n",
		"253/3////a/\n253/4////b/\n"} {
		fakeTool(t, "dmsetup", out, "", "0")
		if got, err := Info(context.Background(), kernel.DevNum{Major: 253, Minor: 3}); err == nil {
			t.Errorf("dmsetup says %q: got %+v", out, got)
		}
	}
}

func TestOpenCount(t *testing.T) {
	noSys(t)
	for out, want := range map[string]int{"0\n": 0, "  12\n": 12, "\n": -1,
		"No devices found\n": -1} {
		fakeTool(t, "dmsetup", out, "", "0")
		if got, err := OpenCount(context.Background(),
			kernel.DevNum{Major: 253, Minor: 3}); (err == nil) != (want >= 0) ||
			err == nil && got != want {
			t.Errorf("%q: %d, %v", out, got, err)
		}
	}
}

func TestNotDM(t *testing.T) {
	noSys(t)
	// of a kernel that tells
	if err := os.MkdirAll(filepath.Join(kernel.Sys, "dev", "block"), 0o700); err != nil {
		t.Fatal(err)
	}
	for ask, said := range map[string]string{
		"info": "Device does not exist.\nCommand failed.\n",
		"table": "device-mapper: table ioctl on  (253:200) failed: No such device or address\n" +
			"Command failed.\n",
		"status": "Device does not exist.\nCommand failed.\n",
	} {
		fakeTool(t, "dmsetup", "", said, "1")
		var err error
		switch ask {
		case "info":
			_, err = Info(context.Background(), kernel.DevNum{Major: 253, Minor: 200})
		case "table":
			_, err = TableOf(context.Background(), kernel.DevNum{Major: 253, Minor: 200})
		case "status":
			_, err = StatusOf(context.Background(), kernel.DevNum{Major: 253, Minor: 200})
		}
		if !errors.Is(err, kernel.ErrNotDM) {
			t.Errorf("%s: error %v is not kernel.ErrNotDM", ask, err)
		}
		checkError(t, err, "device 253:200: not a device-mapper device")
	}
}

// The kernel knows that without dmsetup.
func TestNotDMWithoutTool(t *testing.T) {
	noSys(t)
	onlyPath(t, t.TempDir())
	if err := os.MkdirAll(filepath.Join(kernel.Sys, "dev", "block", "8:0"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := TableOf(context.Background(),
		kernel.DevNum{Major: 8, Minor: 0}); !errors.Is(err, kernel.ErrNotDM) {
		t.Errorf("error %v is not kernel.ErrNotDM", err)
	}
	if err := os.MkdirAll(filepath.Join(kernel.Sys, "dev", "block", "253:0", "dm"),
		0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := TableOf(context.Background(),
		kernel.DevNum{Major: 253, Minor: 0}); !errors.Is(err, ErrNoTool) {
		t.Errorf("error %v is not ErrNoTool", err)
	}
}

func TestDeviceWithoutPrivileges(t *testing.T) {
	noSys(t)
	fakeTool(t, "dmsetup", "", captured(t, "not-root-dmsetup.err"), "1")
	_, err := TableOf(context.Background(), kernel.DevNum{Major: 253, Minor: 0})
	if errors.Is(err, kernel.ErrNotDM) {
		t.Error("error is kernel.ErrNotDM")
	}
	checkError(t, err,
		"dmsetup table -j 253 -m 0: /dev/mapper/control: open failed: Permission denied")
}

func TestDevicePath(t *testing.T) {
	node, num := blockNode(t)
	noSys(t)
	dev := fakeDev(t)
	dir := filepath.Join(kernel.Sys, "dev", "block", num.String())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d := Device{Name: "my--vg-lv", Num: num}
	check := func(what, want string) {
		t.Helper()
		if got := d.Path(); got != want {
			t.Errorf("%s: path %s, want %s", what, got, want)
		}
	}
	check("nothing known", filepath.Join(dev, "block", num.String()))
	if err := os.WriteFile(filepath.Join(dir, "uevent"),
		[]byte("MAJOR=253\nDEVNAME=dm-7\nDEVTYPE=disk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("kernel's name", filepath.Join(dev, "dm-7"))
	link(t, "/dev/null", filepath.Join(dev, "mapper", "my--vg-lv"))
	check("something else by that name", filepath.Join(dev, "dm-7"))
	d.Name = "my--vg-other"
	link(t, node, filepath.Join(dev, "mapper", "my--vg-other"))
	check("device by that name", filepath.Join(dev, "mapper", "my--vg-other"))
	d.Num.Minor++
	check("another device by that name", filepath.Join(dev, "block", d.Num.String()))
}

// A device that has another's number is not it.
func TestDeviceExists(t *testing.T) {
	noSys(t)
	d := Device{Name: "vg-snap", UUID: "LVM-abc", Num: kernel.DevNum{Major: 253, Minor: 3}}
	if d.Exists() {
		t.Error("a device that was never made exists")
	}
	dir := filepath.Join(kernel.Sys, "dev", "block", "253:3", "dm")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for uuid, want := range map[string]bool{"LVM-abc\n": true, "LVM-xyz\n": false, "\n": false} {
		if err := os.WriteFile(filepath.Join(dir, "uuid"), []byte(uuid), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := d.Exists(); got != want {
			t.Errorf("with UUID %q at its number, Exists = %v", uuid, got)
		}
	}
}
