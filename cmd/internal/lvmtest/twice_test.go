//go:build lvm

package lvmtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Of two runs with one destination the second is refused, and leaves the first alone.
func TestTwoApplies(t *testing.T) {
	vg := newVG(t, "twice", 1)
	p := newPair(8, 1*mib)
	patch, ends := p.delta(t, crafting{unit: block, perSegment: 8})
	undo, other := filepath.Join(t.TempDir(), "undo"), file(t, "patch", patch)
	for name, dest := range map[string]string{
		"device": plain(t, vg, "dest", 1*mib),
		"file":   file(t, "dest", p.old),
	} {
		t.Run(name, func(t *testing.T) {
			put(t, dest, p.old)
			r := runFed(t, exec.Command("lvmsync-apply", dest), patch, ends[3], func(cmd *running) {
				waitFor(t, cmd, dest, p.changes(block, false)[3*8-1], p.new)
				for _, args := range [][]string{{other, dest}, {"--undo", undo, other, dest},
					{"--dry-run", other, dest}} {
					run(t, nil, "lvmsync-apply", args...).want(t, 1, "the destination is in use: "+
						dest)
				}
				if _, err := os.Stat(undo); err == nil {
					t.Error("an undo patch was left behind")
				}
			})
			r.want(t, 0, "")
			wantSum(t, dest, "the new state", p.newSum)
			run(t, nil, "lvmsync-apply", other, dest).want(t, 0, "")
			wantSum(t, dest, "the new state", p.newSum)
		})
	}
}
