//go:build lvm

package lvmtest

import (
	"os"
	"path/filepath"
	"testing"

	"lvmsync/format"
)

// A disk promises no more than whole sectors: when the power fails, a block of 4096 bytes can be
// half old and half new. What is told in blocks that were hashed does not take it for either, and
// has to be told to go on; it then does what it shall.
func TestTornBlock(t *testing.T) {
	vg := newVG(t, "torn", 1)
	dest := plain(t, vg, "dest", 1*mib)
	p := newPair(4, 1*mib)
	torn := append([]byte{}, p.old...)
	for _, e := range p.changes(block, true)[:12] {
		copy(torn[e.Off:e.End()], p.new[e.Off:])
		if e.Kind == format.Data {
			copy(torn[e.Off+512:e.End()], p.old[e.Off+512:]) // its first sector only
		}
	}
	for name, exact := range map[string]bool{"exact": true, "not exact": false} {
		patch, _ := p.delta(t, crafting{exact: exact, unit: block, perSegment: 8})
		delta, undo := file(t, "delta", patch), filepath.Join(t.TempDir(), "undo")
		put(t, dest, p.old)
		run(t, nil, "lvmsync-apply", "--undo", undo, delta, dest).want(t, 0, "")
		cutTrailer(t, undo)
		for _, test := range []struct {
			name, patch string
			refused     bool
			want        digest
		}{
			{"back", undo, true, p.oldSum},
			{"on", delta, exact, p.newSum},
		} {
			t.Run(name+", "+test.name, func(t *testing.T) {
				put(t, dest, torn)
				args := []string{test.patch, dest}
				if test.refused {
					run(t, nil, "lvmsync-apply", args...).want(t, 5, "--no-check-base")
					wantContent(t, dest, "what it did", torn)
					args = append(args, "--no-check-base")
				}
				run(t, nil, "lvmsync-apply", args...).want(t, 0, "")
				wantSum(t, dest, "the state that it should", test.want)
			})
		}
	}
}

// cutTrailer leaves of an undo patch what there is when a run breaks off at its end.
func cutTrailer(t *testing.T, path string) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, st.Size()-72); err != nil {
		t.Fatal(err)
	}
}
