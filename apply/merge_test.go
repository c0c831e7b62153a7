package apply

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"lvmsync/format"
	"lvmsync/format/follow"
	"lvmsync/format/merge"
	chainvolume "lvmsync/format/volume"
)

// namedPatches names patches by their place.
func namedPatches(patches [][]byte) (named []Patch) {
	for i, p := range patches {
		named = append(named, Patch{Name: fmt.Sprint("patch", i), Reader: bytes.NewReader(p)})
	}
	return named
}

// mergeAll merges patches into one.
func mergeAll(t testing.TB, patches [][]byte, change ...func(*MergeOptions)) ([]byte, Merged) {
	t.Helper()
	var out bytes.Buffer
	mo := MergeOptions{Warn: func(string) {}, Options: merge.Options{Level: 1}}
	for _, c := range change {
		c(&mo)
	}
	m, err := Merge(t.Context(), namedPatches(patches), &out, mo)
	if err != nil {
		t.Fatalf("merge %d patches: %v", len(patches), err)
	}
	if _, _, err := format.Verify(bytes.NewReader(out.Bytes())); err != nil {
		t.Fatalf("what was merged: %v", err)
	}
	return out.Bytes(), m
}

// onto applies patches to a copy of what there is, and returns what it is then, and the error if
// they are refused.
func (m *mergeModel) onto(there []byte, patches [][]byte, dry bool) ([]byte, error) {
	m.t.Helper()
	path := filepath.Join(m.dir, "image")
	os.Remove(path)
	if there != nil {
		if err := os.WriteFile(path, there, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	r := newRun(path)
	r.Create, r.AcceptLost, r.DryRun = there == nil, true, dry
	if r.doAll(m.t.Context(), namedPatches(patches)); r.err != nil {
		if !errors.Is(r.err, ErrWrongBase) {
			m.t.Fatal(r.err)
		}
		return nil, r.err
	}
	if dry {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	return b, nil
}

// guarded are the bytes of which every merged patch must tell what they were: the blocks that
// have a base hash and of which no other patch has a part, or all of.
func (m *mergeModel) guarded() []format.Extent {
	var found []format.Extent
	for i, pieces := range m.pieces {
		for _, p := range pieces {
			e := p.Extent
			ok := p.HasBase && m.headers[0].Kind != format.Full &&
				(e.End()%512 == 0 || e.End() == m.size)
			for j := range m.pieces {
				ok = ok && (j > i || seed(m.headers[j]) == seed(m.headers[0]))
				for _, q := range m.pieces[j] {
					overlaps := q.Off < e.End() && q.End() > e.Off
					ok = ok && (!overlaps || j == i || j > i && !q.Lost)
				}
			}
			if ok {
				found = append(found, e)
			}
		}
	}
	return found
}

func seed(h format.Header) format.Hash { return follow.BaseOf(h).HashSeed }

// check compares what patches do that were merged in some grouping with what all of them do.
func (m *mergeModel) check(patches [][]byte) {
	m.t.Helper()
	full := m.headers[0].Kind == format.Full
	base, want := m.base, m.states[len(m.states)-1]
	end := m.ends[len(m.patches)-1]
	if full { // what is created is as large as the volume in the end
		base, want = nil, want[:end]
	} else if got, err := m.onto(base[:end], patches, false); err != nil ||
		!bytes.Equal(got, want[:end]) {
		m.t.Fatalf("%d patches, merged to %d, without what is cut off in the end: %v; same: %v",
			len(m.patches), len(patches), err, bytes.Equal(got, want[:end]))
	}
	got, err := m.onto(base, patches, false)
	if err != nil || !bytes.Equal(got, want) {
		m.t.Fatalf("%d patches, merged to %d: %v; same bytes: %v", len(m.patches), len(patches),
			err, bytes.Equal(got, want))
	}
	m.checkVolume(patches)
	if _, err := m.onto(want, patches, true); err != nil && len(patches) == 1 {
		m.t.Fatalf("merged to one, run again: %v", err)
	}
	if full {
		return
	}
	guarded := m.guarded()
	for range 4 {
		wrong := slices.Clone(m.base)
		at := m.rnd.Int64N(m.size)
		if len(guarded) > 0 && m.rnd.IntN(2) == 0 {
			e := guarded[m.rnd.IntN(len(guarded))]
			at = e.Off + m.rnd.Int64N(e.Len)
		}
		wrong[at] ^= 0xff
		isGuarded := slices.ContainsFunc(guarded, func(e format.Extent) bool {
			return e.Off <= at && at < e.End()
		})
		_, chainErr := m.onto(wrong, m.patches, true)
		_, err := m.onto(wrong, patches, true)
		if chainErr == nil && err != nil || isGuarded && err == nil {
			m.t.Fatalf("%d patches, merged to %d: byte %d is wrong, guarded: %v: %v, merged %v",
				len(m.patches), len(patches), at, isGuarded, chainErr, err)
		}
	}
}

// checkVolume reads the patches as a volume: the same bytes, as many as the last one of the
// chain left.
func (m *mergeModel) checkVolume(patches [][]byte) {
	m.t.Helper()
	if !m.sends {
		return // what was cut off does not come back there
	}
	o := chainvolume.Options{AcceptLost: true}
	if m.headers[0].Kind != format.Full {
		o.Base, o.BaseSize = bytes.NewReader(m.base), m.size
	}
	var chain []chainvolume.Patch
	for i, p := range patches {
		f, err := format.OpenFile(bytes.NewReader(p), int64(len(p)))
		if err != nil {
			m.t.Fatal(err)
		}
		chain = append(chain, chainvolume.Patch{Name: fmt.Sprint("patch", i), File: f})
	}
	v, err := chainvolume.Open(chain, o)
	if err != nil {
		m.t.Fatal(err)
	}
	defer v.Close()
	want := m.states[len(m.states)-1][:m.ends[len(m.patches)-1]]
	got := make([]byte, len(want))
	if _, err := v.ReadAt(got, 0); err != nil || v.Size() != int64(len(want)) ||
		!bytes.Equal(got, want) {
		m.t.Fatalf("%d patches, merged to %d, as a volume: %d bytes, want %d; %v; same bytes: %v",
			len(m.patches), len(patches), v.Size(), len(want), err, bytes.Equal(got, want))
	}
}

// checkZstd has a patch decompressed by the program.
func (m *mergeModel) checkZstd(patch []byte) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "zstd", "-tq")
	cmd.Stdin = bytes.NewReader(patch)
	if out, err := cmd.CombinedOutput(); err != nil && !errors.Is(err, exec.ErrNotFound) {
		m.t.Fatalf("zstd -t: %v: %s", err, out)
	}
}

// Whatever is merged first, the same comes of it as of all of them one after another.
//
// LVMSYNC_MERGE_SEED=n starts with the round of that seed, LVMSYNC_MERGE_ROUNDS=n goes as many.
func TestMergeModel(t *testing.T) {
	first, rounds := fromEnvironment(t, "LVMSYNC_MERGE_SEED", 0),
		fromEnvironment(t, "LVMSYNC_MERGE_ROUNDS", 20)
	for i := first; i < first+rounds; i++ {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(i, 1))
			m := newMergeModel(t, rnd)
			m.check(m.patches)
			one, _ := mergeAll(t, m.patches)
			m.check([][]byte{one})
			m.checkZstd(one)
			for range 2 {
				left := slices.Clone(m.patches)
				for len(left) > 1 {
					from := rnd.IntN(len(left) - 1)
					to := min(len(left), from+2+rnd.IntN(3))
					merged, _ := mergeAll(t, left[from:to], func(mo *MergeOptions) {
						mo.Anew = rnd.IntN(4) == 0
					})
					left = slices.Replace(left, from, to, merged)
					if rnd.IntN(3) == 0 {
						m.check(left)
					}
				}
				m.check(left)
			}
		})
	}
}

// Every contiguous grouping of a few patches.
func TestMergeGroupings(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 3 {
		m := newMergeModel(t, rnd)
		n := min(5, len(m.patches))
		m.patches, m.pieces, m.states = m.patches[:n], m.pieces[:n], m.states[:n]
		m.headers = m.headers[:n]
		for cuts := range 1 << (n - 1) { // a set bit: two groups
			var groups [][]byte
			from := 0
			for i := 1; i <= n; i++ {
				if i < n && cuts>>(i-1)&1 == 0 {
					continue
				}
				if group := m.patches[from:i]; len(group) > 1 {
					merged, _ := mergeAll(t, group)
					groups = append(groups, merged)
				} else {
					groups = append(groups, group[0])
				}
				from = i
			}
			got, err := m.onto(m.baseOf(), groups, false)
			if want := m.states[n-1]; err != nil || !bytes.Equal(got, want[:len(got)]) {
				t.Fatalf("grouping %b of %d: %v", cuts, n, err)
			}
		}
	}
}

// baseOf is what the patches are applied to; nil: nothing.
func (m *mergeModel) baseOf() []byte {
	if m.headers[0].Kind == format.Full {
		return nil
	}
	return m.base
}

// An undo patch that was merged was not written ahead of anything: without its end it's truncated,
// wherever it ends.
func TestMergedUndoWithoutEnd(t *testing.T) {
	states := [][]byte{random(1, 4*mib), random(2, 4*mib), random(3, 4*mib)}
	var undo [][]byte
	for i := range 2 {
		patch, path := undoOf(t, states[i], states[i+1])
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		undo = append([][]byte{patch}, undo...)
	}
	whole, _ := mergeAll(t, undo)
	f, err := format.OpenFile(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []int64{f.Index()[1].Offset, f.Index()[1].Offset + 600,
		int64(len(whole)) - 72, int64(len(whole)) - 1} {
		for _, force := range []bool{false, true} {
			path := image(t, t.TempDir(), states[2])
			r := newRun(path)
			r.Force = force
			r.do(t.Context(), bytes.NewReader(whole[:end])).wantError(t, format.ErrTruncated, "")
			wantContent(t, path, states[2])
		}
		if _, _, err := verify(t, bytes.NewReader(whole[:end])); !errors.Is(err,
			format.ErrTruncated) {
			t.Errorf("cut to %d bytes, it is verified: %v", end, err)
		}
	}
}
