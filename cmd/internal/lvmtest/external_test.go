//go:build lvm

package lvmtest

import (
	"fmt"
	"strings"
	"testing"

	"lvmsync/format/storage"
)

// external makes an external origin of size bytes, filled by prepare.
func external(t *testing.T, vg, name string, size int64, prepare func(path string)) {
	t.Helper()
	path := plain(t, vg, name, size)
	zero(t, path)
	prepare(path)
	sh(t, "lvchange", "-qq", "-an", vg+"/"+name)
	sh(t, "lvchange", "-qq", "-pr", vg+"/"+name)
}

// onExternal makes a thin volume that reads from an external origin what it doesn't map.
func onExternal(t *testing.T, vg, name, origin string) string {
	t.Helper()
	sh(t, "lvcreate", "-qq", "-y", "-s", "--thinpool", vg+"/pool", "-n", name, vg+"/"+origin)
	return "/dev/" + vg + "/" + name
}

// What neither of two volumes maps is the same for both only if it is read from the same place. The
// external origins of zeros differ where no sample is taken; one of them ends within a block, and
// before the volumes do.
func TestThinExternalOrigins(t *testing.T) {
	const size = 3*mib + 20*kib
	newPool(t, "externals", "64k", "64m")
	external(t, "externals", "e1", size, func(string) {})
	external(t, "externals", "e2", size, func(path string) {
		poke(t, path, 1, 1*mib+20*kib+512,
			size-512)
	})
	external(t, "externals", "e3", 2*mib+28*kib, func(path string) { poke(t, path, 2, 0, 2*mib) })
	external(t, "externals", "e4", size, func(path string) { fill(t, path, 3) })
	volumes := map[string]string{} // to their external origins
	for i, origin := range []string{"e1", "e1", "e2", "e3", "e4"} {
		name := fmt.Sprintf("on%d%s", i, origin)
		volumes[name] = origin
		onExternal(t, "externals", name, origin)
	}
	newThin(t, "externals", "none", size)
	sh(t, "lvextend", "-qq", "-L", fmt.Sprintf("%db", size), "externals/on3e3")
	sh(t, "lvextend", "-qq", "-L", fmt.Sprintf("%db", size+200*kib), "externals/on2e2")
	poke(t, "/dev/externals/on2e2", 4, 3*mib/2, size+100*kib)
	dest := plain(t, "externals", "dest", size+200*kib)
	for _, pair := range []string{
		"on0e1 on1e1", "on2e2 on0e1", "none on2e2", "on2e2 none", "on3e3 none", "on2e2 on3e3",
		"on1e1 on4e4",
	} {
		from, to, _ := strings.Cut(pair, " ")
		t.Run(pair, func(t *testing.T) {
			fill(t, dest, 9)
			transfer(t, dest, "--full", "externals/"+from)
			wantSame(t, "/dev/externals/"+from, dest)
			transfer(t, dest, "--to", "externals/"+to, "externals/"+from)
			wantSame(t, "/dev/externals/"+to, dest)
			transfer(t, dest, "--full", "externals/"+from)
			transfer(t, dest, "--exact-base", "--to", "externals/"+to, "externals/"+from)
			wantSame(t, "/dev/externals/"+to, dest)
			if volumes[from] == volumes[to] {
				if extents, _ := changed(t, "--to", "externals/"+to, "externals/"+
					from); extents != 0 {
					t.Errorf("%d extents differ between volumes that are the same", extents)
				}
			}
		})
	}
}

// beneathOf makes a thin volume that is active read from another device what it doesn't map.
func beneathOf(t *testing.T, name, device string) {
	t.Helper()
	id, err := storage.Identify(device)
	if err != nil {
		t.Fatal(err)
	}
	reloadDevice(t, name, func(table string) string {
		return strings.Join(append(strings.Fields(table)[:5],
			fmt.Sprintf("%d:%d", id.Major, id.Minor)), " ")
	})
}

// A snapshot and its origin need not have the same beneath them: tables can be changed.
func TestThinSnapshotWithOtherExternal(t *testing.T) {
	const size = 3 * mib
	newPool(t, "other", "64k", "64m")
	external(t, "other", "e1", size, func(string) {})
	external(t, "other", "e2", size, func(path string) { poke(t, path, 1, 1*mib+20*kib) })
	origin := onExternal(t, "other", "origin", "e1")
	onExternal(t, "other", "keeps", "e2") // its device
	poke(t, origin, 2, 2*mib)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-kn", "-n", "snap", "other/origin")
	poke(t, origin, 3, 2*mib+512, 64*kib)
	beneathOf(t, "other-snap", dmDevice(t, "other-e2-real"))
	dest := plain(t, "other", "dest", size)
	transfer(t, dest, "--full", "other/snap")
	wantSame(t, "/dev/other/snap", dest)
	transfer(t, dest, "other/snap")
	wantSame(t, origin, dest)
	transfer(t, dest, "--reverse", "other/snap")
	wantSame(t, "/dev/other/snap", dest)
}

// What is read from a device that can be written to may have changed at any time: it is sent, and
// is nothing to compare with.
func TestThinExternalWritten(t *testing.T) {
	const size = 3 * mib
	newPool(t, "written", "64k", "64m")
	origin := newThin(t, "written", "origin", size)
	below := plain(t, "written", "below", size)
	zero(t, below)
	poke(t, origin, 2, 2*mib)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-kn", "-n", "snap", "written/origin")
	beneathOf(t, "written-origin", below)
	beneathOf(t, "written-snap", below)
	dest := plain(t, "written", "dest", size)
	transfer(t, dest, "--full", "written/snap")
	wantSame(t, "/dev/written/snap", dest)
	poke(t, below, 3, 1*mib+20*kib)
	poke(t, origin, 4, 64*kib)
	run(t, nil, "lvmsync-dump", "--exact-base", "written/snap").want(t, 1, "does not stand still")
	transfer(t, dest, "written/snap")
	wantSame(t, origin, dest)
	poke(t, below, 5, 1*mib+24*kib)
	transfer(t, dest, "--reverse", "written/snap")
	wantSame(t, "/dev/written/snap", dest)
	run(t, nil, "lvmsync-dump", "--dry-run", "--full", "written/origin").want(t, 0,
		"can be written to")
}
