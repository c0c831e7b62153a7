//go:build lvm

package lvmtest

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"lvmsync/format"
)

// A destination that was copied from the origin while that was in use holds a block as it was in
// between: not what the snapshot holds, nor the origin now, and these two are the same. A delta
// that left out what is equal would leave it there. The fingerprint takes such a copy for what it
// is: right.
func TestFuzzyCopy(t *testing.T) {
	vg := newVG(t, "fuzzy", 1)
	origin, dest := plain(t, vg, "origin", 4*mib), plain(t, vg, "dest", 4*mib)
	fill(t, origin, 1)
	thickSnapshot(t, vg, "snap", "4k")
	a := content(t, origin, 1*mib, 4*kib)
	write(t, origin, 1*mib, bytes.Repeat([]byte("B"), 4096))
	sh(t, "dd", "if="+origin, "of="+dest, "bs=1M", "iflag=direct", "oflag=direct", "status=none")
	write(t, origin, 1*mib, a)
	poke(t, origin, 2, 2*mib)
	transfer(t, dest, "fuzzy/snap")
	wantSame(t, origin, dest)
}

// A delta is refused by a destination that is another volume, or has missed a delta, and taken by
// one that is right however it is filled.
func TestFingerprint(t *testing.T) {
	const size = 16 * mib
	for name, prepare := range map[string]func(t *testing.T, origin string){
		"full of data": func(t *testing.T, origin string) { fill(t, origin, 1) },
		"mostly zeros": func(t *testing.T,
			origin string) {
			zero(t, origin)
			poke(t, origin, 1, 3*mib, 9*mib+12*kib)
		},
	} {
		t.Run(name, func(t *testing.T) {
			vg := newVG(t, "finger", 1)
			origin, dest, other := plain(t, vg, "origin", size), plain(t, vg, "dest", size),
				plain(t, vg, "other", size)
			prepare(t, origin)
			fill(t, other, 7)
			thickSnapshot(t, vg, "s0", "4k")
			transfer(t, dest, "--full", "finger/s0")
			var offsets []int64
			for i := range int64(300) {
				offsets = append(offsets, i*52*kib)
			}
			poke(t, origin, 2, offsets...)
			thickSnapshot(t, vg, "s1", "4k")
			first := []byte(run(t, nil, "lvmsync-dump", "finger/s0").stdout)
			poke(t, origin, 3, 100*kib, 8*mib)
			second := []byte(run(t, nil, "lvmsync-dump", "finger/s1").stdout)

			for _, wrong := range []string{dest, other} { // one has missed the first
				before := sum(t, wrong, 0)
				applyPatch(t, second, wrong).want(t, 5,
					"samples of what the patch leaves unchanged differ")
				run(t, nil, "lvmsync-apply", file(t, "second", second), wrong).want(t, 5, "samples")
				if sum(t, wrong, 0) != before {
					t.Errorf("%s has changed", wrong)
				}
			}
			applyPatch(t, first, dest).want(t, 0, "")
			applyPatch(t, second, dest).want(t, 0, "")
			applyPatch(t, second, dest).want(t, 0, "")
			wantSame(t, origin, dest)
			small := plain(t, vg, "small", 10*mib)
			sh(t, "dd", "if="+origin, "of="+small, "bs=1M", "count=10", "status=none",
				"oflag=direct")
			applyPatch(t, second, "--allow-smaller", small).want(t, 0, "")

			// Nothing is left unchanged: nothing to sample.
			fill(t, origin, 8)
			transfer(t, dest, "finger/s1")
			wantSame(t, origin, dest)
		})
	}
}

// An exact delta holds what differs and no more, whatever the chunks, and takes no destination but
// a copy of the snapshot.
func TestExactBase(t *testing.T) {
	vg := newVG(t, "exact", 1)
	const size = 6*mib + 4*kib
	origin, dest := plain(t, vg, "origin", size), plain(t, vg, "dest", 8*mib)
	fill(t, origin, 1)
	fill(t, dest, 2)
	thickSnapshot(t, vg, "snap", "512k")
	transfer(t, dest, "--full", "exact/snap")
	poke(t, origin, 3, 0, 1*mib+512, size-512)
	patch := []byte(run(t, nil, "lvmsync-dump", "--exact-base", "exact/snap").stdout)
	if _, totals, err := format.Verify(bytes.NewReader(patch)); err != nil ||
		totals.Bytes() != 12*kib {
		t.Errorf("%d bytes in the patch, want three blocks (%v)", totals.Bytes(), err)
	}

	// One byte of one extent is wrong, and it isn't the one that is applied first.
	wrong := content(t, dest, size-4*kib, 4*kib)
	write(t, dest, size-4*kib, append([]byte{wrong[0] ^ 1}, wrong[1:]...))
	before := sum(t, dest, 0)
	run(t, nil, "lvmsync-apply", file(t, "patch", patch), dest).want(t, 5,
		"an extent holds something else")
	if sum(t, dest, 0) != before {
		t.Error("the destination has changed")
	}
	write(t, dest, size-4*kib, wrong)
	applyPatch(t, patch, dest).want(t, 0, "")
	t.Run("compare", func(t *testing.T) { wantSame(t, origin, dest) }) // and close
	applyPatch(t, patch, dest).want(t, 0, "0 B written")

	// What was added to the origin has no base: it's sent whatever it holds, zeros too.
	sh(t, "lvchange", "-qq", "-an", "exact/origin")
	sh(t, "lvextend", "-qq", "-L", "8m", "exact/origin")
	sh(t, "lvchange", "-qq", "-ay", "exact/origin")
	write(t, origin, size, make([]byte, 8*mib-size))
	poke(t, origin, 4, 7*mib)
	transfer(t, dest, "--exact-base", "exact/snap")
	wantSame(t, origin, dest)
}

// A full patch and the deltas that follow it are applied as one, and only if they do follow one
// another.
func TestChain(t *testing.T) {
	vg := newVG(t, "chain", 1)
	const size = 8 * mib
	origin, dest, other := plain(t, vg, "origin", size), plain(t, vg, "dest", size),
		plain(t, vg, "second", size)
	fill(t, origin, 1)
	fill(t, other, 2)
	rnd := rand.New(rand.NewPCG(1, 1))
	changeIt := func(seed byte) {
		var offsets []int64
		for range 100 {
			offsets = append(offsets, rnd.Int64N(size/512)*512)
		}
		poke(t, origin, seed, offsets...)
	}
	dump := func(name string, args ...string) string {
		return file(t, name, []byte(run(t, nil, "lvmsync-dump", args...).stdout))
	}
	thickSnapshot(t, vg, "s0", "4k")
	full := dump("full", "--full", "chain/s0")
	changeIt(2)
	thickSnapshot(t, vg, "s1", "8k") // first the next snapshot, then the delta of the one before
	changeIt(3)
	mon := dump("mon", "chain/s0")
	changeIt(4)
	tue := dump("tue", "chain/s1")
	state := sum(t, origin, 0)
	changeIt(5)
	thickSnapshot(t, vg, "s2", "4k")
	exact := dump("exact", "--exact-base", "--to", "chain/s2", "chain/s1")

	undo := t.TempDir() + "/undo"
	fill(t, dest, 9)
	before := sum(t, dest, 0)
	run(t, nil, "lvmsync-apply", "--undo", undo, full, mon, tue, dest).want(t, 0, "")
	if sum(t, dest, 0) != state {
		t.Error("the chain does not give what the origin held")
	}
	run(t, nil, "lvmsync-apply", undo, dest).want(t, 0, "")
	if sum(t, dest, 0) != before {
		t.Error("the undo patch does not give what the destination held")
	}

	for _, test := range []struct {
		patches []string
		message string
	}{
		{[]string{full, tue}, "a patch between them is missing"},
		{[]string{full, tue, mon}, "hint: by names and times they would fit in this order: " +
			"lvmsync-apply " + strings.Join([]string{full, mon, tue, dest}, " ")},
		{[]string{full, exact}, "where the one before does not lead"},
		{[]string{mon, exact}, "exactly, and the one before leads past it"},
		{[]string{full, dump("other", "--full", "chain/second")}, "it is a full patch"},
	} {
		run(t, nil, "lvmsync-apply", append(test.patches, dest)...).want(t, 5, test.message)
	}
	if sum(t, dest, 0) != before {
		t.Error("the destination has changed")
	}

	// Deltas alone, onto a copy of what the first of them starts from.
	run(t, nil, "lvmsync-apply", full, dest).want(t, 0, "")
	run(t, nil, "lvmsync-apply", "--verify", mon, tue, dest).want(t, 0, "")
	if sum(t, dest, 0) != state {
		t.Error("the deltas do not give what the origin held")
	}

	// Undo patches of runs of their own, the newest first: by the names of the snapshots, and by
	// what they replace.
	toFirst := dump("first", "--to", "chain/s1", "chain/s0")
	const doubt = "no name links these two undo patches"
	for _, test := range []struct {
		older, newer string
		named        bool
	}{{toFirst, exact, true}, {mon, tue, false}} {
		older, newer := t.TempDir()+"/older", t.TempDir()+"/newer"
		run(t, nil, "lvmsync-apply", full, dest).want(t, 0, "")
		start := sum(t, dest, 0)
		run(t, nil, "lvmsync-apply", "--undo", older, test.older, dest).want(t, 0, "")
		run(t, nil, "lvmsync-apply", "--undo", newer, test.newer, dest).want(t, 0, "")
		run(t, nil, "lvmsync-apply", older, newer, dest).want(t, 5,
			"fit in this order: lvmsync-apply "+newer+" "+older+" "+dest)
		r := run(t, nil, "lvmsync-apply", newer, older, dest)
		r.want(t, 0, "")
		if strings.Contains(r.stderr, doubt) == test.named {
			t.Errorf("linked by name: %t\n%s", test.named, r.stderr)
		}
		if sum(t, dest, 0) != start {
			t.Error("the undo patches do not give what the destination held")
		}
	}
}
