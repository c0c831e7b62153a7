package thick

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lvmsync/format/storage"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// loop puts a loop device in front of a file or device until the test ends.
func loop(t *testing.T, backing string, options ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may make loop devices")
	}
	out, err := exec.Command("losetup", append(options, "--find", "--show", "--partscan", backing)...).Output()
	if err != nil {
		t.Fatalf("losetup %s: %v", backing, err)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if err := exec.Command("losetup", "--detach", dev).Run(); err != nil {
			t.Error(err)
		}
	})
	return dev
}

func identify(t *testing.T, path string) storage.ID {
	t.Helper()
	id, err := storage.Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Devices and files share storage if any of their bytes are the same, whatever lies between.
func TestMeet(t *testing.T) {
	const mib = 1 << 20
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, make([]byte, 4*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	all := loop(t, image)
	first, second := loop(t, image, "--sizelimit", "1M"), loop(t, image, "-o", "1M")
	upon := loop(t, second, "-o", "1M")
	renamed := image + "2"
	if err := os.Rename(image, renamed); err != nil {
		t.Fatal(err)
	}
	ids := map[string]storage.ID{"file": identify(t, renamed), "all": identify(t, all), "first": identify(t, first), "second": identify(t, second), "upon": identify(t, upon)}
	// Devices that only tables know: of the first and the third MiB, of both, and of what no more is known of than that.
	dm := func(minor uint32) storage.ID { return storage.DeviceID(kernel.DevNum{Major: 4095, Minor: minor}) }
	num := func(id storage.ID) string { return id.DevNum.String() }
	stack := survey{tables: make(map[storage.ID]dmtable.Table)}
	for name, table := range map[string]string{
		"dm first":   "0 2048 linear " + num(ids["all"]) + " 0",
		"dm third":   "0 2048 linear " + num(ids["second"]) + " 2048",
		"dm pieces":  "0 1024 linear " + num(ids["all"]) + " 0\n1024 1024 linear " + num(ids["all"]) + " 4096",
		"dm nowhere": "0 2048 error",
	} {
		lines, err := dmtable.Parse(table)
		if err != nil {
			t.Fatal(err)
		}
		id := dm(uint32(len(stack.tables)))
		ids[name], stack.tables[id] = id, lines
	}
	shared := map[[2]string]bool{}
	for _, group := range [][]string{
		{"file", "all", "first", "dm first", "dm pieces"}, // the first MiB
		{"file", "all", "second"},
		{"file", "all", "second", "upon", "dm third", "dm pieces"}, // the third
		{"dm nowhere"},
	} {
		for _, a := range group {
			for _, b := range group {
				shared[[2]string{a, b}] = true
			}
		}
	}
	for a := range ids {
		for b := range ids {
			size := func(p place) place { // sysfs knows nothing of those of tables
				if p.id.Major == 4095 {
					p.end = 2048 * 512
				}
				return p
			}
			got := meet(stack.places(size(wholly(ids[a]))), stack.places(size(wholly(ids[b]))), false)
			if want := shared[[2]string{a, b}]; got != want {
				t.Errorf("%s and %s share storage: %v, want %v", a, b, got, want)
			}
		}
	}
}
