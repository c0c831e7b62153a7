//go:build lvm

package lvmtest

import (
	"os"
	"strings"
	"testing"
)

// Two dumps of one snapshot at once: the last one to end deactivates it. What the user has
// activated stays active, and so does what somebody has open; the next run then deactivates it.
func TestActivation(t *testing.T) {
	_, dest := newSignalled(t, "active")
	first := newGate(t, "dmsetup", "release_metadata_snap", `"$real" "$@"; stop; exit 0`)
	second := newGate(t, "dmsetup", "status", `stop`)
	for i, g := range []*gate{first, second} { // each has it open then
		cmd, stderr := g.start(t, "lvmsync-dump", "--full", "active/snap")
		defer func() {
			if !cmd.ProcessState.Success() {
				t.Errorf("dump %d: %v\n%s", i, cmd.ProcessState, stderr)
			}
			// neither is a stranger to the other
			if strings.Contains(stderr.String(), "stays active") {
				t.Errorf("dump %d:\n%s", i, stderr)
			}
		}()
		g.cmd = cmd
	}
	for _, g := range []*gate{first, second} {
		g.open(t)
		g.cmd.Wait()
	}
	if isActive(t, "active/snap") {
		t.Error("two dumps left the snapshot active")
	}

	sh(t, "lvchange", "-ay", "-K", "active/snap")
	transfer(t, dest, "active/snap")
	if !isActive(t, "active/snap") {
		t.Error("a snapshot that the user activated was deactivated")
	}
	sh(t, "lvchange", "-an", "active/snap")

	// Killed while it reads; then the user deactivates and activates it.
	killed := func() {
		g := newGate(t, "dmsetup", "release_metadata_snap", `stop; exit 0`)
		cmd, _ := g.start(t, "lvmsync-dump", "active/snap")
		g.struck(t, cmd, kill)
	}
	killed()
	sh(t, "lvchange", "-an", "active/snap")
	sh(t, "lvchange", "-ay", "-K", "active/snap")
	transfer(t, dest, "active/snap")
	if !isActive(t, "active/snap") {
		t.Error("a snapshot that the user activated again was deactivated")
	}
	sh(t, "lvchange", "-an", "active/snap")

	killed()
	holder, err := os.Open("/dev/active/snap")
	if err != nil {
		t.Fatal(err)
	}
	d := run(t, nil, "lvmsync-dump", "active/snap")
	d.want(t, 0, "active/snap stays active: somebody else has it open")
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	transfer(t, dest, "active/snap")
	if isActive(t, "active/snap") {
		t.Error("what a killed run activated was left active")
	}
}

// A dump that is killed before lvchange does anything has no part in what the user activates later.
func TestKilledBeforeActivation(t *testing.T) {
	_, dest := newSignalled(t, "before")
	g := newGate(t, "lvchange", "-ay", `stop; exit 5`)
	cmd, _ := g.start(t, "lvmsync-dump", "before/snap")
	g.struck(t, cmd, kill)
	uuid := strings.TrimSpace(sh(t, "lvs", "--noheadings", "-o", "lv_uuid", "before/snap"))
	// the witness has it until it has noted that
	sh(t, "flock", "/run/lvmsync/volume-"+uuid+".lock", "true")
	sh(t, "lvchange", "-ay", "-K", "before/snap")
	transfer(t, dest, "before/snap")
	if !isActive(t, "before/snap") {
		t.Error("a snapshot that the user activated was deactivated")
	}
}
