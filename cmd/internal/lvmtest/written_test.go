//go:build lvm

package lvmtest

import (
	"fmt"
	"strings"
	"testing"
)

// carry applies to dest what a dump gives, which must say what is told.
func carry(t *testing.T, dest, warning string, dumpArgs ...string) {
	t.Helper()
	d := run(t, nil, "lvmsync-dump", dumpArgs...)
	d.want(t, 0, warning)
	if warns := strings.Contains(d.stderr, "has been written to"); warns != (warning != "") {
		t.Errorf("want the warning %q, got:\n%s", warning, d.stderr)
	}
	applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
}

// A snapshot that is written to, of which there are copies from before, in between and after.
// Whatever is sent from it to another volume, one that stems from it too, is right for all of them.
func TestThinSnapshotWritten(t *testing.T) {
	const volume = 9*mib + 36*kib
	newPool(t, "written", "64k", "96m")
	origin := newThin(t, "written", "origin", volume)
	change(t, origin, 1, 40, 0)
	thinSnapshot(t, "written", "origin", "s1")
	copied := func(name string) string {
		dest := plain(t, "written", name, volume)
		fill(t, dest, 9)
		transfer(t, dest, "--full", "written/s1")
		return dest
	}
	full := file(t, "full", []byte(run(t, nil, "lvmsync-dump", "--full", "written/s1").stdout))
	copies := []string{copied("before")}
	sh(t, "lvchange", "-qq", "-ay", "-K", "written/s1")
	const s1 = "/dev/written/s1"
	poke(t, s1, 2, 0, 512*kib, 3*mib, volume-512)
	copies = append(copies, copied("between"))
	poke(t, s1, 3, 0, 576*kib, 4*mib)
	sh(t, "blkdiscard", "-o", fmt.Sprint(1*mib), "-l", fmt.Sprint(1*mib), s1)
	copies = append(copies, copied("after"))
	thinSnapshot(t, "written", "s1", "child")
	thinSnapshot(t, "written", "child", "grandchild")
	thinSnapshot(t, "written", "origin", "sibling")
	poke(t, s1, 4, 512*kib, 5*mib)
	change(t, origin, 5, 20, 2)

	const warning = "written/s1 has been written to since it was made, and written/%s stems from it"
	child := fmt.Sprintf(warning, "child")
	run(t, nil, "lvmsync-dump", "--exact-base", "--to", "written/child", "written/s1").want(t, 1,
		"--exact-base: "+child)
	for _, dest := range copies {
		carry(t, dest, child, "--to", "written/child", "written/s1")
		wantSnapshot(t, "written/child", dest)
	}
	carry(t, copies[0], "", "--to", "written/s1", "written/child") // back, to what it holds now
	wantSame(t, s1, copies[0])
	carry(t, copies[0], "", "--to", "written/sibling", "written/s1")
	wantSnapshot(t, "written/sibling", copies[0])
	delta := file(t, "delta", []byte(run(t, nil, "lvmsync-dump", "--to", "written/child",
		"written/s1").stdout))
	sh(t, "lvchange", "-qq", "-ay", "-K", "written/child")
	wantChain(t, sum(t, "/dev/written/child", 0), "", full, delta)
	sh(t, "lvremove", "-qq", "-y", "written/child") // with it, that the next one stems from s1
	carry(t, copies[1], fmt.Sprintf(warning, "grandchild"), "--to", "written/grandchild",
		"written/s1")
	wantSnapshot(t, "written/grandchild", copies[1])

	// To the origin, and from there.
	carry(t, copies[2], "", "written/s1")
	wantSame(t, origin, copies[2])
	carry(t, copies[2], "", "--reverse", "written/s1")
	wantSame(t, s1, copies[2])
	wantChain(t, sum(t, origin, 0), "", full,
		file(t, "forth", []byte(run(t, nil, "lvmsync-dump", "written/s1").stdout)))
}

// A snapshot that was never written to is one content: what stems from it is sent as ever.
func TestThinSnapshotOfSnapshot(t *testing.T) {
	newPool(t, "stems", "64k", "64m")
	origin := newThin(t, "stems", "origin", 8*mib)
	fill(t, origin, 1)
	thinSnapshot(t, "stems", "origin", "s1")
	sh(t, "lvcreate", "-qq", "-y", "-s", "-kn", "-n", "child", "stems/s1")
	dest := plain(t, "stems", "dest", 8*mib)
	transfer(t, dest, "--full", "stems/s1")
	poke(t, "/dev/stems/child", 2, 1*mib, 5*mib)
	if _, n := changed(t, "--to", "stems/child", "stems/s1"); n != 128*kib {
		t.Errorf("%d bytes would be sent, want those of two blocks", n)
	}
	carry(t, dest, "", "--exact-base", "--to", "stems/child", "stems/s1")
	wantSame(t, "/dev/stems/child", dest)
}

// A snapshot into which one of its own is merged is no snapshot any more: what it held before is no
// base, and nobody takes it for one without a word.
func TestThinSnapshotMergedInto(t *testing.T) {
	newPool(t, "merged", "64k", "64m")
	origin := newThin(t, "merged", "origin", 4*mib)
	fill(t, origin, 1)
	thinSnapshot(t, "merged", "origin", "s1")
	full := file(t, "full", []byte(run(t, nil, "lvmsync-dump", "--full", "merged/s1").stdout))
	sh(t, "lvchange", "-qq", "-ay", "-K", "merged/s1")
	poke(t, "/dev/merged/s1", 2, 0)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-kn", "-n", "child", "merged/s1")
	poke(t, "/dev/merged/child", 3, 1*mib)
	sh(t, "lvchange", "-qq", "-an", "merged/s1", "merged/child")
	sh(t, "lvconvert", "-qq", "-y", "--merge", "merged/child")
	thinSnapshot(t, "merged", "s1", "s2")
	delta := file(t, "delta", []byte(run(t, nil, "lvmsync-dump", "--to", "merged/s2",
		"merged/s1").stdout))
	if h := header(t, delta); h.Base.Snapshot != "" {
		t.Errorf("it starts from %s, which is what s1 was as well", h.Base.Snapshot)
	}
	if r := run(t, nil, "lvmsync-patch", "verify", full, delta); r.status == 0 &&
		!strings.Contains(r.stderr, "warning: ") {
		t.Error("the patch is taken for one that follows what s1 was")
	}
}

// The same of thick snapshots, which list what is written to them as what is written to their
// origin.
func TestThickSnapshotWritten(t *testing.T) {
	newVG(t, "thicks", 1)
	origin := plain(t, "thicks", "origin", 4*mib)
	fill(t, origin, 1)
	thick := func(name string) {
		sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-L", "5m", "-n", name, "thicks/origin")
	}
	thick("s1")
	dest := plain(t, "thicks", "dest", 4*mib)
	transfer(t, dest, "--full", "thicks/s1")
	poke(t, "/dev/thicks/s1", 2, 0, 1*mib)
	poke(t, origin, 3, 1*mib, 2*mib)
	thick("s2")
	poke(t, origin, 4, 3*mib)
	carry(t, dest, "", "--to", "thicks/s2", "thicks/s1")
	wantSame(t, "/dev/thicks/s2", dest)
	poke(t, "/dev/thicks/s2", 5, 64*kib)
	carry(t, dest, "", "thicks/s2")
	wantSame(t, origin, dest)
	carry(t, dest, "", "--reverse", "thicks/s1")
	wantSame(t, "/dev/thicks/s1", dest)
}
