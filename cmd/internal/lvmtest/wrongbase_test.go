//go:build lvm

package lvmtest

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"lvmsync/format"
)

// bothWays applies a patch from a file and from a pipe, each time to a device that holds before,
// and checks the status and that it then holds after.
func bothWays(t *testing.T, patch []byte, dest string, before, after []byte, status int,
	message string, options ...string) {
	t.Helper()
	put(t, dest, before)
	run(t, nil, "lvmsync-apply", append(options, file(t, "patch", patch), dest)...).want(t, status,
		message)
	wantContent(t, dest, "what it should after a patch in a file", after)
	put(t, dest, before)
	applyPatch(t, patch, append(options, dest)...).want(t, status, message)
	wantContent(t, dest, "what it should after a patch from a pipe", after)
}

// The few blocks of a volume of zeros that are none tell it from others.
func TestFingerprintOfZeros(t *testing.T) {
	vg := newVG(t, "sparse", 1)
	origin, dest, half := plain(t, vg, "origin", 2*mib), plain(t, vg, "dest", 2*mib),
		plain(t, vg, "half", 1*mib)
	zero(t, origin)
	poke(t, origin, 1, 100*kib, 700*kib, 2*mib-4*kib)
	base := whole(t, origin)
	thickSnapshot(t, vg, "snap", "4k")
	poke(t, origin, 2, 900*kib, 1*mib+60*kib)
	after := whole(t, origin)
	d := run(t, nil, "lvmsync-dump", "sparse/snap")
	d.want(t, 0, "")
	patch := []byte(d.stdout)

	zeros, noise := make([]byte, 2*mib), newPair(9, 2*mib).old
	other, later := slices.Clone(zeros), slices.Clone(base)
	copy(other[300*kib:], noise[:4*kib])
	copy(later[700*kib:], noise[:4*kib])
	for _, test := range []struct {
		name          string
		dest          string
		before, after []byte
		options       []string
	}{
		{"right", dest, base, after, nil},
		{"applied already", dest, after, after, nil},
		{"not checked", dest, noise, onto(t, patch, noise), []string{"--no-check-base"}},
		{"right and smaller", half, base[:1*mib], after[:1*mib], []string{"--allow-smaller"}},
		{"another volume", dest, noise, nil, nil},
		{"another volume of few blocks", dest, other, nil, nil},
		{"zeros only", dest, zeros, nil, nil},
		{"a block has changed since", dest, later, nil, nil},
		{"another volume and smaller", half, other[:1*mib], nil, []string{"--allow-smaller"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.after == nil {
				bothWays(t, patch, test.dest, test.before, test.before, 5,
					"samples of what the patch leaves unchanged differ", test.options...)
			} else {
				bothWays(t, patch, test.dest, test.before, test.after, 0, "", test.options...)
			}
		})
	}
}

// onto is what a volume holds once a patch was applied, whatever it held.
func onto(t *testing.T, patch, volume []byte) []byte {
	t.Helper()
	f, err := format.OpenFile(bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		t.Fatal(err)
	}
	after := bytes.Clone(volume)
	for i := range f.Index() {
		s, err := f.ReadSegment(i)
		if err != nil {
			t.Fatal(err)
		}
		for r, data := range s.All() {
			clear(after[r.Off:r.End()])
			copy(after[r.Off:], data)
		}
	}
	return after
}

// Two snapshots of one origin, each with a copy of its own, that of the older one brought up to
// date in between: that is right, too, unless what was written then has changed again.
func TestExactTwoSnapshots(t *testing.T) {
	vg := newVG(t, "exact2", 1)
	origin, dest := plain(t, vg, "origin", 2*mib), plain(t, vg, "dest", 2*mib)
	fill(t, origin, 1)
	thickSnapshot(t, vg, "s0", "512k")
	s0 := whole(t, origin)
	poke(t, origin, 2, 100*kib, 1*mib)
	thickSnapshot(t, vg, "s1", "4k")
	s1 := whole(t, origin)
	poke(t, origin, 3, 0, 300*kib, 1500*kib)
	now := whole(t, origin)
	changed := slices.Clone(s1)
	copy(changed[1*mib:], now[:4*kib])
	flipped := slices.Clone(s1)
	flipped[300*kib+4095] ^= 1 // in the block, not in the sector that has changed
	for _, test := range []struct {
		snap   string
		blocks int64
		right  [][]byte
		wrong  []byte
	}{
		{"s0", 5, [][]byte{s0, s1, now}, changed},
		{"s1", 3, [][]byte{s1, now}, flipped},
	} {
		t.Run(test.snap, func(t *testing.T) {
			d := run(t, nil, "lvmsync-dump", "--exact-base", "exact2/"+test.snap)
			d.want(t, 0, "")
			patch := []byte(d.stdout)
			if _, totals, err := format.Verify(bytes.NewReader(patch)); err != nil ||
				totals.Bytes() != test.blocks*block {
				t.Errorf("%d bytes in the patch, want %d blocks (%v)", totals.Bytes(), test.blocks,
					err)
			}
			for _, before := range test.right {
				bothWays(t, patch, dest, before, now, 0, "")
			}
			bothWays(t, patch, dest, test.wrong, test.wrong, 5, "an extent holds something else")
		})
	}
}

// Deltas without the full patch before them, onto what holds their base and what does not, and
// back; patches of another volume are none of theirs.
func TestChainOfDeltas(t *testing.T) {
	vg := newVG(t, "deltas", 1)
	origin, dest := plain(t, vg, "origin", 2*mib), plain(t, vg, "dest", 2*mib)
	dir := t.TempDir()
	dump := func(name, snap string) string {
		path := filepath.Join(dir, name)
		run(t, nil, "lvmsync-dump", "-o", path, snap).want(t, 0, "")
		return path
	}
	fill(t, origin, 1)
	base := whole(t, origin)
	thickSnapshot(t, vg, "s0", "4k")
	change(t, origin, 2, 60, 0)
	thickSnapshot(t, vg, "s1", "16k")
	change(t, origin, 3, 20, 0) // in use: in both deltas
	mon := dump("mon", "deltas/s0")
	change(t, origin, 4, 60, 0)
	tue := dump("tue", "deltas/s1")
	now := whole(t, origin)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-L", "1m", "-n", "another", "deltas/dest")
	other := dump("other", "deltas/another")
	sh(t, "lvremove", "-qq", "-y", "deltas/another")

	noise, undo := newPair(3, 2*mib).old, filepath.Join(dir, "undo")
	for _, test := range []struct {
		name     string
		args     []string
		before   []byte
		messages []string // none: it succeeds
	}{
		{"onto their base", []string{"--undo", undo, mon, tue}, base, nil},
		{"again", []string{mon, tue}, now, nil},
		{"onto something else", []string{mon, tue}, noise,
			[]string{"the destination does not hold the base of the patch: "}},
		{"twice the same", []string{mon, mon}, base,
			[]string{mon + " does not follow " + mon, "they are the same patch"}},
		{"another volume", []string{mon, other}, base,
			[]string{other + " does not follow " + mon,
				"of different volumes, deltas/origin and deltas/dest"}},
		{"another volume first", []string{other, tue}, base,
			[]string{tue + " does not follow " + other, "of different volumes"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			put(t, dest, test.before)
			r := run(t, nil, "lvmsync-apply", append(test.args, dest)...)
			after := now
			if test.messages == nil {
				r.want(t, 0, "")
			} else {
				after = test.before
			}
			for _, m := range test.messages {
				r.want(t, 5, m)
			}
			wantContent(t, dest, "what it should", after)
		})
	}
	put(t, dest, now)
	run(t, nil, "lvmsync-apply", undo, dest).want(t, 0, "")
	wantContent(t, dest, "the base again", base)
}
