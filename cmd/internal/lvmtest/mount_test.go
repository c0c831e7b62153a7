//go:build lvm

package lvmtest

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// mount shows the states of the folder as files, until the test ends.
func (f *folder) mount() (point string) {
	f.t.Helper()
	point = f.t.TempDir()
	cmd := exec.Command("lvmsync-patch", "mount", f.path, point)
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	in := bufio.NewScanner(stderr)
	f.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // nobody uses it any more
		for in.Scan() {
			f.t.Log(in.Text())
		}
		if err := cmd.Wait(); err != nil {
			f.t.Error(err)
		}
	})
	for in.Scan() {
		if strings.Contains(in.Text(), "to be read in "+point) {
			return point
		}
		f.t.Error(in.Text())
	}
	f.t.Fatal("it is not mounted")
	return ""
}

// wantStates compares each state of the mounted archive with what a device holds, the oldest first.
// The first file has the name of the snapshot that it is of.
func (f *folder) wantStates(snapshot string, devices ...string) {
	f.t.Helper()
	files, err := filepath.Glob(filepath.Join(f.mount(), "2*.img"))
	first := slices.IndexFunc(files, func(path string) bool {
		return strings.HasSuffix(path, "Z_"+snapshot+".img")
	})
	if err != nil || len(files) != len(devices) || first < 0 {
		f.t.Fatalf("states %q, %v", files, err)
	}
	oldest := files[first]
	files = slices.Insert(slices.Delete(files, first, first+1), 0, oldest)
	for i, device := range devices {
		wantSame(f.t, device, files[i])
	}
}

// Each state of a mounted archive is what the volume held at that time, thick and thin.
func TestMountArchive(t *testing.T) {
	const size = 8 * mib
	t.Run("thick", func(t *testing.T) {
		vg := newVG(t, "shown", 1)
		origin := plain(t, vg, "origin", size)
		fill(t, origin, 1)
		zeroed := make([]byte, 1*mib)
		write(t, origin, 2*mib, zeroed)
		f := newFolder(t, "")
		thickSnapshot(t, vg, "s0", "4k")
		f.add("0", "--full", "shown/s0")
		poke(t, origin, 2, 0, 1*mib, 2*mib+512)
		thickSnapshot(t, vg, "s1", "4k")
		f.add("1", "--to", "shown/s1", "shown/s0")
		poke(t, origin, 3, 1*mib, 5*mib)
		f.add("2", "shown/s1")
		f.wantStates("shown-origin_s0", "/dev/shown/s0", "/dev/shown/s1", origin)
	})
	t.Run("thin", func(t *testing.T) {
		newPool(t, "thinly", "64k", "64m")
		origin := newThin(t, "thinly", "origin", size)
		poke(t, origin, 1, 0, 512*kib, 4*mib)
		f := newFolder(t, "")
		thinSnapshot(t, "thinly", "origin", "s0")
		f.add("0", "--full", "thinly/s0")
		poke(t, origin, 2, 1*mib)
		sh(t, "blkdiscard", "-o", "524288", "-l", "65536", origin)
		thinSnapshot(t, "thinly", "origin", "s1")
		f.add("1", "--to", "thinly/s1", "thinly/s0")
		poke(t, origin, 3, 3*mib)
		f.add("2", "thinly/s1")
		for _, name := range []string{"s0", "s1"} {
			sh(t, "lvchange", "-qq", "-ay", "-K", "thinly/"+name)
		}
		f.wantStates("thinly-origin_s0", "/dev/thinly/s0", "/dev/thinly/s1", origin)
	})
}
