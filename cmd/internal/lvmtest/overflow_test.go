//go:build lvm

package lvmtest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lvmsync/format"
)

// newOverflowing makes an origin with a snapshot that has room for half of it.
func newOverflowing(t *testing.T, vg string, originSize int64) (origin, snap string) {
	t.Helper()
	newVG(t, vg, 1)
	plain(t, vg, "origin", originSize)
	fill(t, "/dev/"+vg+"/origin", 1)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "64k", "-L", fmt.Sprintf("%db", originSize/2), "-n",
		"snap", vg+"/origin")
	return "/dev/" + vg + "/origin", vg + "/snap"
}

// wantNoPatch checks that what a failed dump wrote is no whole patch.
func wantNoPatch(t *testing.T, patch string) {
	t.Helper()
	if _, _, err := format.Verify(strings.NewReader(patch)); err == nil {
		t.Error("the dump failed, but its patch is whole")
	}
}

func TestOverflowedBefore(t *testing.T) {
	origin, snap := newOverflowing(t, "before", 4*mib)
	poke(t, origin, 2, 0)
	overflow(t, origin)
	d := run(t, nil, "lvmsync-dump", snap)
	d.want(t, 1, "the snapshot has overflowed and is invalid")
	if d.stdout != "" {
		t.Errorf("%d bytes on standard output", len(d.stdout))
	}
	out := filepath.Join(t.TempDir(), "x.lvmpatch")
	run(t, nil, "lvmsync-dump", "-o", out, snap).want(t, 1, "overflowed")
	if _, err := os.Stat(out); err == nil {
		t.Error("a patch file was made")
	}
	// The store alone says so, too.
	store := dmDevice(t, "before-snap-cow")
	run(t, nil, "lvmsync-dump", "--cow", store, origin).want(t, 1, "incomplete")
}

// dmDevice is the path of a device-mapper device that LVM makes no name for.
func dmDevice(t *testing.T, name string) string {
	t.Helper()
	minor := strings.TrimSpace(sh(t, "dmsetup", "info", "-c", "--noheadings", "-o", "minor", name))
	return "/dev/dm-" + minor
}

// The snapshot overflows between the first look at its status and the second. The programs' dmsetup
// is replaced by one that lets it happen behind its n-th answer to "status".
func TestOverflowDuringList(t *testing.T) {
	for n := 1; n <= 2; n++ {
		t.Run(fmt.Sprintf("after status %d", n), func(t *testing.T) {
			origin, snap := newOverflowing(t, "list", 4*mib)
			poke(t, origin, 2, 0, 1*mib)
			bin := wrapDmsetup(t, fmt.Sprintf(`
case " $* " in *" status "*) ;; *) exec "$real" "$@" ;; esac
"$real" "$@"; status=$?
echo >>"${0%%/*}/count"
[ "$(wc -l <"${0%%/*}/count")" != %d ] ||
dd if=/dev/urandom of=%s bs=1M count=4 conv=fsync status=none
exit $status`, n, origin))
			cmd := withPath(bin, "lvmsync-dump", snap)
			d := runCommand(t, nil, cmd)
			d.want(t, 1, "incomplete")
			wantNoPatch(t, d.stdout)
		})
	}
}

// The snapshot overflows while data are read: nobody takes the patch, and there is more to read
// than the dump holds in memory, so it can't go on until that has happened.
func TestOverflowDuringData(t *testing.T) {
	origin, snap := newOverflowing(t, "data", 128*mib)
	var offsets []int64
	for i := range int64(800) {
		offsets = append(offsets, i*64*kib)
	}
	poke(t, origin, 2, offsets...)
	wantDumpFails(t, mib, func() { overflow(t, origin) }, "overflowed", snap)
}

// A snapshot that is being merged, or will be as soon as its origin is closed, has no list that
// lasts.
func TestMerging(t *testing.T) {
	vg := newVG(t, "merge", 1)
	origin := "/dev/merge/origin"
	plain(t, vg, "origin", 16*mib)
	sh(t, "mkfs.ext4", "-q", origin)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-L", "8m", "-n", "snap", vg+"/origin")
	mnt := mount(t, origin)
	node := dmDevice(t, "merge-snap")
	sh(t, "lvconvert", "-qq", "-y", "--merge", vg+"/snap")
	for _, name := range []string{"merge/snap", node} {
		run(t, nil, "lvmsync-dump", name).want(t, 1, "being merged")
	}
	run(t, nil, "lvmsync-dump", "--cow", dmDevice(t, "merge-snap-cow"), origin).want(t, 1,
		"being merged")
	sh(t, "umount", mnt)
}

// wantDumpFails has something happen when a dump has written that much, more than a pipe holds, and
// wants it to fail with a message, and without a patch.
func wantDumpFails(t *testing.T, after int64, happen func(), message string, args ...string) {
	t.Helper()
	cmd := exec.Command("lvmsync-dump", append([]string{"--level", "0"}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, w := newPipe(t)
	cmd.Stdout = w
	dump := start(t, cmd)
	w.Close()
	head := make([]byte, after)
	if _, err := io.ReadFull(out, head); err != nil {
		t.Fatal(err)
	}
	happen()
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	dump.Wait()
	t.Log(errs.String())
	result{status: cmd.ProcessState.ExitCode(), stderr: errs.String()}.want(t, 1, message)
	wantNoPatch(t, string(head)+string(rest))
}
