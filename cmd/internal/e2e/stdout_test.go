package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// printing are commands that print what was asked for to standard output.
var printing = [][]string{
	{"lvmsync-dump", "--help"},
	{"lvmsync-dump", "--version"},
	{"lvmsync-dump", "--cow", "cow.img", "origin.img"},
	{"lvmsync-dump", "--full", "origin.img", "-o", "-"},
	{"lvmsync-dump", "--full", "--json", "origin.img"},
	{"lvmsync-dump", "--full", "--dry-run", "origin.img"},
	{"lvmsync-apply", "--help"},
	{"lvmsync-apply", "--version"},
	{"lvmsync-patch", "--help"},
	{"lvmsync-patch", "--version"},
	{"lvmsync-patch", "help", "verify"},
	{"lvmsync-patch", "info", "patch"},
	{"lvmsync-patch", "info", "--json", "patch"},
	{"lvmsync-patch", "signature", "origin.img"},
}

// What doesn't arrive at standard output is an error of every program, also where only the disk
// knows.
func TestStdoutFails(t *testing.T) {
	dir := snapshotFolder(t)
	if status, messages := runIn(t, dir, `exec "$@" >patch`, "lvmsync-dump", "--full",
		"origin.img"); status != 0 {
		t.Fatal(messages)
	}
	full, disk := "", ""
	if os.Geteuid() == 0 {
		full, disk = fullDisk(machine{t})
	}
	for _, test := range []struct{ name, script, message string }{
		{"full", `exec "$@" >/dev/full`, "standard output: no space left on device; what was " +
			"written there is not whole"},
		{"closed", `exec "$@" >&-`, "standard output: it is closed"},
		{"disk is full", `exec "$@" >` + full + "/x", "; what was written there is not whole"},
		{"device is full", `exec "$@" >` + disk, "; what was written there is not whole"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if strings.HasPrefix(test.name, "d") && full == "" {
				t.Skip("only root may mount a file system")
			}
			for _, args := range printing {
				status, messages := runIn(t, dir, test.script, args...)
				if status != 1 || !strings.Contains(messages, test.message) ||
					strings.Contains(messages, "nothing is left") {
					t.Errorf("%v: status %d\n%s", args, status, messages)
				}
				if !strings.Contains(messages, `{"program"`) {
					wantOneError(t, args[0], messages)
				}
			}
		})
	}
}

// A patch, or a signature, that its disk has lost a part of has no trailer: nothing says that it is
// whole.
func TestStdoutWithoutTrailer(t *testing.T) {
	full, _ := fullDisk(asRoot(t))
	source, patch := filepath.Join(t.TempDir(), "image"), filepath.Join(full, "x")
	content := make([]byte, 2*mib)
	rand.NewChaCha8([32]byte{4}).Read(content)
	mustWrite(t, source, content)
	if status, messages := runIn(t, full, `exec "$@" >x`, "lvmsync-dump", "--level", "0", "--full",
		source); status != 1 {
		t.Fatalf("status %d\n%s", status, messages)
	}
	wantRun(t, 4, "", "lvmsync-patch", "verify", patch)
	if status, messages := runIn(t, full, `exec "$@" >y`, "lvmsync-patch", "signature",
		"--block-size", "512", source); status != 1 {
		t.Fatalf("status %d\n%s", status, messages)
	}
	wantRun(t, 4, "", "lvmsync-dump", "--dry-run", "--signature", filepath.Join(full, "y"), source)
}

// Standard output may be anything that takes it.
func TestStdoutTakes(t *testing.T) {
	dir := snapshotFolder(t)
	if status, messages := runIn(t, dir, `exec "$@" >patch`, "lvmsync-dump", "--full",
		"origin.img"); status != 0 {
		t.Fatal(messages)
	}
	for _, script := range []string{`exec "$@" >/dev/null`, `"$@" | cat >/dev/null`,
		`exec "$@" >out`, `exec "$@" >>out`,
		`exec 3<>/dev/null; exec "$@" 0<&3 1>&3`} { // as daemons are started
		for _, args := range printing {
			if status, messages := runIn(t, dir, script, args...); status != 0 {
				t.Errorf("%s: %v: status %d\n%s", script, args, status, messages)
			}
		}
	}
	// Nothing is printed: nothing is lost.
	for _, args := range [][]string{{"lvmsync-patch", "verify", "patch"},
		{"lvmsync-dump", "--full", "origin.img", "-o", "x"}} {
		if status, messages := runIn(t, dir, `exec "$@" >&-`, args...); status != 0 {
			t.Errorf("%v: status %d\n%s", args, status, messages)
		}
	}
}

// The report of --json is what was asked for, too. That it is lost doesn't make a destination
// wrong.
func TestReportFails(t *testing.T) {
	dir := snapshotFolder(t)
	for _, test := range []struct {
		status int
		args   []string
	}{
		{1, []string{"lvmsync-dump", "--json", "--full", "origin.img", "-o", "patch"}},
		{1, []string{"lvmsync-patch", "verify", "--json", "patch"}},
		{0, []string{"lvmsync-apply", "--json", "--create", "patch", "image"}},
	} {
		if status, _ := runIn(t, dir, `exec "$@" 2>/dev/full`,
			test.args...); status != test.status {
			t.Errorf("%v: status %d, want %d", test.args, status, test.status)
		}
	}
	// What was made is whole all the same.
	wantRun(t, 0, "", "lvmsync-patch", "verify", filepath.Join(dir, "patch"))
}

// A file that was to be replaced is told to be so only if that is true.
func TestHintOfFullDisk(t *testing.T) {
	dir := snapshotFolder(t)
	m := asRoot(t)
	full, _ := fullDisk(m)
	status, messages := runIn(t, dir, `exec "$@"`, "lvmsync-dump", "--full", "origin.img", "-o",
		filepath.Join(full, "x"))
	if _, err := os.Stat(filepath.Join(full, "x")); status != 1 || err == nil ||
		!strings.Contains(messages, "error: finish the patch file "+full+"/x: ") {
		t.Errorf("status %d, %v\n%s", status, err, messages)
	}
	wantOneError(t, "lvmsync-dump", messages)

	tmpfs := m.mounted("-t", "tmpfs", "-o", "size=64k", "none")
	status, messages = runIn(t, dir, `exec "$@"`, "lvmsync-dump", "--full", "--level", "0",
		"origin.img", "-o", filepath.Join(tmpfs, "x"))
	if left, err := os.ReadDir(tmpfs); status != 1 || err != nil || len(left) > 0 ||
		!strings.Contains(messages, "nothing is left of the unfinished one") {
		t.Errorf("status %d, left: %v (%v)\n%s", status, left, err, messages)
	}
}

// fullDisk makes a file system and a device that have room, on a disk that has none: what is
// written is lost, and the kernel learns of that when it writes its cache back.
func fullDisk(m machine) (dir, device string) {
	m.Helper()
	disk := m.mounted("-t", "tmpfs", "-o", "size=4m", "none")
	m.sh("truncate", "-s", "32m", disk+"/fs", disk+"/device")
	m.sh("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard", disk+"/fs")
	fs, _ := m.loop(disk + "/fs")
	device, _ = m.loop(disk + "/device")
	dir = m.mounted(fs)
	m.sh("sync", "-f", dir)
	m.sh("sh", "-c", "! cat /dev/zero 2>&- >"+disk+"/rest")
	return dir, device
}
