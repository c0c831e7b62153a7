package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// forAnybody copies the program to a folder that anybody can run it from, and lets them read what
// else is named.
func (m machine) forAnybody(paths ...string) (bin string) {
	m.Helper()
	program, err := exec.LookPath("lvmsync-patch")
	if err != nil {
		m.Fatal(err)
	}
	bin = m.TempDir()
	m.sh("cp", program, bin)
	m.sh("sh", append([]string{"-c", `for d in "$0" "$@"; do chmod -R a+rX "$d"
while [ "$d" != / ]; do chmod a+x "$d"; d=$(dirname "$d"); done; done`, bin}, paths...)...)
	return bin
}

// Who is not root mounts by fusermount3, or is told that it is missing.
func TestMountNotRoot(t *testing.T) {
	m := asRoot(t)
	archive, _ := sparseArchive(m)
	point := t.TempDir()
	bin := m.forAnybody(archive, point)
	_, messages := run(t, nil, "setpriv", "--reuid", "65534", "--clear-groups", "env", "PATH=/none",
		bin+"/lvmsync-patch", "mount", archive, point)
	if !strings.Contains(messages, "fusermount3") {
		t.Error(messages)
	}
}

// What fusermount3 says is told, and what to do about it; so is that the patches may not be read.
func TestMountUserRefused(t *testing.T) {
	m := asRoot(t)
	archive, _ := sparseArchive(m)
	point := t.TempDir()
	bin := m.forAnybody(archive, point)
	m.sh("sh", "-c", `echo "$1" >"$0"; chmod a+x "$0"`, bin+"/fusermount3",
		"#!/bin/sh\n[ -z \"$SAYS\" ] || echo \"fusermount3: $SAYS\" >&2\nexit 1")
	mount := func(says string, want ...string) {
		t.Helper()
		_, messages := run(t, nil, "setpriv", "--reuid", "65534", "--clear-groups", "env",
			"PATH="+bin+":/usr/bin:/bin", "SAYS="+says, "lvmsync-patch", "mount", archive, point)
		for _, text := range want {
			if !strings.Contains(messages, text) {
				t.Errorf("no %q in %q", text, messages)
			}
		}
	}
	mount("mount failed: Operation not permitted",
		"error: mount on "+point+": fusermount3: mount failed: Operation not permitted\n",
		"hint: run as root, or have it installed with its setuid bit")
	mount("it is Sunday", ": fusermount3: it is Sunday\n", "hint: try the same as root")
	mount("", ": fusermount3 says nothing and has ended with: exit status 1\n")
	m.sh("chmod", "-R", "go-r", archive)
	m.sh("chmod", "a+rx", archive)
	mount("", "error: "+archive+": no patch can be used, such as "+archive+
		"/0.lvmpatch: permission denied\n", "hint: run as who may read it")
}

// Whatever keeps fusermount3 from unmounting or detaching, the third signal ends it, and no other
// one; what interrupts the program does not interrupt that.
func TestMountHelperFails(t *testing.T) {
	m := asRoot(t)
	helper, err := exec.LookPath("fusermount3")
	if err != nil {
		t.Fatal(err)
	}
	archive, _ := sparseArchive(m)
	user := func(failing string) (a *mountedArchive, log string) {
		bin := m.forAnybody(archive)
		log = filepath.Join(bin, "log")
		m.sh("sh", "-c", `echo "$2" >"$0/fusermount3"; chmod a+x "$0/fusermount3"; >"$1"; chmod a+w "$1"`,
			bin, log, fmt.Sprintf(`#!/bin/sh
case $1 in %s)
	echo "$LC_ALL $$ $(cut -d" " -f5 /proc/$$/stat)" >>%s
	echo "not for now" >&2
	exit 1;;
esac
exec %s "$@"`, failing, log, helper))
		return m.mountBy("unshare", "--mount", "sh", "-c", `for point; do :; done
mknod -m 666 "$0/fuse" c 10 229 && mount --bind "$0/fuse" /dev/fuse && chown 65534 "$point" &&
chmod a+x "$point/.." "$point/../.." &&
PATH=$0:$PATH exec setpriv --reuid 65534 --clear-groups lvmsync-patch mount "$@"`,
			bin, archive), log
	}

	a, log := user("-u")
	a.signal()
	a.says("can't be unmounted: ")
	a.says(": not for now; it is tried again")
	a.signal()
	a.says("is detached: ")
	a.wantEnd(0)
	line, _, _ := bytes.Cut(mustRead(t, log), []byte("\n"))
	var locale string
	var process, group int
	if n, err := fmt.Sscan(string(line), &locale, &process, &group); n != 3 || locale != "C" ||
		process != group {
		t.Errorf("it ran as %q, %v", line, err)
	}

	a, _ = user("-u*")
	a.signal()
	a.says("can't be unmounted: ")
	a.signal()
	a.says("can't be detached: ")
	a.signal()
	a.wantEnd(1)
	a.says("hint: take it away with")
}
