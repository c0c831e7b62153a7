//go:build lvm

package lvmtest

import (
	"fmt"
	"strings"
	"testing"
)

// A metadata snapshot that somebody else holds is theirs: a delta is refused, a full patch reads
// everything. One that a killed run of ours left behind is released.
func TestThinHeld(t *testing.T) {
	newPool(t, "held", "64k", "32m")
	origin := newThin(t, "held", "origin", 4*mib)
	change(t, origin, 1, 10, 0)
	thinSnapshot(t, "held", "origin", "snap")
	dest := plain(t, "held", "dest", 4*mib)
	message := func(text string) { sh(t, "dmsetup", "message", "held-pool-tpool", "0", text) }
	message("reserve_metadata_snap")
	before := heldRoot(t, "held")
	r := run(t, nil, "lvmsync-dump", "held/snap")
	r.want(t, 1, "held by another program")
	r.want(t, 1, "dmsetup message held-pool-tpool 0 release_metadata_snap")
	d := run(t, nil, "lvmsync-dump", "--full", "held/origin")
	d.want(t, 0, "all of held/origin is read")
	applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
	wantSame(t, origin, dest)
	if now := heldRoot(t, "held"); now != before {
		t.Errorf("the metadata snapshot was in block %s, now %s", before, now)
	}
	message("release_metadata_snap")

	// A run that is killed while it reads: its lock says what it had reserved.
	transfer(t, dest, "held/snap")
	killWhileHeld(t, "held", "held/snap")
	transfer(t, dest, "held/snap")
	wantSame(t, origin, dest)
}

// All of a snapshot that is not active can be read though somebody else holds the pool's metadata
// snapshot.
func TestThinHeldInactive(t *testing.T) {
	newPool(t, "inactive", "64k", "32m")
	origin := newThin(t, "inactive", "origin", 4*mib)
	change(t, origin, 1, 10, 0)
	thinSnapshot(t, "inactive", "origin", "snap")
	dest := plain(t, "inactive", "dest", 4*mib)
	fill(t, dest, 9)
	sh(t, "dmsetup", "message", "inactive-pool-tpool", "0", "reserve_metadata_snap")
	t.Cleanup(func() {
		sh(t, "dmsetup", "message", "inactive-pool-tpool", "0",
			"release_metadata_snap")
	})
	d := run(t, nil, "lvmsync-dump", "--full", "inactive/snap")
	d.want(t, 0, "all of inactive/snap is read")
	applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
	wantSame(t, origin, dest)
	if attr := strings.TrimSpace(sh(t, "lvs", "--noheadings", "-o", "lv_attr",
		"inactive/snap")); attr[4] == 'a' {
		t.Errorf("it was left active: %s", attr)
	}
	if extents, bytes := changed(t, "--full", "inactive/snap"); extents != 1 || bytes != 4*mib {
		t.Errorf("%d extents, %d bytes are to be read", extents, bytes)
	}
}

// killWhileHeld runs a dump whose dmsetup kills it as soon as the metadata snapshot is reserved and
// noted.
func killWhileHeld(t *testing.T, vg, snap string) {
	t.Helper()
	bin := wrapDmsetup(t, `
case " $* " in *" release_metadata_snap "*) kill -KILL $PPID; exit 1 ;; esac
exec "$real" "$@"`)
	cmd := withPath(bin, "lvmsync-dump", snap)
	if r := runCommand(t, nil, cmd); r.status != -1 {
		t.Fatalf("status %d, want killed", r.status)
	}
	if heldRoot(t, vg) == "-" {
		t.Fatal("the killed run left nothing behind")
	}
}

// Signals at any moment leave nothing reserved.
func TestThinSignals(t *testing.T) {
	newPool(t, "signals", "64k", "32m")
	origin := newThin(t, "signals", "origin", 4*mib)
	change(t, origin, 1, 20, 0)
	thinSnapshot(t, "signals", "origin", "snap")
	change(t, origin, 2, 20, 2)
	for _, signal := range []string{"INT", "TERM"} {
		for n := 1; n <= 8; n++ {
			// The n-th call of dmsetup sends the signal, then does its work.
			bin := wrapDmsetup(t, fmt.Sprintf(`echo >>"${0%%/*}/count"
[ "$(wc -l <"${0%%/*}/count")" != %d ] || kill -%s $PPID
exec "$real" "$@"`, n, signal))
			r := runCommand(t, nil, withPath(bin, "lvmsync-dump", "signals/snap"))
			if r.status == 0 {
				continue // there were no that many calls
			}
			r.want(t, 1, "interrupted")
			wantNothingHeld(t, "signals")
		}
	}
}
