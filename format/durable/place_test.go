package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvmsync/format/storage/devtest"
)

// mount mounts something on a new folder, until the test ends.
func mount(t *testing.T, args ...string) string {
	t.Helper()
	devtest.NeedRoot(t)
	dir := t.TempDir()
	devtest.Run(t, "mount", append(args, dir)...)
	t.Cleanup(func() { devtest.Run(t, "umount", "--lazy", dir) })
	return dir
}

func mkdir(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// overlay mounts an overlay that writes to the folder upper of dir.
func overlay(t *testing.T, dir, upper string) string {
	t.Helper()
	escaped := strings.NewReplacer(`\`, `\\`, ",", `\,`, ":",
		`\:`).Replace(filepath.Join(dir, upper))
	mkdir(t, filepath.Join(dir, upper), filepath.Join(dir, "work"), filepath.Join(dir, "lower"))
	return mount(t, "-t", "overlay", "overlay", "-o",
		"lowerdir="+dir+"/lower,upperdir="+escaped+",workdir="+dir+"/work")
}

// onLoop mounts an ext4 on a loop device of an image file in dir.
func onLoop(t *testing.T, dir string) string {
	t.Helper()
	disk := filepath.Join(dir, "disk")
	if err := os.WriteFile(disk, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	devtest.Run(t, "mkfs.ext4", "-q", disk)
	return mount(t, devtest.Loop(t, disk))
}

// What is kept in memory is known through whatever stands on it.
func TestMemory(t *testing.T) {
	tmpfs := func() string { return mount(t, "-t", "tmpfs", "none") }
	ramfs := mount(t, "-t", "ramfs", "none")
	tests := map[string]string{
		tmpfs():                             "memory (a tmpfs)",
		ramfs:                               "memory (a ramfs)",
		onLoop(t, tmpfs()):                  "memory (a tmpfs)",
		overlay(t, tmpfs(), "upper"):        "memory (a tmpfs)",
		overlay(t, tmpfs(), `u,p:p\e r`):    "memory (a tmpfs)",
		onLoop(t, overlay(t, tmpfs(), "u")): "memory (a tmpfs)",
		"/no/such/folder":                   "",
	}
	if disk := t.TempDir(); Memory(disk) == "" {
		mkdir(t, filepath.Join(disk, "overlay"))
		tests[disk] = ""
		tests[onLoop(t, disk)] = ""
	}
	for path, want := range tests {
		if got := Memory(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// No file is made where none can be kept, or where only a mistyped device can be meant.
func TestCheckPlace(t *testing.T) {
	t.Chdir("/dev")
	link, devices := filepath.Join(t.TempDir(), "link"), ""
	if err := os.Symlink("/dev", link); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		devices = mount(t, "-t", "devtmpfs", "none")
	}
	for path, want := range map[string]string{
		"/dev/sdx9":         "among devices",
		"/dev/no-vg/lv":     "among devices",
		"/dev/mapper/x":     "among devices",
		"sdx9":              "among devices",
		link + "/x":         "among devices",
		devices + "/x":      "among devices",
		"/tmp/../dev/x":     "among devices",
		"/proc/x":           "where the kernel shows itself",
		"/proc/self/x":      "where the kernel shows itself",
		"/sys/x":            "where the kernel shows itself",
		"/sys/kernel/x":     "where the kernel shows itself",
		"/dev/shm/x":        "",
		"/devices/x":        "",
		t.TempDir() + "/x":  "",
		"/dev/../tmp/x":     "",
		"/no/such/folder/x": "",
	} {
		if path == "/x" {
			continue // there is no devtmpfs
		}
		err := CheckPlace(path)
		var place *PlaceError
		if err == nil && want != "" || err != nil &&
			(want == "" || !errors.As(err, &place) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
