package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	for _, s := range []string{"", ":", "253", "253:", ":1", "253:1:1", "253:-1", "+253:1",
		"253:4294967296", " 253:1"} {
		if n, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v", s, n)
		}
	}
	if n, err := Parse("253:1048575"); err != nil || n.String() != "253:1048575" {
		t.Errorf("parseDevNum = %v, %v", n, err)
	}
}

func TestByUUID(t *testing.T) {
	old := Sys
	t.Cleanup(func() { Sys = old })
	Sys = t.TempDir()
	for num, uuid := range map[string]string{"253:1": "LVM-a\n", "253:2": "\n", "7:0": ""} {
		dir := filepath.Join(Sys, "dev", "block", num, "dm")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "uuid"), []byte(uuid), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for uuid, want := range map[string]bool{"LVM-a": true, "LVM-b": false, "": false} {
		num, err := ByUUID(uuid)
		if (err == nil) != want || want && num != (DevNum{253, 1}) || !want &&
			!errors.Is(err, ErrNotDM) {
			t.Errorf("%q: %s, %v", uuid, num, err)
		}
	}
}

// Of a device that stands on something that has no number it isn't known what it stands on.
func TestBelow(t *testing.T) {
	old := Sys
	t.Cleanup(func() { Sys = old })
	Sys = t.TempDir()
	num := DevNum{253, 1}
	if below, err := num.Below(); len(below) != 0 || err != nil {
		t.Errorf("without slaves: %v, %v", below, err)
	}
	slave := filepath.Join(num.Dir(), "slaves", "sda")
	if err := os.MkdirAll(slave, 0o700); err != nil {
		t.Fatal(err)
	}
	if below, err := num.Below(); err == nil {
		t.Errorf("one without a number: %v", below)
	}
	if err := os.WriteFile(filepath.Join(slave, "dev"), []byte("8:0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if below, err := num.Below(); err != nil || !slices.Equal(below, []DevNum{{8, 0}}) {
		t.Errorf("%v, %v; want 8:0", below, err)
	}
}

// A device that the kernel doesn't tell the node of has that of its name, or that of its number.
func TestPath(t *testing.T) {
	sys, dev := Sys, Dev
	t.Cleanup(func() { Sys, Dev = sys, dev })
	Sys, Dev = t.TempDir(), t.TempDir()
	null := DevNum{1, 3}
	devices := filepath.Join(Sys, "devices", "cciss!null")
	if err := errors.Join(os.MkdirAll(devices, 0o700), os.MkdirAll(filepath.Dir(null.Dir()), 0o700),
		os.Symlink(devices, null.Dir())); err != nil {
		t.Fatal(err)
	}
	if got, want := null.Path(), filepath.Join(Dev, "block", "1:3"); got != want {
		t.Errorf("no node: %s, want %s", got, want)
	}
	node := filepath.Join(Dev, "cciss", "null")
	if err := errors.Join(os.MkdirAll(filepath.Dir(node), 0o700),
		os.WriteFile(node, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got, want := null.Path(), filepath.Join(Dev, "block", "1:3"); got != want {
		t.Errorf("a file in its place: %s, want %s", got, want)
	}
	uevent := filepath.Join(devices, "uevent")
	if err := os.WriteFile(uevent, []byte("MAJOR=1\nDEVNAME=a/b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := null.Path(), filepath.Join(Dev, "a/b"); got != want {
		t.Errorf("a node: %s, want %s", got, want)
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := errors.Join(os.Remove(uevent), os.Remove(node),
		unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(1, 3)))); err != nil {
		t.Fatal(err)
	}
	if got := null.Path(); got != node {
		t.Errorf("a node of its name: %s, want %s", got, node)
	}
}
