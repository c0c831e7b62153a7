//go:build lvm

package lvmtest

import (
	"fmt"
	"strings"
	"testing"
)

// What is written and sent, and then discarded, neither volume of a pool maps when the next patch
// is made. A rehearsal, a run that was broken off, patches in files: none leaves it in the copy, or
// it is refused.
func TestThinDiscardedAfterwards(t *testing.T) {
	const volume = 8*mib + 20*kib
	newPool(t, "discarded", "64k", "96m")
	origin := newThin(t, "discarded", "origin", volume)
	poke(t, origin, 1, 0, 512*kib)
	thinSnapshot(t, "discarded", "origin", "s1")
	dest := plain(t, "discarded", "dest", volume)
	transfer(t, dest, "--full", "discarded/s1")
	dump := func(name string, args ...string) string {
		return file(t, name, []byte(run(t, nil, "lvmsync-dump", args...).stdout))
	}
	full := dump("full", "--full", "discarded/s1")
	discard := func(offset int64) {
		sh(t, "blkdiscard", "-o", fmt.Sprint(offset), "-l", fmt.Sprint(64*kib), origin)
	}

	// A rehearsal, another that breaks off, and a dry run in between.
	poke(t, origin, 2, 4*mib, 5*mib)
	rehearsal := dump("rehearsal", "discarded/s1")
	run(t, nil, "lvmsync-apply", rehearsal, dest).want(t, 0, "")
	wantSame(t, origin, dest)
	discard(4 * mib)
	poke(t, origin, 3, 6*mib)
	broken := run(t, nil, "lvmsync-dump", "discarded/s1").stdout
	run(t, strings.NewReader(broken[:len(broken)-100]), "lvmsync-apply", dest).want(t, 3, "")
	discard(6 * mib)
	run(t, nil, "lvmsync-dump", "-n", "discarded/s1").want(t, 0, "")
	last := dump("last", "discarded/s1")
	run(t, nil, "lvmsync-apply", last, dest).want(t, 0, "")
	wantSame(t, origin, dest)
	wantChain(t, sum(t, origin, 0), "", full, rehearsal, last)

	// The way back has what was sent forth.
	run(t, nil, "lvmsync-apply", rehearsal, dest).want(t, 0, "")
	transfer(t, dest, "--reverse", "discarded/s1")
	wantSnapshot(t, "discarded/s1", dest)

	// To another snapshot, and then to a later one.
	poke(t, origin, 4, 7*mib)
	thinSnapshot(t, "discarded", "origin", "s2")
	ahead := dump("ahead", "--full", "discarded/s2")
	transfer(t, dest, "--to", "discarded/s2", "discarded/s1")
	discard(7 * mib)
	thinSnapshot(t, "discarded", "origin", "s3")
	transfer(t, dest, "--to", "discarded/s3", "discarded/s1")
	wantSnapshot(t, "discarded/s3", dest)

	// A copy of a later snapshot is not what the patch from s1 is for; one of the volume in use is,
	// for that was noted.
	since := dump("since", "discarded/s1")
	run(t, nil, "lvmsync-patch", "verify", ahead, since).want(t, 5,
		"it starts from snapshot discarded/s1, where the one before does not lead")
	run(t, nil, "lvmsync-apply", "--create", ahead, since, t.TempDir()+"/new").want(t, 5,
		"where the one before does not lead")
	poke(t, origin, 5, 3*mib)
	live := dump("live", "--full", "discarded/origin")
	discard(3 * mib)
	wantChain(t, sum(t, origin, 0), "", live, dump("since", "discarded/s1"))
	run(t, nil, "lvmsync-apply", live, dest).want(t, 0, "")
	transfer(t, dest, "--reverse", "discarded/s1")
	wantSnapshot(t, "discarded/s1", dest)

	// Nothing is known of what was sent: all of the volume is.
	sh(t, "sh", "-c", "for f in /var/lib/lvmsync/sent/*; do echo x >$f; done")
	run(t, nil, "lvmsync-apply", rehearsal, dest).want(t, 0, "")
	d := run(t, nil, "lvmsync-dump", "discarded/s1")
	d.want(t, 0, "what earlier dumps from discarded/s1 have sent can't be told: "+
		"all of the volume is sent: /var/lib/lvmsync/sent/")
	applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
	wantSame(t, origin, dest)
}
