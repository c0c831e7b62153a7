package devmapper

import (
	"embed"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvmsync/format/storage/kernel"
)

//go:embed testdata/lvm
var testdata embed.FS

// captured gives a file of what dmsetup and lvs really said.
func captured(t testing.TB, name string) string {
	t.Helper()
	data, err := testdata.ReadFile("testdata/lvm/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// fakeTool puts a program on the PATH, alone, that prints what it is told and ends with the given
// status. It gives a file to which the program writes its arguments.
func fakeTool(t *testing.T, name, stdout, stderr, status string) (args string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\n" + `d=${0%/*}; echo "$LC_ALL $*" > "$d/args"; /bin/cat "$d/out"; ` +
		`/bin/cat "$d/err" >&2; exit ` + status + "\n"
	for file, content := range map[string]string{name: script, "out": stdout, "err": stderr} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	onlyPath(t, dir)
	return filepath.Join(dir, "args")
}

// fakeNoLV is an lvs that knows no volume: it fails when it is asked for one, and lists none.
func fakeNoLV(t *testing.T, stdout, stderr string) {
	t.Helper()
	args := fakeTool(t, "lvs", stdout, stderr, "5")
	dir := filepath.Dir(args)
	script := `#!/bin/sh
d=${0%/*}; case "$*" in *" -S "*) /bin/cat "$d/none"; exit 0 ;; esac
/bin/cat "$d/out"; /bin/cat "$d/err" >&2; exit 5
`
	for file, content := range map[string]string{"lvs": script, "none": captured(t, "no-lv.json")} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// onlyPath has programs looked for in one folder alone, which may be empty.
func onlyPath(t *testing.T, dir string) {
	t.Helper()
	t.Setenv("PATH", dir)
	old := systemDirs
	t.Cleanup(func() { systemDirs = old })
	systemDirs = nil
}

// fakeDev puts a folder in place of /dev until the test ends.
func fakeDev(t *testing.T) string {
	t.Helper()
	old := kernel.Dev
	t.Cleanup(func() { kernel.Dev = old })
	kernel.Dev = t.TempDir()
	return kernel.Dev
}

// noSys hides what the kernel knows of devices, so that dmsetup has to be asked.
func noSys(t *testing.T) {
	t.Helper()
	old := kernel.Sys
	t.Cleanup(func() { kernel.Sys = old })
	kernel.Sys = t.TempDir()
}

// link makes a symbolic link and the folders above it.
func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// blockNode finds any block device.
func blockNode(t *testing.T) (path string, num kernel.DevNum) {
	t.Helper()
	entries, err := os.ReadDir("/dev")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join("/dev", e.Name())
		if num, err := blockDeviceAt(path); err == nil {
			return path, num
		}
	}
	t.Skip("there is no block device in /dev, as in a container")
	return "", kernel.DevNum{}
}

// checkError checks that an error is one line that contains a text.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q, want one line with %q", err, want)
	}
}
